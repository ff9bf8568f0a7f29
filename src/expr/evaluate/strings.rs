//! Functions of strings. Positions and lengths count characters; where a text is ASCII they are bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::{Int32Type, Int64Type};
use memchr::memmem;

use super::value::{Arg, Value, build, build_boolean, build_strings, extent, strings, union_nulls, wrap};
use crate::base::error::edit_distance;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;
use crate::runtime::search::Finder;
use crate::runtime::string;

type Ints = PrimitiveArray<Int32Type>;

/// Byte offset of the character at `index`, the length if there are fewer.
fn byte_of(text: &str, index: usize) -> usize {
    string::character_offset(text.as_bytes(), index)
}

fn length(text: &str) -> usize {
    string::characters(text.as_bytes())
}

/// See [`string::substring`].
fn substring(text: &str, position: i32, count: i32) -> &str {
    &text[string::substring(text.as_bytes(), i64::from(position), i64::from(count))]
}

/// Position (from 1) of `needle` at or after character `start` (from 1); 0 when absent.
fn locate(needle: &str, text: &str, start: i32) -> i32 {
    if start < 1 {
        return 0;
    }
    let from = byte_of(text, start as usize - 1);
    if start as usize > length(text) + 1 {
        return 0;
    }
    match memmem::find(&text.as_bytes()[from..], needle.as_bytes()) {
        Some(at) => length(&text[..from + at]) as i32 + 1,
        None => 0,
    }
}

/// Strings that are parts of the input's strings, as views of the same buffers.
fn slices(args: &[&Value], text: &Value, rows: usize, mut f: impl for<'a> FnMut(usize, &'a str) -> &'a str) -> Result<ArrayRef> {
    let source = Arg::string(text)?;
    let nulls = union_nulls(args, rows);
    let mut builder = StringViewBuilder::with_capacity(rows);
    // Blocks are shared, so that long slices are views, not copies.
    let blocks: Vec<u32> = source.array.data_buffers().iter().map(|b| builder.append_block(b.clone())).collect();
    let views = source.array.views();
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            builder.append_null();
            continue;
        }
        let whole = source.at(row);
        let part = f(row, whole);
        if part.len() <= 12 {
            builder.append_value(part);
            continue;
        }
        // Longer than 12 bytes: so is the whole, which lies in a buffer.
        let view = arrow::array::ByteView::from(views[row * text.step()]);
        let offset = view.offset + (part.as_ptr() as usize - whole.as_ptr() as usize) as u32;
        match blocks.get(view.buffer_index as usize) {
            Some(block) => builder.try_append_view(*block, offset, part.len() as u32)?,
            None => builder.append_value(part),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn characters_trimmed<'a>(text: &'a str, characters: Option<&str>, left: bool, right: bool) -> &'a str {
    let inside = |c: char| characters.map_or(c == ' ', |set| set.contains(c));
    let text = if left { text.trim_start_matches(inside) } else { text };
    if right { text.trim_end_matches(inside) } else { text }
}

fn pad(text: &str, size: i32, fill: &str, left: bool, out: &mut String) {
    let (size, have) = (size.max(0) as usize, length(text));
    if have >= size || fill.is_empty() {
        out.push_str(&text[..byte_of(text, size)]);
        return;
    }
    if !left {
        out.push_str(text);
    }
    out.extend(fill.chars().cycle().take(size - have));
    if left {
        out.push_str(text);
    }
}

/// Text up to the n-th delimiter from the left, or from the n-th from the right for negative n.
fn substring_index<'a>(text: &'a str, delimiter: &str, n: i32) -> &'a str {
    if n == 0 || delimiter.is_empty() {
        return "";
    }
    let wanted = n.unsigned_abs() as usize - 1;
    if n > 0 {
        text.match_indices(delimiter).nth(wanted).map_or(text, |(i, _)| &text[..i])
    } else {
        text.rmatch_indices(delimiter).nth(wanted).map_or(text, |(i, _)| &text[i + delimiter.len()..])
    }
}

fn initcap(text: &str, out: &mut String) {
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = c == ' ';
    }
}

/// Most bytes that one value made by repeat, lpad, … may have.
pub(super) const LARGEST: usize = 1 << 30;

pub(super) fn too_large(function: &str) -> Error {
    Error::new(ErrorClass::ResourceExhausted, format!("`{function}` would make a string of more than 1 GiB."))
}

/// Functions of strings over evaluated arguments.
pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let text = |i: usize| Arg::string(&args[i]);
    let int = |i: usize| Arg::<Ints>::primitive(&args[i]);
    let ints = |f: &dyn Fn(usize) -> i32| -> Result<ArrayRef> { Ok(Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(f(i))))?)) };
    let array: ArrayRef = match function {
        Substring => {
            let position = int(1)?;
            let count = if args.len() > 2 { Some(int(2)?) } else { None };
            slices(&refs, &args[0], n, |i, s| substring(s, position.at(i), count.as_ref().map_or(i32::MAX, |c| c.at(i))))?
        }
        Left => {
            let count = int(1)?;
            slices(&refs, &args[0], n, |i, s| substring(s, 1, count.at(i)))?
        }
        Right => {
            let count = int(1)?;
            slices(&refs, &args[0], n, |i, s| match count.at(i) {
                c if c <= 0 => "",
                c => substring(s, c.min(length(s) as i32).wrapping_neg(), i32::MAX),
            })?
        }
        Trim | LTrim | RTrim => {
            let characters = if args.len() > 1 { Some(text(1)?) } else { None };
            let (left, right) = (function != RTrim, function != LTrim);
            slices(&refs, &args[0], n, |i, s| characters_trimmed(s, characters.as_ref().map(|c| c.at(i)), left, right))?
        }
        SubstringIndex => {
            let (delimiter, count) = (text(1)?, int(2)?);
            slices(&refs, &args[0], n, |i, s| substring_index(s, delimiter.at(i), count.at(i)))?
        }
        Overlay => {
            let (s, new, position) = (text(0)?, text(1)?, int(2)?);
            let count = if args.len() > 3 { Some(int(3)?) } else { None };
            build_strings(&refs, n, |i, out| {
                let (s, new, position) = (s.at(i), new.at(i), position.at(i));
                let count = count.as_ref().map(|c| c.at(i)).filter(|c| *c >= 0).unwrap_or(length(new) as i32);
                out.push_str(substring(s, 1, position.saturating_sub(1)));
                out.push_str(new);
                out.push_str(substring(s, position.saturating_add(count), i32::MAX));
                Ok(true)
            })?
        }
        FindInSet => {
            let (wanted, list) = (text(0)?, text(1)?);
            ints(&|i| match wanted.at(i) {
                w if w.contains(',') => 0,
                w => list.at(i).split(',').position(|item| item == w).map_or(0, |at| at as i32 + 1),
            })?
        }
        Bin => {
            use std::fmt::Write;
            let v = Arg::<PrimitiveArray<Int64Type>>::primitive(&args[0])?;
            build_strings(&refs, n, |i, out| Ok(write!(out, "{:b}", v.at(i)).is_ok()))?
        }
        SplitPart => {
            let (s, delimiter, part) = (text(0)?, text(1)?, int(2)?);
            build_strings(&refs, n, |i, out| {
                let (d, k) = (delimiter.at(i), part.at(i));
                if k == 0 {
                    return Err(Error::new(ErrorClass::InvalidArrayIndex, "The index 0 of `split_part` is invalid: parts count from 1."));
                }
                let wanted = k.unsigned_abs() as usize - 1;
                let found = match (d.is_empty(), k > 0) {
                    (true, _) => (wanted == 0).then_some(s.at(i)),
                    (false, true) => s.at(i).split(d).nth(wanted),
                    (false, false) => s.at(i).rsplit(d).nth(wanted),
                };
                out.push_str(found.unwrap_or_default());
                Ok(true)
            })?
        }
        Upper | Lower => {
            let s = text(0)?;
            build_strings(&refs, n, |i, out| {
                let s = s.at(i);
                if s.is_ascii() {
                    out.push_str(s);
                    if function == Upper { out.make_ascii_uppercase() } else { out.make_ascii_lowercase() }
                } else {
                    out.push_str(&if function == Upper { s.to_uppercase() } else { s.to_lowercase() });
                }
                Ok(true)
            })?
        }
        InitCap => {
            let s = text(0)?;
            build_strings(&refs, n, |i, out| {
                initcap(s.at(i), out);
                Ok(true)
            })?
        }
        Length => {
            let s = text(0)?;
            ints(&|i| length(s.at(i)) as i32)?
        }
        OctetLength | BitLength => {
            let s = text(0)?;
            let unit = if function == BitLength { 8 } else { 1 };
            ints(&|i| s.at(i).len() as i32 * unit)?
        }
        Concat => concat(args, n)?,
        ConcatWs => concat_ws(args, n)?,
        Replace => {
            let (s, from) = (text(0)?, text(1)?);
            let to = if args.len() > 2 { Some(text(2)?) } else { None };
            build_strings(&refs, n, |i, out| {
                let (s, from, to) = (s.at(i), from.at(i), to.as_ref().map_or("", |t| t.at(i)));
                if from.is_empty() {
                    out.push_str(s);
                    return Ok(true);
                }
                let mut last = 0;
                for at in memmem::find_iter(s.as_bytes(), from.as_bytes()) {
                    out.push_str(&s[last..at]);
                    out.push_str(to);
                    last = at + from.len();
                }
                out.push_str(&s[last..]);
                Ok(true)
            })?
        }
        Locate => {
            let (needle, s) = (text(0)?, text(1)?);
            let start = if args.len() > 2 { Some(int(2)?) } else { None };
            ints(&|i| locate(needle.at(i), s.at(i), start.as_ref().map_or(1, |p| p.at(i))))?
        }
        Instr => {
            let (s, needle) = (text(0)?, text(1)?);
            ints(&|i| locate(needle.at(i), s.at(i), 1))?
        }
        LPad | RPad => {
            let (s, size) = (text(0)?, int(1)?);
            let fill = if args.len() > 2 { Some(text(2)?) } else { None };
            build_strings(&refs, n, |i, out| {
                if size.at(i).max(0) as usize > LARGEST / 4 {
                    return Err(too_large(function.name()));
                }
                pad(s.at(i), size.at(i), fill.as_ref().map_or(" ", |f| f.at(i)), function == LPad, out);
                Ok(true)
            })?
        }
        Repeat => {
            let (s, count) = (text(0)?, int(1)?);
            build_strings(&refs, n, |i, out| {
                let count = count.at(i).max(0) as usize;
                if s.at(i).len().saturating_mul(count) > LARGEST {
                    return Err(too_large("repeat"));
                }
                (0..count).for_each(|_| out.push_str(s.at(i)));
                Ok(true)
            })?
        }
        Space => {
            let count = int(0)?;
            build_strings(&refs, n, |i, out| {
                let count = count.at(i).max(0) as usize;
                if count > LARGEST {
                    return Err(too_large("space"));
                }
                out.extend(std::iter::repeat_n(' ', count));
                Ok(true)
            })?
        }
        Reverse => {
            let s = text(0)?;
            build_strings(&refs, n, |i, out| {
                out.extend(s.at(i).chars().rev());
                Ok(true)
            })?
        }
        StartsWith | EndsWith | Contains => contains(function, args, n)?,
        Ascii => {
            let s = text(0)?;
            ints(&|i| s.at(i).chars().next().map_or(0, |c| c as i32))?
        }
        Chr => {
            let code = Arg::<PrimitiveArray<Int64Type>>::primitive(&args[0])?;
            build_strings(&refs, n, |i, out| {
                if code.at(i) >= 0 {
                    out.push(char::from((code.at(i) & 0xFF) as u8));
                }
                Ok(true)
            })?
        }
        Translate => {
            let (s, from, to) = (text(0)?, text(1)?, text(2)?);
            build_strings(&refs, n, |i, out| {
                let (from, to) = (from.at(i), to.at(i));
                for c in s.at(i).chars() {
                    match from.chars().position(|f| f == c) {
                        None => out.push(c),
                        Some(at) => out.extend(to.chars().nth(at)),
                    }
                }
                Ok(true)
            })?
        }
        Levenshtein => {
            let (a, b) = (text(0)?, text(1)?);
            let most = if args.len() > 2 { Some(int(2)?) } else { None };
            ints(&|i| match (edit_distance(a.at(i), b.at(i)) as i32, &most) {
                (distance, Some(most)) if distance > most.at(i) => -1,
                (distance, _) => distance,
            })?
        }
        other => return Err(Error::internal(format!("`{}` is no function of strings", other.name()))),
    };
    Ok(wrap(array, scalar))
}

fn contains(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    let refs = [&args[0], &args[1]];
    let (s, part) = (Arg::string(&args[0])?, Arg::string(&args[1])?);
    if let (ScalarFunction::Contains, Value::Scalar(one), false) = (function, &args[1], args[1].is_null_scalar()) {
        let finder = Finder::new(strings(one)?.value(0).as_bytes());
        return Ok(Arc::new(build_boolean(&refs, rows, |i| finder.find(s.at(i).as_bytes()).is_some())));
    }
    Ok(Arc::new(match function {
        ScalarFunction::StartsWith => build_boolean(&refs, rows, |i| s.at(i).starts_with(part.at(i))),
        ScalarFunction::EndsWith => build_boolean(&refs, rows, |i| s.at(i).ends_with(part.at(i))),
        _ => build_boolean(&refs, rows, |i| memmem::find(s.at(i).as_bytes(), part.at(i).as_bytes()).is_some()),
    }))
}

fn concat(args: &[Value], rows: usize) -> Result<ArrayRef> {
    let refs: Vec<&Value> = args.iter().collect();
    let parts = args.iter().map(Arg::string).collect::<Result<Vec<Arg<'_, StringViewArray>>>>()?;
    build_strings(&refs, rows, |i, out| {
        parts.iter().for_each(|p| out.push_str(p.at(i)));
        Ok(true)
    })
}

fn concat_ws(args: &[Value], rows: usize) -> Result<ArrayRef> {
    let (separator, parts) = args.split_first().ok_or_else(|| Error::internal("concat_ws without a separator"))?;
    // Strings of each part, and where those of a row are among them.
    let mut sources: Vec<(&StringViewArray, Option<&ListArray>, usize)> = vec![];
    for part in parts {
        let list = part.inner().as_list_opt::<i32>();
        sources.push((strings(list.map_or(part.inner(), ListArray::values))?, list, part.step()));
    }
    let separator_text = Arg::string(separator)?;
    build_strings(&[separator], rows, |i, out| {
        let mut first = true;
        for (texts, list, step) in &sources {
            let at = i * step;
            let range = match list {
                None => at..at + 1,
                Some(list) if list.is_null(at) => 0..0,
                Some(list) => list.value_offsets()[at] as usize..list.value_offsets()[at + 1] as usize,
            };
            for k in range.filter(|k| texts.is_valid(*k)) {
                if !first {
                    out.push_str(separator_text.at(i));
                }
                first = false;
                out.push_str(texts.value(k));
            }
        }
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings() {
        for (text, position, count, expected) in [
            ("Spark SQL", 5, i32::MAX, "k SQL"),
            ("Spark SQL", -3, i32::MAX, "SQL"),
            ("Spark SQL", 5, 1, "k"),
            ("Spark SQL", 0, 2, "Sp"),
            ("abc", -5, 3, "a"),
            ("abc", -5, 2, ""),
            ("abc", 4, 1, ""),
            ("äöü", 2, 1, "ö"),
            ("äöü", -1, 9, "ü"),
            ("abc", 1, -1, ""),
        ] {
            assert_eq!(substring(text, position, count), expected, "{text} {position} {count}");
        }
    }

    #[test]
    fn searching() {
        assert_eq!(locate("bar", "foobarbar", 5), 7);
        assert_eq!(locate("x", "abc", 1), 0);
        assert_eq!(locate("", "abc", 1), 1);
        assert_eq!(locate("ü", "äöü", 1), 3);
        assert_eq!(substring_index("www.apache.org", ".", 2), "www.apache");
        assert_eq!(substring_index("www.apache.org", ".", -2), "apache.org");
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        let mut s = String::new();
        pad("hi", 5, "ab", true, &mut s);
        assert_eq!(s, "abahi");
    }
}
