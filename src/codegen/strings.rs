//! Lowering of what is asked of strings: equality, membership, LIKE, pieces. Most is decided by length and first bytes, which are
//! in a register, most of the rest by one word more; what is left is a call.

use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};

use super::emitter::Emitter;
use super::expr::{boolean, lazy};
use super::scope::Scope;
use super::state::{Helper, SCRATCH};
use super::value::Value;
use crate::base::{Result, Scalar};
use crate::expr::{ComparisonOp, Expr, ScalarFunction};
use crate::runtime::FieldKind;
use crate::runtime::StrRef;
use crate::runtime::like::LikePattern;
use crate::runtime::string::INLINE;

/// Lists of at most this many strings are compared one by one, longer ones looked up in a set.
const INLINE_STRINGS: usize = 8;
/// Bytes of a string that are in its first word.
const HEAD: usize = 4;

/// A condition on a string's first word, `word & mask == wanted`.
#[derive(Debug, Clone, Copy)]
pub struct HeadTest {
    mask: u64,
    wanted: u64,
}

impl HeadTest {
    /// Length and first bytes are those of `text`.
    fn equals(text: &[u8]) -> Self {
        Self { mask: u64::MAX, wanted: StrRef::new(text).lo }
    }

    /// The first bytes are those of `prefix`, as many as are in the word. Bytes after a string's end are zero there, so that a
    /// prefix without zeros needs no test of the length.
    fn begins(prefix: &[u8]) -> Self {
        let (mask, wanted) = masked_word(&prefix[..prefix.len().min(HEAD)]);
        Self { mask: mask << 32, wanted: wanted << 32 }
    }
}

/// The mask of the first bytes of a word, and up to eight bytes as one.
fn masked_word(bytes: &[u8]) -> (u64, u64) {
    let (mut mask, mut wanted) = ([0; 8], [0; 8]);
    mask[..bytes.len()].fill(0xFF);
    wanted[..bytes.len()].copy_from_slice(bytes);
    (u64::from_le_bytes(mask), u64::from_le_bytes(wanted))
}

/// The prefix that a LIKE pattern is, if it is one that [`HeadTest::begins`] can test.
fn prefix_of(pattern: &LikePattern) -> Option<&[u8]> {
    pattern.as_prefix().filter(|p| !p.contains(&0))
}

/// The string and the pattern of a LIKE with a literal pattern, or of a function that is one.
pub fn like_pattern(expr: &Expr) -> Option<(&Expr, LikePattern)> {
    match expr {
        Expr::Like { value, pattern, escape, case_insensitive } => {
            Some((value, LikePattern::new(literal(pattern)?, *escape, *case_insensitive).ok()?))
        }
        Expr::Function { function, args } => {
            let pattern = match function {
                ScalarFunction::StartsWith => LikePattern::starts_with,
                ScalarFunction::EndsWith => LikePattern::ends_with,
                ScalarFunction::Contains => LikePattern::contains,
                _ => return None,
            };
            Some((&args[0], pattern(literal(&args[1])?)))
        }
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(Scalar::String(s)) => Some(s),
        _ => None,
    }
}

fn short(expr: &Expr) -> bool {
    literal(expr).is_some_and(|s| s.len() <= INLINE)
}

/// Whether a predicate over strings, its inputs apart, costs more than a mispredicted branch.
pub fn is_dear(expr: &Expr) -> bool {
    match expr {
        Expr::Comparison { op: ComparisonOp::Equal | ComparisonOp::NotEqual | ComparisonOp::EqualNullSafe, left, right } => {
            !short(left) && !short(right)
        }
        Expr::In { list, .. } => list.len() > INLINE_STRINGS || !list.iter().all(short),
        _ => like_pattern(expr).is_none_or(|(_, p)| prefix_of(&p).is_none_or(|p| p.len() > HEAD)),
    }
}

/// A string, and tests of its first word of which one must hold for a dear condition to be true.
pub fn head_tests(condition: &Expr) -> Option<(&Expr, Vec<HeadTest>)> {
    let (value, tests): (&Expr, Vec<HeadTest>) = match condition {
        Expr::Comparison { op: ComparisonOp::Equal, left, right } => match (literal(left), literal(right)) {
            (None, Some(text)) => (left, vec![HeadTest::equals(text.as_bytes())]),
            (Some(text), None) => (right, vec![HeadTest::equals(text.as_bytes())]),
            _ => return None,
        },
        Expr::In { value, list } if list.len() <= INLINE_STRINGS => {
            (value, list.iter().map(|e| literal(e).map(|s| HeadTest::equals(s.as_bytes()))).collect::<Option<_>>()?)
        }
        _ => {
            let (value, pattern) = like_pattern(condition)?;
            (value, vec![HeadTest::begins(prefix_of(&pattern)?)])
        }
    };
    (lazy(condition) && !condition.can_fail() && !lazy(value)).then_some((value, tests))
}

impl Emitter<'_> {
    /// 1 where one of the tests holds of a string that is not NULL.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn any_head(&mut self, value: &Expr, tests: &[HeadTest], scope: &Scope) -> Result<ir::Value> {
        let v = self.expr(value, scope)?;
        let mut any = self.b.ins().iconst(types::I8, 0);
        for test in tests {
            let holds = self.head(&v, *test);
            any = self.b.ins().bor(any, holds);
        }
        Ok(match v.null {
            Some(null) => self.b.ins().band_not(any, null),
            None => any,
        })
    }

    fn head(&mut self, v: &Value, test: HeadTest) -> ir::Value {
        self.masked_equal(v.lo, test.mask, test.wanted)
    }

    /// `word & mask == wanted`
    fn masked_equal(&mut self, word: ir::Value, mask: u64, wanted: u64) -> ir::Value {
        let wanted = self.constant(&Scalar::Long(wanted as i64), FieldKind::I64).lo;
        if mask == u64::MAX {
            return self.compare(IntCC::Equal, word, wanted);
        }
        let mask = self.constant(&Scalar::Long(mask as i64), FieldKind::I64).lo;
        let masked = self.b.ins().band(word, mask);
        self.compare(IntCC::Equal, masked, wanted)
    }

    /// 1 where the string is not inline.
    fn is_long(&mut self, v: &Value) -> ir::Value {
        let length = self.b.ins().ireduce(types::I32, v.lo);
        self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, length, INLINE as i64)
    }

    fn length(&mut self, v: &Value) -> ir::Value {
        self.b.ins().band_imm_u(v.lo, 0xFFFF_FFFF)
    }

    /// Equality of strings that are not NULL.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn equal_strings(&mut self, l: &Value, r: &Value) -> Result<ir::Value> {
        let lengths = [l, r].map(|v| v.bounds.unwrap_or((0, i128::MAX)));
        let (shortest, longest) = (lengths[0].0.max(lengths[1].0), lengths[0].1.min(lengths[1].1));
        let heads = self.compare(IntCC::Equal, l.lo, r.lo);
        // Equal heads have equal lengths: where one string is short, so is the other, or they differ already.
        if longest <= HEAD as i128 {
            return Ok(heads);
        }
        if longest <= INLINE as i128 {
            let tails = self.compare(IntCC::Equal, l.tail.unwrap_or(l.lo), r.tail.unwrap_or(r.lo));
            return Ok(self.b.ins().band(heads, tails));
        }
        let (lh, rh) = (l.hi.unwrap_or(l.lo), r.hi.unwrap_or(r.lo));
        let length = self.length(l);
        let (undecided, same) = if shortest > INLINE as i128 {
            (heads, self.b.ins().iconst(types::I8, 0))
        } else {
            let tails = self.compare(IntCC::Equal, lh, rh);
            let same = self.b.ins().band(heads, tails);
            let long = self.is_long(l);
            (self.b.ins().band(heads, long), same)
        };
        let words = shortest > INLINE as i128 && longest <= (INLINE + 8) as i128;
        let out = self.either(
            undecided,
            &[types::I8],
            |e| Ok(vec![if words { e.equal_by_words(lh, rh, length) } else { e.call_value("ws_bytes_equal", &[lh, rh, length])? }]),
            |_| Ok(vec![same]),
        )?;
        Ok(out[0])
    }

    /// Equality of 13 to 20 bytes of which the first four are equal: of the eight bytes after them, and the last eight.
    fn equal_by_words(&mut self, l: ir::Value, r: ir::Value, length: ir::Value) -> ir::Value {
        let (l_end, r_end) = (self.b.ins().iadd(l, length), self.b.ins().iadd(r, length));
        let (a, b) = (self.load_word(l, HEAD as i32), self.load_word(r, HEAD as i32));
        let (c, d) = (self.load_word(l_end, -8), self.load_word(r_end, -8));
        let (first, last) = (self.b.ins().bxor(a, b), self.b.ins().bxor(c, d));
        let differ = self.b.ins().bor(first, last);
        self.b.ins().icmp_imm_u(IntCC::Equal, differ, 0)
    }

    /// Eight bytes of a long string.
    fn load_word(&mut self, address: ir::Value, offset: i32) -> ir::Value {
        self.b.ins().load(types::I64, MemFlagsData::new().with_notrap(), address, offset)
    }

    /// The order of two strings that are not NULL against which `condition` is asked, as 0 or 1.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn order_strings(&mut self, condition: IntCC, l: &Value, r: &Value) -> Result<ir::Value> {
        let mut first_bytes = |v: &Value| {
            let bytes = self.b.ins().ushr_imm_u(v.lo, 32);
            let bytes = self.b.ins().ireduce(types::I32, bytes);
            let bytes = self.b.ins().bswap(bytes);
            self.b.ins().uextend(types::I64, bytes)
        };
        let (a, b) = (first_bytes(l), first_bytes(r));
        let order = self.b.ins().isub(a, b);
        let out = self.either(
            order,
            &[types::I64],
            |_| Ok(vec![order]),
            |e| Ok(vec![e.call_value("ws_string_compare", &[l.lo, l.hi.unwrap_or(l.lo), r.lo, r.hi.unwrap_or(r.lo)])?]),
        )?;
        Ok(self.b.ins().icmp_imm_s(condition, out[0], 0))
    }

    /// Whether a string that is not NULL is one of `items`.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn one_of(&mut self, v: &Value, items: &[&Scalar]) -> Result<ir::Value> {
        if items.len() > INLINE_STRINGS {
            let set = items.iter().filter_map(|s| s.as_bytes().map(Into::into)).collect();
            let set = self.helper(Helper::Strings(Arc::new(set)));
            return self.call_value("ws_string_set", &[set, v.lo, v.hi.unwrap_or(v.lo)]);
        }
        let mut any = self.b.ins().iconst(types::I8, 0);
        for item in items {
            let item = self.constant(item, FieldKind::Str);
            let equal = self.equal_strings(v, &item)?;
            any = self.b.ins().bor(any, equal);
        }
        Ok(any)
    }

    /// Whether a string matches a pattern.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn like(&mut self, value: &Expr, pattern: LikePattern, scope: &Scope) -> Result<Value> {
        let v = self.expr(value, scope)?;
        let lo = if let Some(prefix) = prefix_of(&pattern).map(<[u8]>::to_vec) {
            self.begins(&v, &prefix, pattern)?
        } else if let Some(suffix) = pattern.as_suffix().filter(|s| (1..=8).contains(&s.len())).map(<[u8]>::to_vec) {
            self.ends(&v, &suffix, pattern)?
        } else {
            self.matches(&v, pattern)?
        };
        Ok(boolean(lo).with_null(v.null))
    }

    fn matches(&mut self, v: &Value, pattern: LikePattern) -> Result<ir::Value> {
        let pattern = self.helper(Helper::Like(Arc::new(pattern)));
        self.call_value("ws_like", &[pattern, v.lo, v.hi.unwrap_or(v.lo)])
    }

    /// First bytes in the first word; then the eight after them, wherever they are; a call for longer prefixes.
    fn begins(&mut self, v: &Value, prefix: &[u8], pattern: LikePattern) -> Result<ir::Value> {
        let head = self.head(v, HeadTest::begins(prefix));
        if prefix.len() <= HEAD {
            return Ok(head);
        }
        let out = self.either(
            head,
            &[types::I8],
            |e| {
                if prefix.len() > INLINE {
                    return Ok(vec![e.matches(v, pattern)?]);
                }
                let (long, hi) = (e.is_long(v), v.hi.unwrap_or(v.lo));
                let word = e.either(long, &[types::I64], |e| Ok(vec![e.load_word(hi, HEAD as i32)]), |_| Ok(vec![hi]))?;
                let (mask, wanted) = masked_word(&prefix[HEAD..]);
                Ok(vec![e.masked_equal(word[0], mask, wanted)])
            },
            |e| Ok(vec![e.b.ins().iconst(types::I8, 0)]),
        )?;
        Ok(out[0])
    }

    /// The last eight bytes of a long string against up to eight; a call for short ones.
    fn ends(&mut self, v: &Value, suffix: &[u8], pattern: LikePattern) -> Result<ir::Value> {
        let long = self.is_long(v);
        let out = self.either(
            long,
            &[types::I8],
            |e| {
                let length = e.length(v);
                let end = e.b.ins().iadd(v.hi.unwrap_or(v.lo), length);
                let word = e.load_word(end, -8);
                let (mask, wanted) = masked_word(suffix);
                let skipped = 64 - 8 * suffix.len() as u32;
                Ok(vec![e.masked_equal(word, mask.unbounded_shl(skipped), wanted.unbounded_shl(skipped))])
            },
            |e| Ok(vec![e.matches(v, pattern)?]),
        )?;
        Ok(out[0])
    }

    /// Characters `position .. position + count`, from 1.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn substring(&mut self, v: &Value, position: i32, count: i32) -> Result<Value> {
        let piece = |e: &mut Self| {
            let [position, count] = [position, count].map(|n| e.constant(&Scalar::Long(i64::from(n)), FieldKind::I64).lo);
            let out = e.slot_address(SCRATCH);
            e.call("ws_substring", &[v.lo, v.hi.unwrap_or(v.lo), position, count, out])?;
            Ok(vec![e.load_slot(SCRATCH, types::I64), e.load_slot(SCRATCH + 1, types::I64)])
        };
        let words = match (position, usize::try_from(count)) {
            (0 | 1, Ok(count @ 1..=INLINE)) => {
                // The first bytes, unless one of them is of a character of several bytes.
                let (head, tail) = (count.min(HEAD), count.saturating_sub(HEAD));
                let rest = match tail {
                    0 => self.b.ins().iconst(types::I64, 0),
                    _ => {
                        let (long, hi) = (self.is_long(v), v.hi.unwrap_or(v.lo));
                        let word = self.either(long, &[types::I64], |e| Ok(vec![e.load_word(hi, HEAD as i32)]), |_| Ok(vec![hi]))?;
                        let mask = self.b.ins().iconst(types::I64, masked_word(&[0; 8][..tail]).0 as i64);
                        self.b.ins().band(word[0], mask)
                    }
                };
                let mask = self.b.ins().iconst(types::I64, (masked_word(&[0; 8][..head]).0 << 32) as i64);
                let first = self.b.ins().band(v.lo, mask);
                let bytes = self.b.ins().bor(first, rest);
                let high_bits = self.b.ins().iconst(types::I64, 0x8080_8080_8080_8080_u64 as i64);
                // Of the first word only the upper half is bytes, and `first` has no others.
                let wide = self.b.ins().band(bytes, high_bits);
                self.either(wide, &[types::I64, types::I64], piece, |e| {
                    let (length, count) = (e.length(v), e.b.ins().iconst(types::I64, count as i64));
                    let length = e.b.ins().umin(length, count);
                    Ok(vec![e.b.ins().bor(first, length), rest])
                })?
            }
            _ => piece(self)?,
        };
        let longest = i128::from(count.max(0)) * 4;
        Ok(Value::string(words[0], words[1]).with_null(v.null).with_bounds(Some((0, longest))))
    }
}
