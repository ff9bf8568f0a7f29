//! DataFusion's own spellings in Spark's. What stays unknown makes a query "not declared".

use regex::{Captures, Regex};

/// SQL types of the Arrow types that `arrow_cast` names.
fn sql_type(arrow: &str) -> Option<String> {
    Some(match arrow {
        "Utf8" | "LargeUtf8" | "Utf8View" => "string".into(),
        "Binary" | "LargeBinary" | "BinaryView" => "binary".into(),
        "Boolean" => "boolean".into(),
        "Int8" => "tinyint".into(),
        "Int16" => "smallint".into(),
        "Int32" => "int".into(),
        "Int64" => "bigint".into(),
        "Float32" => "float".into(),
        "Float64" => "double".into(),
        "Date32" => "date".into(),
        "Timestamp(Microsecond, None)" | "Timestamp(µs)" => "timestamp".into(),
        _ => format!("decimal{}", arrow.strip_prefix("Decimal128").or(arrow.strip_prefix("Decimal64"))?),
    })
}

/// The arguments of the call whose text begins behind its opening parenthesis, and what follows the call.
fn arguments(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut depth, mut quoted, mut start, mut parts) = (0, false, 0, vec![]);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' if depth == 0 => {
                parts.push(text[start..at].trim());
                return Some((parts, &text[at + 1..]));
            }
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// `arrow_cast(e, 'Int32')` as `cast(e AS int)`.
fn casts(sql: &str) -> String {
    let Some((before, after)) = sql.split_once("arrow_cast(") else { return sql.to_string() };
    match arguments(after) {
        Some((parts, rest)) if parts.len() == 2 => match sql_type(parts[1].trim_matches('\'')) {
            Some(t) => format!("{before}cast({} AS {t}){}", casts(parts[0]), casts(rest)),
            None => sql.to_string(),
        },
        _ => sql.to_string(),
    }
}

/// `CREATE TABLE t(a INT, …) AS VALUES …` and `CREATE TABLE t AS …` as a temporary view.
fn tables(sql: &str) -> String {
    let create = Regex::new(r"(?is)^\s*CREATE TABLE (\w+)\s*(.*)$").unwrap();
    let Some(found) = create.captures(sql) else { return sql.to_string() };
    let (name, rest) = (&found[1], found[2].trim());
    let after_as = |text: &str| Regex::new(r"(?is)^\s*AS\s+").unwrap().replace(text, "").into_owned();
    match rest.strip_prefix('(').and_then(arguments) {
        Some((columns, query)) => {
            let column = |(i, c): (usize, &&str)| {
                let (name, t) = c.split_once(' ').unwrap_or((c, "string"));
                format!("cast(col{} AS {}) AS {name}", i + 1, t.trim())
            };
            let list = columns.iter().enumerate().map(column).collect::<Vec<_>>().join(", ");
            format!("CREATE OR REPLACE TEMPORARY VIEW {name} AS SELECT {list} FROM {}", after_as(query))
        }
        None => {
            let query = after_as(rest);
            let select = if query.to_ascii_uppercase().starts_with("VALUES") { "SELECT * FROM " } else { "" };
            format!("CREATE OR REPLACE TEMPORARY VIEW {name} AS {select}{query}")
        }
    }
}

/// The statement as Spark would write it.
pub fn spark(sql: &str) -> String {
    let columns = Regex::new(r"\bcolumn(\d+)\b").unwrap().replace_all(sql, |c: &Captures<'_>| format!("col{}", &c[1]));
    let arrays = columns.replace("make_array(", "array(");
    let drop = Regex::new(r"(?i)^\s*DROP TABLE").unwrap().replace(&arrays, "DROP VIEW");
    tables(&casts(&drop))
}
