//! Functions of regular expressions. Each pattern is compiled once for as long as it stays the same from row to row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, StringViewBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Int32Type;
use regex::Regex;

use super::collections::list_of;
use super::value::{Arg, Value, build, build_strings, extent, union_nulls, wrap};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

/// The pattern compiled last.
#[derive(Default)]
pub(super) struct Compiled {
    last: Option<(String, Regex)>,
}

impl Compiled {
    /// # Errors
    /// `InvalidParameter` for what is no pattern.
    pub fn get(&mut self, pattern: &str) -> Result<&Regex> {
        if self.last.as_ref().is_none_or(|(p, _)| p != pattern) {
            let regex = Regex::new(pattern).map_err(|e| {
                // The last line says what is wrong.
                let why = e.to_string().lines().last().unwrap_or_default().to_string();
                Error::new(ErrorClass::InvalidParameter, format!("The regular expression '{pattern}' is invalid: {why}."))
            })?;
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
                let group = valid_group(function, regex, group.as_ref().map_or(1, |g| g.at(i)))?;
                if let Some(found) = regex.captures(text.at(i)).and_then(|c| c.get(group)) {
                    out.push_str(found.as_str());
                }
                Ok(true)
            })?
        }
        ScalarFunction::RegexpCount => {
            Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(compiled.get(pattern.at(i))?.find_iter(text.at(i)).count() as i32)))?)
        }
        ScalarFunction::RegexpInstr => Arc::new(build::<Int32Type>(&refs, n, |i| {
            let text = text.at(i);
            let found = compiled.get(pattern.at(i))?.find(text);
            Ok(Some(found.map_or(0, |m| text[..m.start()].chars().count() as i32 + 1)))
        })?),
        ScalarFunction::RegexpSubstr => build_strings(&refs, n, |i, out| {
            let found = compiled.get(pattern.at(i))?.find(text.at(i));
            found.iter().for_each(|m| out.push_str(m.as_str()));
            Ok(found.is_some())
        })?,
        ScalarFunction::RegexpExtractAll => {
            let group = args.get(2).map(Arg::<Int32Array>::primitive).transpose()?;
            lists(&refs, n, |i, items| {
                let regex = compiled.get(pattern.at(i))?;
                let group = valid_group(function, regex, group.as_ref().map_or(1, |g| g.at(i)))?;
                let found = regex.captures_iter(text.at(i)).map(|c| c.get(group).map_or("", |m| m.as_str()));
                Ok(found.map(|f| items.append_value(f)).count())
            })?
        }
        _ => {
            let limit = args.get(2).map(Arg::<Int32Array>::primitive).transpose()?;
            lists(&refs, n, |i, items| {
                let parts = split(compiled.get(pattern.at(i))?, text.at(i), limit.as_ref().map_or(-1, |l| l.at(i)));
                parts.iter().for_each(|p| items.append_value(p));
                Ok(parts.len())
            })?
        }
    };
    Ok(wrap(array, scalar))
}

/// Arrays of strings from a function of the row that appends to the items and returns how many; called for rows without NULLs in
/// their arguments.
fn lists(args: &[&Value], rows: usize, mut f: impl FnMut(usize, &mut StringViewBuilder) -> Result<usize>) -> Result<ArrayRef> {
    let nulls = union_nulls(args, rows);
    let (mut items, mut lengths) = (StringViewBuilder::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        let valid = nulls.as_ref().is_none_or(|n| n.is_valid(row));
        lengths.push(if valid { f(row, &mut items)? } else { 0 });
    }
    list_of(Arc::new(items.finish()), OffsetBuffer::from_lengths(lengths), nulls)
}

/// # Errors
/// `InvalidParameter` when the pattern has no such group.
fn valid_group(function: ScalarFunction, regex: &Regex, group: i32) -> Result<usize> {
    usize::try_from(group).ok().filter(|g| *g < regex.captures_len()).ok_or_else(|| {
        let message = format!("The group {group} of `{}` is invalid: the pattern has {}.", function.name(), regex.captures_len() - 1);
        Error::new(ErrorClass::InvalidParameter, message)
    })
}

/// Parts between matches; with a positive limit at most so many. Empty matches at either end part nothing.
pub(super) fn split<'a>(regex: &Regex, text: &'a str, limit: i32) -> Vec<&'a str> {
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
