//! Functions of regular expressions. Each pattern is compiled once for as long as it stays the same from row to row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, StringViewBuilder};
use arrow::buffer::OffsetBuffer;
use regex::Regex;

use super::collections::list_of;
use super::value::{Arg, Value, build_strings, extent, union_nulls, wrap};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

/// The pattern compiled last.
#[derive(Default)]
struct Compiled {
    last: Option<(String, Regex)>,
}

impl Compiled {
    fn get(&mut self, pattern: &str) -> Result<&Regex> {
        if self.last.as_ref().is_none_or(|(p, _)| p != pattern) {
            let regex = Regex::new(pattern)
                .map_err(|e| Error::new(ErrorClass::InvalidParameter, format!("The regular expression '{pattern}' is invalid: {e}")))?;
            self.last = Some((pattern.to_string(), regex));
        }
        self.last.as_ref().map(|(_, r)| r).ok_or_else(|| Error::internal("no pattern"))
    }
}

/// Java's replacement text (`$1`, `\$`) in this library's (`${1}`, `$$`).
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => {}
            },
            '$' => {
                let mut digits = String::new();
                while let Some(d) = chars.peek().filter(|d| d.is_ascii_digit()) {
                    digits.push(*d);
                    chars.next();
                }
                if digits.is_empty() {
                    out.push('$');
                } else {
                    out.push_str(&format!("${{{digits}}}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let (text, pattern) = (Arg::string(&args[0])?, Arg::string(&args[1])?);
    let mut compiled = Compiled::default();
    let array: ArrayRef = match function {
        ScalarFunction::RLike => {
            let nulls = union_nulls(&refs, n);
            let mut hits = Vec::with_capacity(n);
            for i in 0..n {
                hits.push(nulls.as_ref().is_none_or(|v| v.is_valid(i)) && compiled.get(pattern.at(i))?.is_match(text.at(i)));
            }
            Arc::new(BooleanArray::new(hits.into(), nulls))
        }
        ScalarFunction::RegexpReplace => {
            let to = Arg::string(&args[2])?;
            let start = args.get(3).map(Arg::<Int32Array>::primitive).transpose()?;
            build_strings(&refs, n, |i, out| {
                let regex = compiled.get(pattern.at(i))?;
                let text = text.at(i);
                let skip = start.as_ref().map_or(0, |s| (s.at(i) - 1).max(0) as usize);
                let from = text.char_indices().nth(skip).map_or(text.len(), |(at, _)| at);
                out.push_str(&text[..from]);
                out.push_str(&regex.replace_all(&text[from..], replacement(to.at(i))));
                Ok(true)
            })?
        }
        ScalarFunction::RegexpExtract => {
            let group = args.get(2).map(Arg::<Int32Array>::primitive).transpose()?;
            build_strings(&refs, n, |i, out| {
                let regex = compiled.get(pattern.at(i))?;
                let group = group.as_ref().map_or(1, |g| g.at(i));
                if group < 0 || group as usize >= regex.captures_len() {
                    return Err(Error::new(
                        ErrorClass::InvalidParameter,
                        format!("The group {group} of `regexp_extract` is invalid: the pattern has {}.", regex.captures_len() - 1),
                    ));
                }
                if let Some(found) = regex.captures(text.at(i)).and_then(|c| c.get(group as usize)) {
                    out.push_str(found.as_str());
                }
                Ok(true)
            })?
        }
        _ => {
            let limit = args.get(2).map(Arg::<Int32Array>::primitive).transpose()?;
            let nulls = union_nulls(&refs, n);
            let (mut items, mut lengths) = (StringViewBuilder::new(), Vec::with_capacity(n));
            for i in 0..n {
                if nulls.as_ref().is_some_and(|v| v.is_null(i)) {
                    lengths.push(0);
                    continue;
                }
                let parts = split(compiled.get(pattern.at(i))?, text.at(i), limit.as_ref().map_or(-1, |l| l.at(i)));
                parts.iter().for_each(|p| items.append_value(p));
                lengths.push(parts.len());
            }
            list_of(Arc::new(items.finish()), OffsetBuffer::from_lengths(lengths), nulls)?
        }
    };
    Ok(wrap(array, scalar))
}

/// Parts between matches; with a positive limit at most so many. Empty matches at either end part nothing.
fn split<'a>(regex: &Regex, text: &'a str, limit: i32) -> Vec<&'a str> {
    let (mut parts, mut last) = (vec![], 0);
    for m in regex.find_iter(text) {
        if limit > 0 && parts.len() + 1 >= limit as usize {
            break;
        }
        if m.is_empty() && (m.start() == 0 || m.start() == text.len()) {
            continue;
        }
        parts.push(&text[last..m.start()]);
        last = m.end();
    }
    parts.push(&text[last..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_replacing() {
        let regex = |p: &str| Regex::new(p).unwrap();
        assert_eq!(split(&regex("[ABC]"), "oneAtwoBthreeC", -1), ["one", "two", "three", ""]);
        assert_eq!(split(&regex("[ABC]"), "oneAtwoBthreeC", 2), ["one", "twoBthreeC"]);
        assert_eq!(split(&regex(""), "abc", -1), ["a", "b", "c"]);
        assert_eq!(replacement("$1-\\$x$12"), "${1}-$$x${12}");
    }
}
