//! The aggregate functions of one GROUP BY, and their states for many groups: DataFusion's accumulators.

use crate::fragment::failure;
use crate::keys::NONE;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, FieldRef};
use arrow::record_batch::RecordBatch;
use citystream_model::{Error, Result};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{EmitTo, Expr, GroupsAccumulator};
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Aggregate functions, planned.
#[derive(Debug, Clone)]
pub(crate) struct Aggregates {
    functions: Vec<Function>,
}

#[derive(Debug, Clone)]
struct Function {
    aggregate: Arc<AggregateFunctionExpr>,
    /// Arguments, then what an ORDER BY inside the call sorts by.
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    states: Vec<FieldRef>,
}

/// Values that the functions take of one batch.
pub(crate) struct Arguments {
    values: Vec<(Vec<ArrayRef>, Option<BooleanArray>)>,
}

/// States of many groups, each known by the number of its key.
pub(crate) struct Groups {
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// Key numbers in the order in which the groups came.
    numbers: Vec<u32>,
    places: Places,
}

/// Place in [`Groups::numbers`] of each key number.
enum Places {
    /// Of the few keys that a small pane has.
    Few(HashMap<u32, u32>),
    /// Indexed by key number; [`NONE`] for a key without a group.
    Table(Vec<u32>),
}

/// States of many groups that are not added to any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealed {
    /// Key numbers.
    pub(crate) numbers: Vec<u32>,
    /// State columns of all functions, a row per key.
    pub(crate) states: Vec<ArrayRef>,
}

// === impl Aggregates ===

impl Aggregates {
    /// Plans `aggregates` over rows with the columns of `input`.
    pub(crate) fn plan(aggregates: &[Expr], input: &DFSchema, session: &SessionState) -> Result<Self> {
        let context = PhysicalPlanningContext::default();
        let build = |expr| {
            LoweredAggregateBuilder::new(expr, input, input.as_arrow(), session.execution_props(), &context).build()
        };
        let functions = aggregates.iter().map(|expr| {
            let lowered = build(expr)?;
            let all = lowered.aggregate.all_expressions();
            let states = lowered.aggregate.state_fields()?;
            let arguments = all.args.into_iter().chain(all.order_by_exprs).collect();
            Ok(Function { aggregate: lowered.aggregate, arguments, filter: lowered.filter, states })
        });
        let functions = functions.collect::<Result<_, DataFusionError>>();
        Ok(Self { functions: functions.map_err(failed)? })
    }

    /// Values of the functions' arguments in `batch`.
    pub(crate) fn arguments(&self, batch: &RecordBatch) -> Result<Arguments> {
        let rows = batch.num_rows();
        let one = |function: &Function| {
            let value = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(rows);
            let values = function.arguments.iter().map(value).collect::<Result<_, _>>()?;
            let filter = function.filter.as_ref().map(value).transpose()?;
            Ok((values, filter.map(|filter| filter.as_boolean().clone())))
        };
        let values = self.functions.iter().map(one).collect::<Result<_, DataFusionError>>();
        Ok(Arguments { values: values.map_err(failed)? })
    }

    /// No groups yet.
    pub(crate) fn groups(&self) -> Result<Groups> {
        let accumulator = |function: &Function| -> Result<Box<dyn GroupsAccumulator>, DataFusionError> {
            if function.aggregate.groups_accumulator_supported() {
                return function.aggregate.create_groups_accumulator();
            }
            let aggregate = Arc::clone(&function.aggregate);
            Ok(Box::new(GroupsAccumulatorAdapter::new(move || aggregate.create_accumulator())))
        };
        let accumulators = self.functions.iter().map(accumulator).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Groups { accumulators, numbers: Vec::new(), places: Places::Few(HashMap::new()) })
    }

    /// Fields of the state columns, in the order of [`Sealed::states`].
    pub(crate) fn state_fields(&self) -> Vec<Field> {
        let states = self.functions.iter().flat_map(|function| &function.states).enumerate();
        states.map(|(at, field)| field.as_ref().clone().with_name(format!("__state{at}"))).collect()
    }

    /// The groups of all `parts`, those of one key put together.
    pub(crate) fn merge(&self, parts: &[&Sealed], keys: usize) -> Result<Groups> {
        let mut merged = self.groups()?;
        for part in parts {
            let numbers: Vec<usize> = part.numbers.iter().map(|number| *number as usize).collect();
            let places = merged.place(&numbers, keys);
            merged.merge(self, &part.states, &places)?;
        }
        Ok(merged)
    }
}

// === impl Arguments ===

impl Arguments {
    /// The values of some rows only.
    pub(crate) fn of_rows(&self, rows: &UInt32Array) -> Result<Self> {
        let some = |column: &ArrayRef| take(column, rows, None);
        let one = |(values, filter): &(Vec<ArrayRef>, Option<BooleanArray>)| {
            let filter = filter.as_ref().map(|filter| take(filter, rows, None)).transpose()?;
            let values = values.iter().map(some).collect::<Result<_, _>>()?;
            Ok((values, filter.map(|filter| filter.as_boolean().clone())))
        };
        let values = self.values.iter().map(one).collect::<Result<_, arrow::error::ArrowError>>();
        Ok(Self { values: values.map_err(|error| Error::internal("rows of a window").caused_by(error))? })
    }
}

// === impl Groups ===

impl Groups {
    /// Groups that remember nothing but their keys.
    pub(crate) fn without_states() -> Self {
        Self { accumulators: Vec::new(), numbers: Vec::new(), places: Places::Few(HashMap::new()) }
    }

    /// Key numbers of the groups, in order.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The group of each key number; new ones stand behind the others. `keys` is above every key number.
    pub(crate) fn place(&mut self, numbers: &[usize], keys: usize) -> Vec<usize> {
        self.places.prepare(self.numbers.len() + numbers.len(), keys);
        let groups = &mut self.numbers;
        let mut add = |number: u32| {
            groups.push(number);
            groups.len() as u32 - 1
        };
        match &mut self.places {
            Places::Few(places) => {
                let mut place = |number| *places.entry(number).or_insert_with(|| add(number)) as usize;
                numbers.iter().map(|number| place(*number as u32)).collect()
            }
            Places::Table(places) => {
                let mut place = |number: usize| {
                    let place = &mut places[number];
                    if *place == NONE {
                        *place = add(number as u32);
                    }
                    *place as usize
                };
                numbers.iter().map(|number| place(*number)).collect()
            }
        }
    }

    /// The group of a key number, if it has one.
    pub(crate) fn find(&self, number: u32) -> Option<usize> {
        let place = match &self.places {
            Places::Few(places) => places.get(&number),
            Places::Table(places) => places.get(number as usize).filter(|place| **place != NONE),
        };
        place.map(|place| *place as usize)
    }

    /// Adds rows to their groups.
    pub(crate) fn update(&mut self, arguments: &Arguments, places: &[usize]) -> Result<()> {
        let total = self.numbers.len();
        for (accumulator, (values, filter)) in self.accumulators.iter_mut().zip(&arguments.values) {
            accumulator.update_batch(values, places, filter.as_ref(), total).map_err(failed)?;
        }
        Ok(())
    }

    /// Adds states to their groups.
    pub(crate) fn merge(&mut self, aggregates: &Aggregates, states: &[ArrayRef], places: &[usize]) -> Result<()> {
        let (total, mut from) = (self.numbers.len(), 0);
        for (accumulator, function) in self.accumulators.iter_mut().zip(&aggregates.functions) {
            let until = from + function.states.len();
            accumulator.merge_batch(&states[from..until], places, total).map_err(failed)?;
            from = until;
        }
        Ok(())
    }

    /// The results, a row per group.
    pub(crate) fn results(&mut self) -> Result<Vec<ArrayRef>> {
        self.accumulators.iter_mut().map(|accumulator| accumulator.evaluate(EmitTo::All).map_err(failed)).collect()
    }

    /// The states, a row per group.
    pub(crate) fn seal(mut self) -> Result<Sealed> {
        let mut states = Vec::new();
        for accumulator in &mut self.accumulators {
            states.extend(accumulator.state(EmitTo::All).map_err(failed)?);
        }
        Ok(Sealed { numbers: self.numbers, states })
    }

    /// Takes over new key numbers.
    pub(crate) fn renumber(&mut self, moved: &[u32], keys: usize) {
        self.numbers.iter_mut().for_each(|number| *number = moved[*number as usize]);
        self.places = Places::Few((0u32..).zip(&self.numbers).map(|(place, number)| (*number, place)).collect());
        self.places.prepare(self.numbers.len(), keys);
    }

    /// Bytes that the groups hold.
    pub(crate) fn bytes(&self) -> usize {
        let places = match &self.places {
            Places::Few(places) => 3 * places.capacity(),
            Places::Table(places) => places.capacity(),
        };
        let tables = (self.numbers.capacity() + places) * size_of::<u32>();
        tables + self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>()
    }
}

// === impl Places ===

impl Places {
    /// Makes a table where `groups` groups are a fair share of `keys` keys: it is faster, and no larger then.
    fn prepare(&mut self, groups: usize, keys: usize) {
        if let Self::Few(few) = self {
            if groups * 8 < keys {
                return;
            }
            let mut table = vec![NONE; keys];
            few.iter().for_each(|(number, place)| table[*number as usize] = *place);
            *self = Self::Table(table);
        }
        if let Self::Table(table) = self
            && table.len() < keys
        {
            table.resize(keys, NONE);
        }
    }
}

// === impl Sealed ===

impl Sealed {
    /// The states of some groups only.
    pub(crate) fn states_of(&self, groups: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let taken = self.states.iter().map(|column| take(column, groups, None)).collect::<Result<_, _>>();
        taken.map_err(|error| Error::internal("states of some groups").caused_by(error))
    }

    /// The groups of some keys only.
    pub(crate) fn of_keys(&self, keys: &BTreeSet<u32>) -> Result<Self> {
        let groups = (0u32..).zip(&self.numbers).filter(|(_, number)| keys.contains(number));
        let (groups, numbers): (Vec<u32>, Vec<u32>) = groups.unzip();
        Ok(Self { numbers, states: self.states_of(&UInt32Array::from(groups))? })
    }

    /// Takes over new key numbers.
    pub(crate) fn renumber(&mut self, moved: &[u32]) {
        self.numbers.iter_mut().for_each(|number| *number = moved[*number as usize]);
    }

    /// Bytes that the states hold.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.numbers.capacity() * size_of::<u32>();
        numbers + self.states.iter().map(|column| column.get_array_memory_size()).sum::<usize>()
    }
}

pub(crate) fn failed(error: DataFusionError) -> Error {
    failure("aggregate function", error)
}
