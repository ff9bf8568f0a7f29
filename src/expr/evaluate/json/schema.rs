//! `schema_of_json`: the type that a text suggests, in DDL.

use super::Json;
use super::read::parse;
use crate::base::schema::MAX_PRECISION;

/// What is known of a type so far.
#[derive(Clone, PartialEq)]
enum Seen {
    Null,
    Boolean,
    Long,
    /// Digits of an integer too large for a bigint.
    Decimal(usize),
    Double,
    String,
    Array(Box<Seen>),
    /// By name.
    Struct(Vec<(String, Seen)>),
}

/// The type in DDL; `None` for a broken text.
pub fn schema_of(text: &str) -> Option<String> {
    let mut out = String::new();
    infer(&parse(text)?).write(&mut out);
    Some(out)
}

fn infer(json: &Json) -> Seen {
    match json {
        Json::Null => Seen::Null,
        Json::Boolean(_) => Seen::Boolean,
        Json::Integer(digits) if digits.parse::<i64>().is_ok() => Seen::Long,
        Json::Integer(digits) => match digits.trim_start_matches('-').len() {
            n if n <= usize::from(MAX_PRECISION) => Seen::Decimal(n),
            _ => Seen::Double,
        },
        Json::Number(_) => Seen::Double,
        Json::String(_) => Seen::String,
        Json::Array(items) => Seen::Array(Box::new(items.iter().map(infer).fold(Seen::Null, merge))),
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| Seen::Struct(vec![(name.clone(), infer(value))])).fold(Seen::Struct(vec![]), merge)
        }
    }
}

fn merge(a: Seen, b: Seen) -> Seen {
    use Seen::*;
    match (a, b) {
        (Null, other) | (other, Null) => other,
        (a, b) if a == b => a,
        (Decimal(a), Decimal(b)) => Decimal(a.max(b)),
        (Decimal(n), Long) | (Long, Decimal(n)) => Decimal(n.max(20)),
        (Double | Long | Decimal(_), Double | Long | Decimal(_)) => Double,
        (Array(a), Array(b)) => Array(Box::new(merge(*a, *b))),
        (Struct(mut a), Struct(b)) => {
            for (name, t) in b {
                match a.binary_search_by(|(known, _)| known.as_str().cmp(&name)) {
                    Ok(at) => a[at].1 = merge(a[at].1.clone(), t),
                    Err(at) => a.insert(at, (name, t)),
                }
            }
            Struct(a)
        }
        _ => String,
    }
}

impl Seen {
    fn write(&self, out: &mut std::string::String) {
        match self {
            Seen::Null | Seen::String => out.push_str("STRING"),
            Seen::Boolean => out.push_str("BOOLEAN"),
            Seen::Long => out.push_str("BIGINT"),
            Seen::Decimal(precision) => out.push_str(&format!("DECIMAL({precision},0)")),
            Seen::Double => out.push_str("DOUBLE"),
            Seen::Array(element) => {
                out.push_str("ARRAY<");
                element.write(out);
                out.push('>');
            }
            Seen::Struct(fields) => {
                out.push_str("STRUCT<");
                for (i, (name, t)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                    out.push_str(&if plain { format!("{name}: ") } else { format!("`{}`: ", name.replace('`', "``")) });
                    t.write(out);
                }
                out.push('>');
            }
        }
    }
}
