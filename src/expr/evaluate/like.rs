//! LIKE over arrays.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;

use super::logic;
use super::value::{Arg, Value, build_boolean, extent, strings, union_nulls, wrap};
use crate::base::Result;
use crate::runtime::like::LikePattern;

pub(super) fn evaluate(value: &Value, pattern: &Value, escape: char, case_insensitive: bool, rows: usize) -> Result<Value> {
    let (n, scalar) = extent(&[value, pattern], rows);
    if value.is_null_scalar() || pattern.is_null_scalar() {
        return Ok(wrap(logic::nulls(n), scalar));
    }
    if let Value::Scalar(p) = pattern {
        let compiled = LikePattern::new(strings(p)?.value(0), escape, case_insensitive)?;
        return Ok(wrap(Arc::new(matches(&compiled, value, n)?), scalar));
    }
    let (v, p) = (Arg::string(value)?, Arg::string(pattern)?);
    let mut last: Option<(&str, LikePattern)> = None;
    let mut failure = None;
    let out = build_boolean(&[value, pattern], n, |i| {
        if last.as_ref().is_none_or(|(text, _)| *text != p.at(i)) {
            match LikePattern::new(p.at(i), escape, case_insensitive) {
                Ok(compiled) => last = Some((p.at(i), compiled)),
                Err(e) => {
                    failure.get_or_insert(e);
                    return false;
                }
            }
        }
        last.as_ref().is_some_and(|(_, c)| c.matches(v.at(i).as_bytes()))
    });
    match failure {
        Some(e) => Err(e),
        None => Ok(wrap(Arc::new(out), scalar)),
    }
}

fn matches(pattern: &LikePattern, value: &Value, rows: usize) -> Result<BooleanArray> {
    let array = strings(value.inner())?;
    let views = array.views();
    // Prefixes of up to four bytes are in the view itself.
    if let Some(p) = pattern.as_prefix()
        && p.len() <= 4
    {
        let mut bytes = [0u8; 4];
        bytes[..p.len()].copy_from_slice(p);
        let (wanted, mask) = (u32::from_le_bytes(bytes), if p.len() == 4 { u32::MAX } else { (1u32 << (8 * p.len())) - 1 });
        let length = p.len() as u32;
        let hits = BooleanBuffer::collect_bool(rows, |i| {
            let view = views[i * value.step()];
            (view as u32) >= length && ((view >> 32) as u32) & mask == wanted
        });
        return Ok(BooleanArray::new(hits, union_nulls(&[value], rows)));
    }
    let v = Arg::string(value)?;
    Ok(build_boolean(&[value], rows, |i| pattern.matches(v.at(i).as_bytes())))
}
