//! Job files to checked jobs.

use crate::batch::BatchTwin;
use crate::catalog::Catalog;
use crate::claims::claim_names;
use crate::ddl::sink::Sink;
use crate::ddl::{self, job, literal_pairs};
use crate::depends::{streams_of, tables_of};
use crate::plan::window_node::prune_empty;
use crate::plan::{calls, compare, lower, order, output};
use crate::session::session;
use crate::text::{Place, SqlFile, Statement};
use crate::walk::walk;
use crate::{emit, finding};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use citystream_functions::ExpressionErrors;
use citystream_model::catalog::Connectors;
use citystream_model::job::{JobSpec, LatePolicy, PartitionBy};
use citystream_model::nearest::nearest;
use citystream_model::stream::Stream;
use citystream_model::{Diagnostic, Error, Result};
use citystream_operators::plan::{Keeps, NodeKind, StreamPlan};
use citystream_operators::trial::try_operators;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement, TableObject};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of the reference tables, by name.
pub type Tables = BTreeMap<String, (SchemaRef, Vec<RecordBatch>)>;

/// A job that may run.
pub struct CheckedJob {
    /// Its policies.
    pub spec: JobSpec,
    /// The streams it reads, in the order of the plan's inputs.
    pub streams: Vec<Arc<Stream>>,
    /// The reference tables it reads, each with a hash of its rows.
    pub tables: BTreeMap<String, String>,
    /// The columns it publishes.
    pub schema: SchemaRef,
    /// The operators that run it.
    pub plan: StreamPlan,
    /// What the operators were made of.
    pub(crate) optimized: LogicalPlan,
    /// The same SQL over rows in hand.
    pub twin: BatchTwin,
    /// Rows on which an expression failed, so far.
    pub errors: ExpressionErrors,
}

// === impl CheckedJob ===

impl CheckedJob {
    /// The plan with the operators that serve all shapes only: slower, and a check of the faster ones.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion cannot plan what it has planned before.
    pub fn reference(&self) -> Result<StreamPlan> {
        lower::lower(&self.optimized, &self.streams, wants_origin(&self.spec), false, &self.plan.session)
            .map_err(|error| Error::internal("reference plan").caused_by(error))
    }
}

/// True when a sink wants to know where a row came from.
fn wants_origin(spec: &JobSpec) -> bool {
    spec.sinks.iter().any(|sink| sink.scheme == "kafka")
}

/// A job as it is written: its policies and its query.
struct Written {
    statement: Statement,
    spec: JobSpec,
    at: Place,
    query: Query,
    /// Columns that an `INSERT INTO` sink declares.
    declared: Option<SchemaRef>,
}

/// Checks the jobs of `files` against `catalog`; `tables` holds the rows of the reference tables.
///
/// # Errors
/// All findings, in the order of the files: then nothing may start.
pub fn compile(
    files: &[SqlFile],
    catalog: &Catalog,
    tables: &Tables,
    connectors: &dyn Connectors,
) -> Result<Vec<CheckedJob>, Vec<Diagnostic>> {
    let (mut jobs, mut findings, mut names) = (Vec::new(), Vec::new(), BTreeMap::new());
    for file in files {
        let (written, found) = read(file, connectors);
        let from = findings.len();
        let is_bare = written.is_empty() && found.is_empty();
        findings.extend(found);
        if is_bare {
            let help = "write CREATE MATERIALIZED VIEW name WITH (...) AS SELECT ...";
            findings.push(Diagnostic::new("S002", (1, 1), "the file holds no job", help).in_file(&file.name));
        }
        for job in written {
            match check(job, catalog, tables, connectors, &mut names) {
                Ok(job) => jobs.push(job),
                Err(finding) => findings.push(finding),
            }
        }
        findings[from..].sort_by_key(|finding: &Diagnostic| (finding.line, finding.column));
    }
    if findings.is_empty() { Ok(jobs) } else { Err(findings) }
}

/// Reads the jobs of one file, and says what is wrong with the rest.
fn read(file: &SqlFile, connectors: &dyn Connectors) -> (Vec<Written>, Vec<Diagnostic>) {
    let (mut sinks, mut jobs, mut findings): (Vec<Sink>, Vec<Written>, Vec<Diagnostic>) =
        (Vec::new(), Vec::new(), Vec::new());
    let mut broken = Vec::new();
    let statements = match file.statements() {
        Ok(statements) => statements,
        Err(finding) => return (jobs, vec![finding]),
    };
    for statement in statements {
        let read = match ddl::flink::refuse_in_job(&statement).and_then(|()| statement.parse()) {
            Err(finding) => Err(vec![finding]),
            Ok(Parsed::CreateExternalTable(create)) if create.unbounded => {
                let help = "declare it in <schemas>/<stream>/stream.sql";
                Err(vec![statement.finding(
                    "S002",
                    statement.start(),
                    "found the declaration of a stream, expected a job",
                    help,
                )])
            }
            Ok(Parsed::CreateExternalTable(create)) => {
                let sink = ddl::sink::read(&statement, &create, connectors).and_then(|sink| declare(sink, &mut sinks));
                sink.inspect_err(|_| broken.push(create.name.to_string()))
            }
            Ok(Parsed::Statement(parsed)) => {
                written(&statement, *parsed, &mut sinks, connectors).map(|job| jobs.push(job))
            }
            Ok(_) => Err(vec![not_a_job(&statement)]),
        };
        findings.extend(read.err().unwrap_or_default());
    }
    // What else is said of a sink whose declaration is wrong would only follow from that.
    findings.retain(|finding| !broken.iter().any(|name| finding.message == not_declared(name)));
    if !findings.is_empty() {
        // A statement that is wrong may be the one that uses a sink.
        return (jobs, findings);
    }
    for sink in sinks.into_iter().filter(|sink| !sink.used) {
        let help = format!("add INSERT INTO {} SELECT ..., or remove the declaration", sink.name);
        findings.push(sink.statement.finding(
            "S011",
            sink.at,
            format!("nothing is inserted into the sink '{}'", sink.name),
            help,
        ));
    }
    (jobs, findings)
}

fn written(
    statement: &Statement,
    parsed: SqlStatement,
    sinks: &mut [Sink],
    connectors: &dyn Connectors,
) -> Result<Written, Vec<Diagnostic>> {
    match parsed {
        SqlStatement::CreateView(view) => {
            ddl::refuse_view_clauses(statement, &view).map_err(|finding| vec![finding])?;
            let (name, at) = ddl::plain_name(statement, &view.name, "job").map_err(|finding| vec![finding])?;
            let pairs = literal_pairs(statement, &view.options).map_err(|finding| vec![finding])?;
            let spec = job::read(statement, name, pairs, None, connectors)?;
            Ok(Written { statement: statement.clone(), spec, at, query: *view.query, declared: None })
        }
        SqlStatement::Insert(insert) => {
            ddl::refuse_insert_clauses(statement, &insert).map_err(|finding| vec![finding])?;
            let (TableObject::TableName(target), Some(query)) = (&insert.table, insert.source) else {
                return Err(vec![not_a_job(statement)]);
            };
            let (name, at) = ddl::plain_name(statement, target, "sink").map_err(|finding| vec![finding])?;
            let near = nearest(&name, sinks.iter().map(|sink| sink.name.as_str()))
                .map(|near| format!("did you mean '{near}'?"));
            let Some(sink) = sinks.iter_mut().find(|sink| sink.name == name) else {
                let declare = || {
                    format!(
                        "declare it before, in the same file: CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{name}'"
                    )
                };
                return Err(vec![statement.finding("S010", at, not_declared(&name), near.unwrap_or_else(declare))]);
            };
            if std::mem::replace(&mut sink.used, true) {
                let help = "put both SELECTs into one INSERT with UNION ALL, or declare two sinks";
                return Err(vec![statement.finding(
                    "S011",
                    at,
                    format!("two statements insert into the sink '{name}'"),
                    help,
                )]);
            }
            let sink = sink.clone();
            let spec = job::read(&sink.statement, name, sink.options, Some(sink.target), connectors)?;
            Ok(Written { statement: statement.clone(), spec, at, query: *query, declared: sink.schema })
        }
        _ => Err(vec![not_a_job(statement)]),
    }
}

fn not_declared(sink: &str) -> String {
    format!("the sink '{sink}' is not declared")
}

fn declare(sink: Sink, sinks: &mut Vec<Sink>) -> Result<(), Vec<Diagnostic>> {
    if sinks.iter().any(|other| other.name == sink.name) {
        return Err(vec![sink.statement.finding(
            "S011",
            sink.at,
            format!("the sink '{}' is declared twice", sink.name),
            "rename one of them",
        )]);
    }
    sinks.push(sink);
    Ok(())
}

fn not_a_job(statement: &Statement) -> Diagnostic {
    let help = "a job is CREATE MATERIALIZED VIEW name WITH (...) AS SELECT ..., or CREATE EXTERNAL TABLE ... with INSERT INTO ... SELECT";
    statement.finding("S002", statement.start(), format!("found {}, expected a job", statement.head()), help)
}

fn check(
    job: Written,
    catalog: &Catalog,
    tables: &Tables,
    connectors: &dyn Connectors,
    names: &mut BTreeMap<String, String>,
) -> Result<CheckedJob, Diagnostic> {
    let Written { statement, mut spec, at, mut query, declared } = job;
    walk(&statement, &mut query, catalog)?;
    output::check_names(&statement, &query)?;
    let errors = ExpressionErrors::new();
    let state = session_with(&errors, catalog, tables).map_err(|error| finding::of_error(&statement, &error))?;
    let planned = plan(&statement, query, &state, catalog).and_then(|plan| {
        let used = streams_of(&plan, catalog)?;
        let read = tables_of(&plan, tables)?;
        let optimized = optimize(&plan, &state)?;
        calls::try_all(&optimized, &state)?;
        let lowered = lower::lower(&optimized, &used, wants_origin(&spec), true, &state)?;
        let twin = BatchTwin::new(plan, state);
        can_run(&lowered, &twin)?;
        Ok((twin, used, read, lowered, optimized))
    });
    let (twin, streams, tables, mut lowered, optimized) = planned
        .map_err(|error| finding::precise(&statement, located(finding::of_error(&statement, &error), &statement)))?;
    // Constants that failed while they were folded are no rows.
    errors.reset();
    emit::apply(&statement, &mut spec, &mut lowered, &optimized)?;
    claim_names(&statement, at, &spec, &streams, catalog, names)?;
    let schema = Arc::clone(&lowered.output.schema);
    check_columns(&statement, &spec, &schema, declared.as_ref(), connectors)?;
    check_late_tables(&statement, &spec, &streams, connectors)?;
    Ok(CheckedJob { spec, streams, tables, schema, plan: lowered, optimized, twin, errors })
}

fn session_with(errors: &ExpressionErrors, catalog: &Catalog, tables: &Tables) -> PlanResult<SessionState> {
    let state = session(errors);
    let schema = state.catalog_list().catalog("datafusion").and_then(|catalog| catalog.schema("public"));
    let Some(schema) = schema else { return datafusion::common::internal_err!("no default schema") };
    for (name, stream) in &catalog.streams {
        schema.register_table(name.clone(), Arc::new(EmptyTable::new(stream.full_schema())))?;
    }
    for (name, (columns, batches)) in tables {
        let table: Arc<dyn TableProvider> = Arc::new(MemTable::try_new(Arc::clone(columns), vec![batches.clone()])?);
        schema.register_table(name.clone(), table)?;
    }
    Ok(state)
}

/// The query's plan: names resolved, a total order wherever order matters, output types settled.
fn plan(statement: &Statement, query: Query, state: &SessionState, catalog: &Catalog) -> PlanResult<LogicalPlan> {
    let parsed = Parsed::Statement(Box::new(SqlStatement::Query(Box::new(query))));
    // All tables are in memory, so resolving them waits for nothing.
    let plan = state.statement_to_plan(parsed).now_or_never();
    let plan = plan.unwrap_or_else(|| datafusion::common::internal_err!("planning waited for something"))?;
    order::refuse_stream_subqueries(&plan, statement, &|name| catalog.streams.contains_key(name))?;
    compare::refuse_mixed(&plan)?;
    let plan = order::make_total(plan, statement)?;
    output::normalize(plan, statement, state.config_options())
}

/// Plans everything that will run, live and in batch, so that nothing is found wrong after the start.
fn can_run(lowered: &StreamPlan, twin: &BatchTwin) -> PlanResult<()> {
    // All tables are in memory, so planning waits for nothing.
    let at_once = || datafusion::common::internal_datafusion_err!("planning waited for something");
    for node in &lowered.nodes {
        let fragments = match &node.kind {
            NodeKind::ClosedWindow { fragment, keeps: Keeps::First(pruning) } => vec![fragment, &pruning.fragment],
            NodeKind::Stateless(fragment) | NodeKind::ClosedWindow { fragment, .. } => vec![fragment],
            NodeKind::Pane(_) | NodeKind::Session(_) | NodeKind::SessionPane(_) => Vec::new(),
        };
        for fragment in fragments {
            let planner = lowered.session.query_planner();
            planner.create_physical_plan(&fragment.plan, &lowered.session).now_or_never().ok_or_else(at_once)??;
        }
    }
    try_operators(lowered).map_err(|error| DataFusionError::External(Box::new(error)))?;
    twin.try_plan(&BTreeMap::new()).now_or_never().ok_or_else(at_once)?.map(drop)
}

/// DataFusion's optimizer, until no window is left over an input that it has found to be empty.
fn optimize(plan: &LogicalPlan, state: &SessionState) -> PlanResult<LogicalPlan> {
    let mut optimized = state.optimize(plan)?;
    loop {
        let (pruned, again) = prune_empty(optimized)?;
        if !again {
            return Ok(pruned);
        }
        optimized = state.optimize(&pruned)?;
    }
}

/// A finding about a clause stands at the clause's word: before the column that is known, else where it first stands.
fn located(mut finding: Diagnostic, statement: &Statement) -> Diagnostic {
    let at = (finding.line, finding.column);
    let words: &[&str] = match finding.code {
        "S101" | "S102" => &["group", "distinct", "union", "intersect", "except", "select"],
        "S110" | "S162" => &["join", ",", "from"],
        "S120" => &["order"],
        "S140" => &["over"],
        "S161" => &["union"],
        "S121" => &["select", "values"],
        "S150" | "S152" => &["tumble", "hop", "cumulate", "session", "date_bin", "date_trunc", "from"],
        _ => return finding,
    };
    let place = if at == statement.start() {
        words.iter().find_map(|word| statement.find(word))
    } else {
        match finding.code {
            "S101" | "S102" | "S110" | "S162" => words.iter().find_map(|word| statement.find_before(word, at)),
            "S140" => statement.find_after("over", at),
            _ => None,
        }
    };
    (finding.line, finding.column) = place.unwrap_or(at);
    finding
}

/// Options and declarations that name output columns.
fn check_columns(
    statement: &Statement,
    spec: &JobSpec,
    schema: &SchemaRef,
    declared: Option<&SchemaRef>,
    connectors: &dyn Connectors,
) -> Result<(), Diagnostic> {
    let folders = if let Some(PartitionBy::Columns(columns)) = &spec.partition_by { columns.as_slice() } else { &[] };
    for (option, name) in
        spec.key.iter().map(|name| ("key", name)).chain(folders.iter().map(|name| ("partition_by", name)))
    {
        if schema.field_with_name(name).is_err() {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            let help = nearest(name, names.clone()).map_or_else(
                || format!("output columns: {}", names.collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            return Err(statement.finding(
                "S010",
                statement.locate(option),
                format!("option {option}: '{name}' is not an output column"),
                help,
            ));
        }
    }
    for sink in &spec.sinks {
        connectors.check_columns(sink, schema, &spec.folders(&sink.scheme)).map_err(|error| {
            let option = error.message().starts_with("option partition_by");
            let at = if option { statement.locate("partition_by") } else { statement.locate("select") };
            statement.finding(
                "S013",
                at,
                format!("sink '{sink}': {}", error.message()),
                "or write another sink, such as 'parquet:<name>'",
            )
        })?;
    }
    let Some(declared) = declared else { return Ok(()) };
    let (wanted, found) = (describe(declared), describe(schema));
    if wanted == found {
        Ok(())
    } else {
        let message = format!("the sink declares ({wanted}), the SELECT gives ({found})");
        Err(statement.finding(
            "S013",
            statement.locate("select"),
            message,
            "make both the same: names, types and order",
        ))
    }
}

/// Late rows have the columns of their stream, which the job's kind of table has to hold too.
fn check_late_tables(
    statement: &Statement,
    spec: &JobSpec,
    streams: &[Arc<Stream>],
    connectors: &dyn Connectors,
) -> Result<(), Diagnostic> {
    for stream in streams.iter().filter(|_| spec.late == LatePolicy::Table) {
        let sink = spec.late_sink(&stream.name, streams.len());
        connectors.check_columns(&sink, &stream.full_schema(), &PartitionBy::of(&sink.scheme)).map_err(|error| {
            let message = format!("late table '{sink}' of the stream '{}': {}", stream.name, error.message());
            statement.finding(
                "S013",
                statement.locate("sink"),
                message,
                "late = 'drop', or let the first sink be 'parquet:<name>'",
            )
        })?;
    }
    Ok(())
}

fn describe(schema: &SchemaRef) -> String {
    schema
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), ddl::types::sql_name(field.data_type())))
        .collect::<Vec<_>>()
        .join(", ")
}
