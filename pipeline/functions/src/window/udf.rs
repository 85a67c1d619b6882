//! Window assignment as scalar functions over event time.

use super::grid::Grid;
use super::spec::WindowSpec;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit, TimestampMicrosecondType};
use citystream_model::time::Micros;
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

type Times = PrimitiveArray<TimestampMicrosecondType>;

/// Within these bounds no step (1000 years at most) leads out of an `i64`.
const FAR: Micros = Micros::MAX / 2;

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// All windows, as a list.
    All,
    /// The start of the (first) window.
    Start,
    /// The end of the (first) window.
    End,
}

/// A function of event time, with its windows built in.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunction {
    spec: WindowSpec,
    part: Part,
    signature: Signature,
}

/// `assign_windows(time)`: all windows of a row, as `List<Struct<window_start, window_end>>`; NULL for a NULL time.
pub fn assign_windows(spec: WindowSpec) -> ScalarUDF {
    WindowFunction::udf(spec, Part::All)
}

/// `window_start(time)`: where the window of a row starts (of the first window, for those that overlap).
pub fn window_start(spec: WindowSpec) -> ScalarUDF {
    WindowFunction::udf(spec, Part::Start)
}

/// `window_end(time)`: where the window of a row ends (of the first window, for those that overlap).
pub fn window_end(spec: WindowSpec) -> ScalarUDF {
    WindowFunction::udf(spec, Part::End)
}

// === impl WindowFunction ===

impl WindowFunction {
    fn udf(spec: WindowSpec, part: Part) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Self { spec, part, signature })
    }

    fn bounds(&self, times: &Times) -> Times {
        let near = times.values().iter().all(|at| (-FAR..FAR).contains(at));
        if let (Grid::Fixed { step }, true, true) = (self.spec.starts(), self.spec.is_tumble(), near) {
            let shift = if self.part == Part::End { step } else { 0 };
            return times.unary(|at| at - at.rem_euclid(step) + shift);
        }
        let mut window = None;
        let bounds = times.iter().map(|at| {
            let at = at?;
            let known = window.filter(|(start, end)| self.spec.is_tumble() && (*start..*end).contains(&at));
            window = known.or_else(|| self.spec.first(at));
            window.map(|(start, end)| if self.part == Part::End { end } else { start })
        });
        bounds.collect()
    }

    fn lists(&self, times: &Times) -> Result<ListArray> {
        let (mut lengths, mut windows) = (Vec::with_capacity(times.len()), Vec::<(Micros, Micros)>::new());
        for at in times {
            let before = windows.len();
            if let Some(at) = at {
                self.spec.windows(at, &mut windows);
            }
            lengths.push(windows.len() - before);
        }
        if i32::try_from(windows.len()).is_err() {
            return Err(exec_datafusion_err!(
                "{}: found {} windows in one batch, expected fewer",
                self.spec,
                windows.len()
            ));
        }
        let column = |bound: fn(&(Micros, Micros)) -> Micros| {
            let times = Times::from_iter_values(windows.iter().map(bound)).with_data_type(times.data_type().clone());
            Arc::new(times) as ArrayRef
        };
        let columns = vec![column(|window| window.0), column(|window| window.1)];
        let structs = StructArray::try_new(window_fields(times.data_type()), columns, None)?;
        let nulls: Option<NullBuffer> = times.logical_nulls();
        let field = Arc::new(Field::new_list_field(structs.data_type().clone(), false));
        Ok(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(structs), nulls)?)
    }
}

impl ScalarUDFImpl for WindowFunction {
    fn name(&self) -> &str {
        match self.part {
            Part::All => "assign_windows",
            Part::Start => "window_start",
            Part::End => "window_end",
        }
    }

    /// Two specifications in one query are two columns.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({}, {})", self.name(), args.join(", "), self.spec))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Timestamp(_, zone)] => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone.clone())]),
            [DataType::Null] => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, None)]),
            other => plan_err!("{}: found arguments {other:?}, expected one timestamp", self.name()),
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let time =
            arg_types.first().ok_or_else(|| internal_datafusion_err!("{}: expected a timestamp", self.name()))?;
        Ok(match self.part {
            Part::All => DataType::List(Arc::new(Field::new_list_field(DataType::Struct(window_fields(time)), false))),
            Part::Start | Part::End => time.clone(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let times = arrays.first().and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let times =
            times.ok_or_else(|| exec_datafusion_err!("{}: expected a timestamp in microseconds", self.name()))?;
        let result: ArrayRef = match self.part {
            Part::All => Arc::new(self.lists(times)?),
            Part::Start | Part::End => Arc::new(self.bounds(times).with_data_type(times.data_type().clone())),
        };
        Ok(ColumnarValue::Array(result))
    }
}

fn window_fields(time: &DataType) -> Fields {
    Fields::from(vec![Field::new("window_start", time.clone(), false), Field::new("window_end", time.clone(), false)])
}
