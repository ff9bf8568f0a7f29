//! `from_json`: column by column; a field that does not fit its type is NULL, and the others are kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder, StructArray, UInt32Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType as ArrowType;

use super::super::cast::cast;
use super::super::collections::list_of;
use super::super::datetime;
use super::super::maps::map_of_different;
use super::super::value::Value;
use super::read::parse;
use super::{Json, options};
use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar, calendar};
use crate::expr::ScalarFunction;
use crate::expr::evaluate::scalar::list_to_array;

/// The column of a struct that holds the texts of rows which do not fit.
const CORRUPT: &str = "_corrupt_record";

pub(super) struct Options {
    /// A text that does not fit is an error.
    fail_fast: bool,
    date_format: Option<String>,
    timestamp_format: Option<String>,
}

impl Options {
    pub fn new(value: Option<&Value>) -> Result<Self> {
        const UNSUPPORTED: [&str; 6] = [
            "timestampNTZFormat",
            "timeZone",
            "primitivesAsString",
            "columnNameOfCorruptRecord",
            "allowUnquotedFieldNames",
            "allowComments",
        ];
        let options = options(value, &UNSUPPORTED)?;
        let format = |name: &str| options.get(name).cloned();
        let fail_fast = match options.get("mode").map(|m| m.to_uppercase()).as_deref() {
            None | Some("PERMISSIVE") => false,
            Some("FAILFAST") => true,
            Some(mode) => {
                let message =
                    format!("The function `from_json` doesn't support the {mode} mode. Acceptable modes are PERMISSIVE and FAILFAST.");
                return Err(Error::new(ErrorClass::InvalidParameter, message));
            }
        };
        Ok(Self { fail_fast, date_format: format("dateformat"), timestamp_format: format("timestampformat") })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Whole,
    /// Some field within is NULL as it does not fit.
    Partly,
    /// The value is NULL.
    Not,
}

/// Texts, of which some are missing, as values of a type.
pub(super) fn convert(texts: &[Option<&str>], t: &DataType, options: &Options) -> Result<ArrayRef> {
    let texts: Vec<Option<&str>> = texts.iter().map(|text| text.filter(|text| !text.trim().is_empty())).collect();
    let parsed: Vec<Option<Json>> = texts.iter().map(|text| text.and_then(parse)).collect();
    let is_struct = matches!(t, DataType::Struct(_));
    // One object may stand for an array of it; what is no object is a struct without values.
    let rows: Vec<Json> = parsed
        .into_iter()
        .map(|json| match (json, t) {
            (Some(object @ Json::Object(_)), DataType::Array(e)) if matches!(e.as_ref(), DataType::Struct(_)) => Json::Array(vec![object]),
            (Some(json), _) => json,
            (None, _) => Json::Null,
        })
        .collect();
    let refs: Vec<&Json> = rows.iter().collect();
    let (array, mut fits) = column(&refs, t, options)?;
    for ((json, text), fit) in rows.iter().zip(&texts).zip(&mut fits) {
        if *json == Json::Null && text.is_some() {
            *fit = Fit::Not;
        }
    }
    if let Some(row) = fits.iter().position(|fit| *fit != Fit::Whole).filter(|_| options.fail_fast) {
        let text = texts[row].unwrap_or_default();
        let message = format!(
            "Malformed records are detected in record parsing: {text}. Parse Mode: FAILFAST. To process malformed records as null result, try setting the option 'mode' as 'PERMISSIVE'."
        );
        return Err(Error::new(ErrorClass::MalformedData, message));
    }
    if !is_struct {
        return Ok(array);
    }
    let structs = array.as_struct();
    let valid: NullBuffer = texts.iter().map(|text| text.is_some()).collect();
    let mut columns = structs.columns().to_vec();
    if let Some(at) = structs.fields().iter().position(|f| f.name() == CORRUPT && *f.data_type() == ArrowType::Utf8View) {
        let mut builder = StringViewBuilder::new();
        fits.iter().zip(&texts).for_each(|(fit, text)| builder.append_option(text.filter(|_| *fit != Fit::Whole)));
        columns[at] = Arc::new(builder.finish());
    }
    let valid = Some(valid).filter(|v| v.null_count() > 0);
    Ok(Arc::new(StructArray::try_new_with_length(structs.fields().clone(), columns, valid, texts.len())?))
}

/// Values as a column of a type, and how each fits.
fn column(values: &[&Json], t: &DataType, options: &Options) -> Result<(ArrayRef, Vec<Fit>)> {
    match t {
        DataType::Struct(fields) => structs(values, fields, options),
        DataType::Array(element) => {
            let items = |json: &'_ Json| if let Json::Array(items) = json { Some(items.len()) } else { None };
            let children: Vec<&Json> =
                values.iter().filter_map(|v| if let Json::Array(items) = v { Some(items) } else { None }).flatten().collect();
            let (child, fits) = column(&children, element, options)?;
            let (places, lengths, fits) = gather(values, items, &fits);
            let nulls = nulls_of(values, &fits);
            Ok((list_of(take(&child, &places, None)?, OffsetBuffer::from_lengths(lengths), nulls)?, fits))
        }
        DataType::Map(key, value) => {
            let items = |json: &'_ Json| if let Json::Object(fields) = json { Some(fields.len()) } else { None };
            let entries: Vec<&(String, Json)> =
                values.iter().filter_map(|v| if let Json::Object(fields) = v { Some(fields) } else { None }).flatten().collect();
            let names =
                list_to_array(&entries.iter().map(|(name, _)| Scalar::string(name.as_str())).collect::<Vec<_>>(), &DataType::String)?;
            let keys = cast(&names, &DataType::String, key, false)?;
            let (child, fits) = column(&entries.iter().map(|(_, value)| value).collect::<Vec<_>>(), value, options)?;
            let (places, lengths, fits) = gather(values, items, &fits);
            let nulls = nulls_of(values, &fits);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Ok((map_of_different(t, take(&keys, &places, None)?, take(&child, &places, None)?, offsets, nulls)?, fits))
        }
        _ => leaves(values, t, options),
    }
}

fn nulls_of(values: &[&Json], fits: &[Fit]) -> Option<NullBuffer> {
    let valid: NullBuffer = values.iter().zip(fits).map(|(v, fit)| **v != Json::Null && *fit != Fit::Not).collect();
    Some(valid).filter(|v| v.null_count() > 0)
}

/// The children of the values that fit, lengths, and how each value fits: not when one of its children does not.
fn gather(values: &[&Json], children: impl Fn(&Json) -> Option<usize>, fits: &[Fit]) -> (UInt32Array, Vec<usize>, Vec<Fit>) {
    let (mut places, mut lengths, mut whole, mut next) = (vec![], vec![], vec![], 0);
    for value in values {
        let (fit, range) = match children(value) {
            Some(length) => {
                let range = next..next + length;
                next += length;
                (fits[range.clone()].iter().copied().max().unwrap_or(Fit::Whole), range)
            }
            None if **value == Json::Null => (Fit::Whole, 0..0),
            None => (Fit::Not, 0..0),
        };
        let range = if fit == Fit::Not { 0..0 } else { range };
        lengths.push(range.len());
        places.extend(range.map(|k| k as u32));
        whole.push(fit);
    }
    (places.into(), lengths, whole)
}

fn structs(values: &[&Json], fields: &[Field], options: &Options) -> Result<(ArrayRef, Vec<Fit>)> {
    let object = |json: &&Json| matches!(json, Json::Object(_));
    let mut fits: Vec<Fit> = values.iter().map(|v| if object(v) || **v == Json::Null { Fit::Whole } else { Fit::Not }).collect();
    let mut columns = vec![];
    for field in fields {
        // Of fields of one name the last.
        let of = |json: &&'_ Json| -> Option<usize> {
            let Json::Object(found) = json else { return None };
            found.iter().rposition(|(name, _)| *name == *field.name)
        };
        let children: Vec<&Json> = values
            .iter()
            .map(|v| match (v, of(v)) {
                (Json::Object(found), Some(at)) => &found[at].1,
                _ => &Json::Null,
            })
            .collect();
        let (child, child_fits) = column(&children, &field.data_type, options)?;
        for (fit, child) in fits.iter_mut().zip(child_fits) {
            if child != Fit::Whole && *fit == Fit::Whole {
                *fit = Fit::Partly;
            }
        }
        columns.push(child);
    }
    let ArrowType::Struct(arrow_fields) = DataType::Struct(fields.to_vec()).to_arrow() else { return Err(Error::internal("struct type")) };
    let nulls = nulls_of(values, &fits);
    Ok((Arc::new(StructArray::try_new_with_length(arrow_fields, columns, nulls, values.len())?), fits))
}

/// Values of a type that is not nested, by way of their texts.
fn leaves(values: &[&Json], t: &DataType, options: &Options) -> Result<(ArrayRef, Vec<Fit>)> {
    if values.is_empty() {
        return Ok((new_empty_array(&t.to_arrow()), vec![]));
    }
    if *t == DataType::Binary {
        use base64::Engine;
        let decode = |v: &&Json| if let Json::String(s) = v { base64::engine::general_purpose::STANDARD.decode(s).ok() } else { None };
        let bytes: Vec<Option<Vec<u8>>> = values.iter().map(decode).collect();
        let fits = values.iter().zip(&bytes).map(|(v, b)| fit_of(v, b.is_some())).collect();
        let array: arrow::array::BinaryViewArray = bytes.iter().map(|b| b.as_deref()).collect();
        return Ok((Arc::new(array), fits));
    }
    let mut texts = StringViewBuilder::with_capacity(values.len());
    values.iter().for_each(|v| texts.append_option(leaf(v, t)));
    let texts: ArrayRef = Arc::new(texts.finish());
    let array = match (t, &options.date_format, &options.timestamp_format) {
        (DataType::Date, Some(format), _) => by_format(ScalarFunction::TryToDate, texts, format)?,
        (DataType::Timestamp, _, Some(format)) => by_format(ScalarFunction::TryToTimestamp, texts, format)?,
        _ => cast(&texts, &DataType::String, t, true)?,
    };
    let fits = values.iter().enumerate().map(|(i, v)| fit_of(v, array.is_valid(i))).collect();
    Ok((array, fits))
}

/// Texts in a format that the options name; NULL for others.
fn by_format(function: ScalarFunction, texts: ArrayRef, format: &str) -> Result<ArrayRef> {
    let rows = texts.len();
    let format = Value::Scalar(list_to_array(&[Scalar::string(format)], &DataType::String)?);
    datetime::evaluate(function, &[Value::Array(texts), format], rows)?.into_array(rows)
}

fn fit_of(value: &Json, has_value: bool) -> Fit {
    if has_value || *value == Json::Null { Fit::Whole } else { Fit::Not }
}

/// The text of which the cast to the type is the value; `None` for NULL and what does not fit.
fn leaf(value: &Json, t: &DataType) -> Option<String> {
    const SPECIAL: [&str; 6] = ["NaN", "Infinity", "+Infinity", "-Infinity", "+INF", "-INF"];
    match (t, value) {
        (_, Json::Null) => None,
        (DataType::String, json) => Some(json.text()),
        (DataType::Boolean, Json::Boolean(_)) => Some(value.text()),
        // Jackson's bytes go up to 255.
        (DataType::Byte, Json::Integer(digits)) => {
            let v: i32 = digits.parse().ok()?;
            Some(if (128..256).contains(&v) { v - 256 } else { v }.to_string())
        }
        (DataType::Short | DataType::Int | DataType::Long, Json::Integer(digits)) => Some(digits.clone()),
        (DataType::Float | DataType::Double, Json::Integer(_) | Json::Number(_)) => Some(value.text().replace('"', "")),
        (DataType::Float | DataType::Double, Json::String(s)) => SPECIAL.contains(&s.as_str()).then(|| s.replace("INF", "Infinity")),
        (DataType::Decimal { .. }, Json::Integer(_) | Json::Number(_) | Json::String(_)) => Some(value.text()),
        (DataType::Timestamp, Json::Integer(digits)) => {
            let seconds: i64 = digits.parse().ok()?;
            seconds.checked_mul(calendar::MICROS_PER_SECOND).map(calendar::format_timestamp)
        }
        (
            DataType::Date | DataType::Timestamp | DataType::TimestampNtz | DataType::YearMonthInterval | DataType::DayTimeInterval,
            Json::String(s),
        ) => Some(s.clone()),
        _ => None,
    }
}
