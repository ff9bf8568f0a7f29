//! Functions of JSON texts. Texts are read as Jackson reads them for Spark: single quotes are quotes too, what follows the first value
//! is not looked at.

mod from;
mod path;
mod read;
mod schema;
mod to;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Int32Type;

pub use schema::schema_of;

use super::collections::list_of;
use super::value::{Arg, Value, build, build_strings, extent, union_nulls, wrap};
use crate::base::{DataType, Error, ErrorClass, Result, number};
use crate::expr::ScalarFunction;
use read::parse;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Boolean(bool),
    /// As it is written.
    Integer(String),
    Number(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Appends a string in quotes, escaped as Jackson does.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Json {
    /// Appends the value without white space; numbers with a fraction or an exponent as doubles.
    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Integer(digits) => out.push_str(digits),
            Json::Number(v) if v.is_finite() => number::write_f64(*v, out),
            Json::Number(v) => write_string(&number::format_f64(*v), out),
            Json::String(s) => write_string(s, out),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The value as text: that of a string itself.
    fn text(&self) -> String {
        match self {
            Json::String(s) => s.clone(),
            other => {
                let mut out = String::new();
                other.write(&mut out);
                out
            }
        }
    }
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], types: &[DataType], result: &DataType, rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let array: ArrayRef = match function {
        GetJsonObject => {
            let (texts, paths) = (Arg::string(&args[0])?, Arg::string(&args[1])?);
            let mut known: HashMap<&str, Option<path::Path>> = HashMap::new();
            build_strings(&refs, n, |row, out| {
                let path = known.entry(paths.at(row)).or_insert_with_key(|text| path::parse(text));
                let found = path.as_ref().and_then(|path| path::find(&parse(texts.at(row))?, path));
                found.iter().for_each(|text| out.push_str(text));
                Ok(found.is_some())
            })?
        }
        JsonArrayLength => {
            let texts = Arg::string(&args[0])?;
            Arc::new(build::<Int32Type>(&refs, n, |row| {
                Ok(match parse(texts.at(row)) {
                    Some(Json::Array(items)) => Some(items.len() as i32),
                    _ => None,
                })
            })?)
        }
        JsonObjectKeys => {
            let texts = Arg::string(&args[0])?;
            let nulls = union_nulls(&refs, n);
            let (mut keys, mut lengths, mut valid) = (StringViewBuilder::new(), vec![], vec![]);
            for row in 0..n {
                let known = nulls.as_ref().is_none_or(|v| v.is_valid(row));
                let object = if known { parse(texts.at(row)) } else { None };
                let fields = if let Some(Json::Object(fields)) = object { Some(fields) } else { None };
                valid.push(fields.is_some());
                let fields = fields.unwrap_or_default();
                fields.iter().for_each(|(key, _)| keys.append_value(key));
                lengths.push(fields.len());
            }
            list_of(Arc::new(keys.finish()), OffsetBuffer::from_lengths(lengths), Some(valid.into()))?
        }
        FromJson => {
            let texts = Arg::string(&args[0])?;
            let text = |row: usize| (!texts.is_null(row)).then(|| texts.at(row));
            from::convert(&(0..n).map(text).collect::<Vec<_>>(), result, &from::Options::new(args.get(2))?)?
        }
        ToJson => {
            let all = to::Options::new(args.get(1))?;
            build_strings(&[&args[0]], n, |row, out| {
                to::write(args[0].inner().as_ref(), row * args[0].step(), &types[0], &all, out)?;
                Ok(true)
            })?
        }
        other => return Err(Error::internal(format!("`{}` is no function of JSON", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// `json_tuple`: the texts of the fields of that name of each row's object.
pub(super) fn tuple(args: &[Value], rows: usize) -> Result<Vec<ArrayRef>> {
    let texts = args.iter().map(Arg::string).collect::<Result<Vec<_>>>()?;
    let mut columns: Vec<StringViewBuilder> = texts[1..].iter().map(|_| StringViewBuilder::with_capacity(rows)).collect();
    for row in 0..rows {
        let object = if texts[0].is_null(row) { None } else { parse(texts[0].at(row)) };
        let fields = if let Some(Json::Object(fields)) = object { fields } else { vec![] };
        for (column, name) in columns.iter_mut().zip(&texts[1..]) {
            let wanted = |(key, value): &&(String, Json)| !name.is_null(row) && key == name.at(row) && *value != Json::Null;
            column.append_option(fields.iter().find(wanted).map(|(_, value)| value.text()));
        }
    }
    Ok(columns.into_iter().map(|mut c| Arc::new(c.finish()) as ArrayRef).collect())
}

/// The options of a map of texts that must be constant.
///
/// # Errors
/// `Unsupported` for options in `unsupported`.
fn options(value: Option<&Value>, unsupported: &[&str]) -> Result<HashMap<String, String>> {
    let Some(value) = value else { return Ok(HashMap::new()) };
    let crate::base::Scalar::Map(entries, ..) = super::scalar::from_array(value.inner().as_ref(), 0)? else {
        return Err(Error::new(ErrorClass::WrongArguments, "Options must be a map of constant texts."));
    };
    let options: HashMap<String, String> = entries.into_iter().map(|(k, v)| (k.to_string().to_lowercase(), v.to_string())).collect();
    match unsupported.iter().find(|name| options.contains_key(&name.to_lowercase())) {
        Some(name) => Err(Error::unsupported(format!("The option `{name}` of JSON functions is not supported."))),
        None => Ok(options),
    }
}
