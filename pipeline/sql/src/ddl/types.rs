//! Column types of declarations.

use crate::ddl::normal;
use crate::text::{Statement, place};
use arrow::datatypes::DataType;
use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use citystream_model::stream::timestamp_type;
use datafusion::sql::sqlparser::ast::{ColumnDef, ColumnOption, DataType as SqlType, ExactNumberInfo, TimezoneInfo};

/// A declared column: name, type, and whether it may be null.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) nullable: bool,
}

/// Reads the columns of a declaration, refusing what it does not know.
pub(super) fn columns(statement: &Statement, columns: &[ColumnDef]) -> Result<Vec<Declared>, Vec<Diagnostic>> {
    let (mut read, mut findings): (Vec<Declared>, Vec<_>) = (Vec::new(), Vec::new());
    for column in columns {
        match declared(statement, column) {
            Ok(new) if read.iter().any(|old| old.name == new.name) => {
                let message = format!("column '{}' is declared twice", new.name);
                findings.push(statement.finding("S011", place(column.name.span.start), message, "rename one of them"));
            }
            Ok(new) => read.push(new),
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() { Ok(read) } else { Err(findings) }
}

fn declared(statement: &Statement, column: &ColumnDef) -> Result<Declared, Diagnostic> {
    let at = place(column.name.span.start);
    let name = normal(&column.name);
    if name.starts_with('_') {
        let message = format!("column '{name}' starts with '_', which is kept for the hidden columns");
        return Err(statement.finding(
            "S012",
            at,
            message,
            "rename it and say where it stands: 'path.<column>' '/_field'",
        ));
    }
    let mut nullable = true;
    for option in &column.options {
        match &option.option {
            ColumnOption::NotNull => nullable = false,
            ColumnOption::Null => {}
            other => {
                let message = format!("column '{name}': found {other}, expected NOT NULL or nothing");
                return Err(statement.finding("S003", at, message, "remove it"));
            }
        }
    }
    let data_type = arrow_type(&column.data_type).ok_or_else(|| {
        let message = format!("column '{name}': found the type {}, which is not supported", column.data_type);
        statement.finding("S020", at, message, instead(&name, &column.data_type.to_string()))
    })?;
    Ok(Declared { name, data_type, nullable })
}

const TIME: &str =
    "write TIMESTAMP: UTC in microseconds; an offset in the text is read, and 'time.zone' says what no offset means";
const TEXT: &str = "write TEXT";
const BIGINT: &str = "write BIGINT";
/// How types of other systems begin, and ours.
const INSTEAD: [(&[&str], &str); 7] = [
    (&["TIMESTAMP", "DATETIME"], TIME),
    (
        &[
            "VARCHAR",
            "CHAR",
            "NVARCHAR",
            "UUID",
            "BYTEA",
            "BYTES",
            "BINARY",
            "VARBINARY",
            "BLOB",
            "TIME",
            "ENUM",
            "CLOB",
        ],
        TEXT,
    ),
    (&["INT64", "UINT", "LONG", "BIGSERIAL", "SERIAL", "INT8", "INT256", "INT128"], BIGINT),
    (&["INT32", "INT16", "MEDIUMINT"], "write INT"),
    (&["FLOAT64", "DOUBLE", "FLOAT", "REAL"], "write DOUBLE"),
    (&["DECIMAL", "NUMERIC", "BIGDECIMAL"], "write DECIMAL(p, s), p from 1 to 38 and s from 0 to p"),
    (&["INTERVAL"], "write BIGINT or DOUBLE, a number of seconds"),
];
/// How types begin whose values have parts.
const NESTED: [&str; 6] = ["JSON", "STRUCT", "ARRAY", "MAP", "ROW", "OBJECT"];
const KNOWN: [&str; 12] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "TEXT",
    "STRING",
    "DATE",
    "TIMESTAMP",
];

/// What to write instead of a type that is not supported.
fn instead(name: &str, sql: &str) -> String {
    let upper = sql.to_uppercase();
    let begins = |words: &[&str]| words.iter().any(|word| upper.starts_with(word));
    if upper.contains('[') || begins(&NESTED) {
        return format!(
            "declare each field that you need as a column of its own: speed DOUBLE with 'path.speed' '/{name}/speed'"
        );
    }
    if upper.contains("UNSIGNED") {
        return BIGINT.to_owned();
    }
    if let Some((_, help)) = INSTEAD.iter().find(|(words, _)| begins(words)) {
        return (*help).to_owned();
    }
    match nearest(&upper, KNOWN) {
        Some(near) => format!("did you mean {near}?"),
        None => "use BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), TEXT, DATE or TIMESTAMP"
            .to_owned(),
    }
}

/// The Arrow type of a declared SQL type.
pub(crate) fn arrow_type(sql: &SqlType) -> Option<DataType> {
    Some(match sql {
        SqlType::Boolean | SqlType::Bool => DataType::Boolean,
        SqlType::TinyInt(None) => DataType::Int8,
        SqlType::SmallInt(None) | SqlType::Int2(None) => DataType::Int16,
        SqlType::Int(None) | SqlType::Integer(None) | SqlType::Int4(None) => DataType::Int32,
        SqlType::BigInt(None) | SqlType::Int8(None) => DataType::Int64,
        SqlType::Real | SqlType::Float4 => DataType::Float32,
        SqlType::Float(ExactNumberInfo::None) => DataType::Float32,
        SqlType::Double(ExactNumberInfo::None) | SqlType::DoublePrecision | SqlType::Float8 => DataType::Float64,
        SqlType::Text | SqlType::Varchar(None) | SqlType::String(None) | SqlType::CharVarying(None) => DataType::Utf8,
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp(None | Some(6), TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => timestamp_type(),
        SqlType::Decimal(ExactNumberInfo::PrecisionAndScale(p, s))
        | SqlType::Numeric(ExactNumberInfo::PrecisionAndScale(p, s)) => decimal(*p, *s)?,
        SqlType::Decimal(ExactNumberInfo::Precision(p)) | SqlType::Numeric(ExactNumberInfo::Precision(p)) => {
            decimal(*p, 0)?
        }
        _ => return None,
    })
}

/// A type as SQL calls it.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float16 | DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".into(),
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP".into(),
        DataType::Timestamp(..) => "TIMESTAMP WITH TIME ZONE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("DECIMAL({p}, {s})"),
        DataType::List(field) | DataType::LargeList(field) => format!("{}[]", sql_name(field.data_type())),
        DataType::Struct(_) => "STRUCT".into(),
        DataType::Map(..) => "MAP".into(),
        other => other.to_string().to_uppercase(),
    }
}

fn decimal(precision: u64, scale: i64) -> Option<DataType> {
    let (p, s) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    ((1..=38).contains(&p) && s >= 0 && s.unsigned_abs() <= p).then_some(DataType::Decimal128(p, s))
}
