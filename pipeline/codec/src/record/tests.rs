//! A buffer of records gives back what was put in, whole or in parts.

use super::*;

fn record(offset: i64, key: Option<&'static str>, value: Option<&'static str>, headers: &[&str]) -> Record {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let header = |name: &&str| ((*name).to_owned(), (*name != "null").then(|| Bytes::copy_from_slice(name.as_bytes())));
    Record {
        offset,
        timestamp: offset * 10,
        key: key.map(bytes),
        value: value.map(bytes),
        headers: headers.iter().map(header).collect(),
    }
}

fn some() -> Vec<Record> {
    vec![
        record(3, Some("k"), Some("one"), &[]),
        record(4, None, Some(""), &["a", "null", "a"]),
        record(7, Some(""), None, &[]),
        record(9, None, None, &["", "z"]),
    ]
}

#[test]
fn records_come_back_as_they_went_in() {
    let records = Records::from(&some()[..]);
    assert_eq!(records.to_vec(), some());
    assert_eq!((records.len(), records.byte_len()), (4, 4 + 8 + 2));
    assert_eq!((records.first().unwrap().offset, records.last().unwrap().offset), (3, 9));
    assert_eq!(Records::default().to_vec(), []);
}

#[test]
fn a_cut_leaves_both_parts_whole() {
    for at in 0..=5 {
        let mut records = Records::from(&some()[..]);
        let rest = records.split_off(at);
        let all = some();
        let (first, second) = all.split_at(at.min(4));
        assert_eq!((records.to_vec(), rest.to_vec()), (first.to_vec(), second.to_vec()), "{at}");
        records.push(20, 0, None, Some(b"new"));
        records.push_header("h", None);
        assert_eq!(records.last().unwrap().to_owned().headers, [("h".to_owned(), None)]);
    }
}

#[test]
fn records_at_an_offset_are_cut_off() {
    for (offset, left) in [(0, 0), (3, 0), (4, 1), (5, 2), (9, 3), (10, 4)] {
        let mut records = Records::from(&some()[..]);
        records.truncate_at(offset);
        assert_eq!(records.to_vec(), some()[..left], "{offset}");
    }
}

#[test]
fn equality_is_of_the_records_and_not_of_the_buffers() {
    let mut cut = Records::from(&some()[..]);
    let rest = cut.split_off(2);
    assert_eq!(rest, Records::from(&some()[2..]));
    assert_ne!(cut, rest);
}
