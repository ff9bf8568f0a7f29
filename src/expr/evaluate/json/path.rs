//! Paths of `get_json_object`: `$.name`, `['name']`, `[0]`, `[*]`, as Spark (and Hive) follow them.

use super::Json;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
    AnyIndex,
}

pub(super) struct Path(Vec<Step>);

/// `None` for what is no path.
pub(super) fn parse(text: &str) -> Option<Path> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = vec![];
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Field(name[..end].to_string()));
            rest = &name[end..];
        } else if let Some(name) = rest.strip_prefix("['") {
            let (name, after) = name.split_once("']")?;
            // `['*']` leads nowhere in Spark.
            if matches!(name, "" | "*") || name.contains(['\'', '?']) {
                return None;
            }
            steps.push(Step::Field(name.to_string()));
            rest = after;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(match index {
                "*" => Step::AnyIndex,
                digits if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => Step::Index(digits.parse().ok()?),
                _ => return None,
            });
            rest = after;
        }
    }
    Some(Path(steps))
}

/// How a value that is found is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// Strings without quotes.
    Raw,
    Quoted,
    /// Elements of arrays one by one.
    Flatten,
}

/// The text of what the path leads to; several values as an array.
pub(super) fn find(json: &Json, path: &Path) -> Option<String> {
    let mut out = vec![];
    follow(json, Style::Raw, &path.0, &mut out).then(|| out.concat())
}

/// Whether anything was found.
fn follow(json: &Json, style: Style, path: &[Step], out: &mut Vec<String>) -> bool {
    match (json, path) {
        (Json::Array(items), []) if style == Style::Flatten => {
            items.iter().fold(false, |found, item| follow(item, style, &[], out) | found)
        }
        (json, []) => {
            out.push(if style == Style::Raw {
                json.text()
            } else {
                let mut text = String::new();
                json.write(&mut text);
                text
            });
            true
        }
        (Json::Object(fields), [Step::Field(name), rest @ ..]) => {
            fields.iter().any(|(key, value)| key == name && *value != Json::Null && follow(value, style, rest, out))
        }
        (Json::Array(items), [Step::AnyIndex, Step::AnyIndex, rest @ ..]) => {
            let mut inner = vec![];
            let found = items.iter().fold(false, |found, item| follow(item, Style::Flatten, rest, &mut inner) | found);
            out.push(format!("[{}]", inner.join(",")));
            found
        }
        (Json::Array(items), [Step::AnyIndex, rest @ ..]) => {
            let within = if style == Style::Flatten { style } else { Style::Quoted };
            let mut inner = vec![];
            let found = items.iter().filter(|item| follow(item, within, rest, &mut inner)).count();
            let all = inner.join(",");
            match found {
                // Within an array one value is an array still; elsewhere it stands for itself.
                0 if style != Style::Quoted => {}
                1 if style != Style::Quoted => out.push(all),
                _ => out.push(format!("[{all}]")),
            }
            found > 0
        }
        (Json::Array(items), [Step::Index(at), rest @ ..]) => {
            let style = if matches!(rest, [Step::AnyIndex, ..]) { Style::Quoted } else { style };
            items.get(*at).is_some_and(|item| follow(item, style, rest, out))
        }
        _ => false,
    }
}
