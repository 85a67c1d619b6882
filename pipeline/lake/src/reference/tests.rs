//! Reference tables from files: header order, types, nulls, and what is refused.

use super::*;
use arrow::datatypes::{DataType, Field};
use arrow::util::pretty::pretty_format_batches;

fn check(text: &str, expect: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zones.csv");
    std::fs::write(&path, text).unwrap();
    let fields = vec![Field::new("id", DataType::Utf8, false), Field::new("area", DataType::Float64, true)];
    let table = Table {
        name: "zones".into(),
        schema: Some(Arc::new(Schema::new(fields))),
        format: TableFormat::Csv { has_header: true, delimiter: b',' },
        location: path.to_string_lossy().into_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let loaded =
        load(&table, runtime.handle()).map(|(_, batches)| pretty_format_batches(&batches).unwrap().to_string());
    match (loaded, expect) {
        (Ok(found), Ok(expect)) => {
            assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expect.split_whitespace().collect::<Vec<_>>())
        }
        (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
        (found, expect) => panic!("found {found:?}, expected {expect:?}"),
    }
}

#[test]
fn columns_go_by_their_names() {
    check(
        "area,note,id\n1.5,x,a\n,y,b\n",
        Ok("+----+------+ | id | area | +----+------+ | a | 1.5 | | b | | +----+------+"),
    );
}

#[test]
fn what_is_not_as_declared_is_refused() {
    check("ident,area\na,1\n", Err("the first line has no column 'id'"));
    check("id,area\na,large\n", Err("large"));
    check("id,area\n,1\n", Err("declared NOT NULL"));
}

#[test]
fn a_delta_table_is_read_as_it_is_now() {
    use citystream_connect::files::{Naming, ParquetConfig, ParquetSink};
    use citystream_connect::{Sink, SinkRows};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap().to_owned();
    let fields = vec![Field::new("id", DataType::Utf8, false), Field::new("area", DataType::Float64, true)];
    let schema = Arc::new(Schema::new(fields));
    let named = |schema| Table { name: "zones".into(), schema, format: TableFormat::Delta, location: location.clone() };
    let error = load(&named(None), runtime.handle()).unwrap_err().to_string();
    assert!(error.contains("there is no Delta table"), "{error}");
    for (run, ids) in ["b", "a"].into_iter().enumerate() {
        let (store, prefix) = open_store(&location).unwrap();
        let place = Place { store, prefix, display: location.clone(), handle: runtime.handle().clone() };
        let (partition_by, name) = (citystream_model::job::PartitionBy::None, "delta:zones".to_owned());
        let Place { store, prefix, display, handle } = place.clone();
        let config = crate::delta::DeltaConfig {
            place,
            schema: Arc::clone(&schema),
            partition_by: partition_by.clone(),
            name: name.clone(),
            file_target: 1 << 20,
            is_replaced: false,
            duties: Default::default(),
        };
        let (log, schema) = (Some(crate::delta::log(config).unwrap()), Arc::clone(&schema));
        let naming = Naming::Run(run.to_string());
        let freshness = std::time::Duration::ZERO;
        let file_target = 1 << 20;
        let config = ParquetConfig {
            store,
            prefix,
            display,
            schema,
            partition_by,
            file_target,
            freshness,
            naming,
            handle,
            name,
            log,
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow::array::StringArray::from(vec![ids])),
            Arc::new(arrow::array::Float64Array::from(vec![run as f64])),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&config.schema), columns).unwrap();
        let mut sink = ParquetSink::open(config).unwrap();
        sink.write(&SinkRows::new(batch, vec![None]), 0).unwrap();
        sink.flush().unwrap();
    }
    let text = |schema| {
        let (_, rows) = load(&named(schema), runtime.handle()).unwrap();
        pretty_format_batches(&rows).unwrap().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // In the order of the rows, whatever the order of the files.
    assert!(text(None).contains("| id | area | +----+------+ | a | 1.0 | | b | 0.0 |"), "{}", text(None));
    let declared = Arc::new(Schema::new(vec![Field::new("area", DataType::Int64, true)]));
    assert!(text(Some(declared)).contains("| area | +------+ | 0 | | 1 |"));
}
