//! The JSON text of one value of any Arrow type that a result can have.
//!
//! | type | text |
//! |---|---|
//! | integers, decimals, floats | numbers; decimals with all digits, floats so that they read back the same |
//! | NULL, NaN, infinities | `null` |
//! | timestamps, dates, times, durations, intervals | `temporal` |
//! | binary | hexadecimal text in lower case |
//! | lists, structs, maps | arrays, objects, objects with their keys as text |
//! | dictionaries, run ends | what they stand for |
//! | unions | refused |

use super::temporal;
use arrow::array::{Array, AsArray, MapArray, StructArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::downcast_dictionary_array;
use std::io::{self, Write};

/// The type, or the one inside of it, that has no text.
pub(super) fn refused(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Union(..) => Some(data_type),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _)
        | DataType::RunEndEncoded(_, field) => refused(field.data_type()),
        DataType::Struct(fields) => fields.iter().find_map(|field| refused(field.data_type())),
        DataType::Dictionary(_, value) => refused(value),
        _ => None,
    }
}

/// Appends the value of `row`.
pub(super) fn value(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> io::Result<()> {
    if array.is_null(row) {
        return out.write_all(b"null");
    }
    match array.data_type() {
        DataType::Null => out.write_all(b"null"),
        DataType::Boolean => out.write_all(if array.as_boolean().value(row) { b"true" } else { b"false" }),
        DataType::Int8 => number::<Int8Type>(out, array, row),
        DataType::Int16 => number::<Int16Type>(out, array, row),
        DataType::Int32 => number::<Int32Type>(out, array, row),
        DataType::Int64 => number::<Int64Type>(out, array, row),
        DataType::UInt8 => number::<UInt8Type>(out, array, row),
        DataType::UInt16 => number::<UInt16Type>(out, array, row),
        DataType::UInt32 => number::<UInt32Type>(out, array, row),
        DataType::UInt64 => number::<UInt64Type>(out, array, row),
        DataType::Float16 => json(out, &array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => number::<Float32Type>(out, array, row),
        DataType::Float64 => number::<Float64Type>(out, array, row),
        DataType::Decimal32(_, scale) => decimal(out, array.as_primitive::<Decimal32Type>().value(row), *scale),
        DataType::Decimal64(_, scale) => decimal(out, array.as_primitive::<Decimal64Type>().value(row), *scale),
        DataType::Decimal128(_, scale) => decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Decimal256(_, scale) => decimal(out, array.as_primitive::<Decimal256Type>().value(row), *scale),
        DataType::Utf8 => json(out, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => json(out, array.as_string::<i64>().value(row)),
        DataType::Utf8View => json(out, array.as_string_view().value(row)),
        DataType::Binary => hex(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(out, array.as_fixed_size_binary().value(row)),
        other if temporal::is_temporal(other) => temporal::value(out, array, row),
        _ => nested(out, array, row),
    }
}

// === scalars ===

fn number<T: ArrowPrimitiveType<Native: serde::Serialize>>(
    out: &mut Vec<u8>,
    array: &dyn Array,
    row: usize,
) -> io::Result<()> {
    json(out, &array.as_primitive::<T>().value(row))
}

/// Text in quotes, integers as they are, floats in the shortest way that reads back the same, `null` if not finite.
fn json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// `unscaled` times 10^-`scale`, with all digits.
fn decimal(out: &mut Vec<u8>, unscaled: impl ToString, scale: i8) -> io::Result<()> {
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let places = usize::from(scale.unsigned_abs());
    out.write_all(sign.as_bytes())?;
    if scale <= 0 {
        let zeros = if digits == "0" { 0 } else { places };
        return write!(out, "{digits}{}", "0".repeat(zeros));
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    write!(out, "{whole}.{fraction}")
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.push(b'"');
    Ok(())
}

// === nested ===

fn nested(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> io::Result<()> {
    match array.data_type() {
        DataType::List(_) => list(out, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(out, &array.as_list::<i64>().value(row)),
        DataType::ListView(_) => list(out, &array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => list(out, &array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(out, &array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => object(out, array.as_struct(), row),
        DataType::Map(..) => map(out, array.as_map(), row),
        DataType::Dictionary(..) => dictionary(out, array, row),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => run::<Int16Type>(out, array, row),
            DataType::Int32 => run::<Int32Type>(out, array, row),
            _ => run::<Int64Type>(out, array, row),
        },
        other => Err(unknown(other)),
    }
}

fn list(out: &mut Vec<u8>, items: &dyn Array) -> io::Result<()> {
    out.push(b'[');
    for item in 0..items.len() {
        if item > 0 {
            out.push(b',');
        }
        value(out, items, item)?;
    }
    out.push(b']');
    Ok(())
}

fn object(out: &mut Vec<u8>, fields: &StructArray, row: usize) -> io::Result<()> {
    out.push(b'{');
    for (at, (field, column)) in fields.fields().iter().zip(fields.columns()).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json(out, field.name())?;
        out.push(b':');
        value(out, column, row)?;
    }
    out.push(b'}');
    Ok(())
}

fn map(out: &mut Vec<u8>, map: &MapArray, row: usize) -> io::Result<()> {
    let entries = map.value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    out.push(b'{');
    for entry in 0..entries.len() {
        if entry > 0 {
            out.push(b',');
        }
        let mut key = Vec::new();
        value(&mut key, keys, entry)?;
        if key.starts_with(b"\"") {
            out.extend(key);
        } else {
            json(out, &String::from_utf8_lossy(&key))?;
        }
        out.push(b':');
        value(out, values, entry)?;
    }
    out.push(b'}');
    Ok(())
}

fn dictionary(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> io::Result<()> {
    downcast_dictionary_array!(
        array => match array.key(row) {
            Some(key) => value(out, array.values(), key),
            None => out.write_all(b"null"),
        },
        other => Err(unknown(other)),
    )
}

fn run<E: RunEndIndexType>(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> io::Result<()> {
    let runs = array.as_run::<E>();
    value(out, runs.values(), runs.get_physical_index(row))
}

/// Cannot be after [`refused`].
fn unknown(data_type: &DataType) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("found type {data_type}, expected a type that JSON can carry"))
}

#[cfg(test)]
mod tests;
