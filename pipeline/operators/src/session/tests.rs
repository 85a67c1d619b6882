//! What sessions hold is counted, keys and ends too, and given back.

use super::*;
use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::time::Duration;

#[test]
fn keys_and_ends_count() {
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, None), false);
    let input = [Field::new("k", DataType::Utf8, false), time("at")];
    let output = [input.to_vec(), vec![time("window_start"), time("window_end")]].concat();
    let (gap, schema) = (Duration::from_micros(10), Arc::new(Schema::new(output)));
    let mut session = Session::new(SessionSpec { time: 1, keys: vec![0], gap, columns: vec![0, 1], schema }).unwrap();
    let batch = |key: &str, rows: i64| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{key}{:1000}", row / 2)))),
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| row % 2 * 5))),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(input.to_vec())), columns).unwrap()
    };
    let (mut out, mut held) = (Vec::new(), 0);
    for key in ["a", "b"] {
        let batch = batch(key, 200);
        held += batch_bytes(&batch);
        session.on_batch(0, batch, &mut out).unwrap();
    }
    // Each of 200 keys is held twice: with its sessions, and with its end.
    let mut windows = OpenWindows::default();
    session.open_windows(&mut windows);
    assert_eq!(windows.count(), 200);
    let most = held + 200 * 2 * 1_300 + 400 * size_of::<Place>();
    assert!((held + 200 * 2 * 1_000..most).contains(&session.state_bytes()), "{}", session.state_bytes());
    session.on_watermark(Watermark::END, &mut out).unwrap();
    assert_eq!((out.iter().map(RecordBatch::num_rows).sum::<usize>(), session.state_bytes()), (400, 0));
}
