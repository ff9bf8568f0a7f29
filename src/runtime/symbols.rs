//! The one table of functions that generated code may call.
//!
//! A function is here with its signature; generated code knows it by name. Those called for each row on a hot path say why
//! that is worth a call. Nothing here unwinds: a helper that could panic would abort the process, so each is total.

use super::aggregate_table::AggregateTable;
use super::bloom::BloomFilter;
use super::hash;
use super::join_table::JoinTable;
use super::like::LikePattern;
use super::output::Output;
use super::select::{self, Test};
use super::string::{StrRef, substring};
use twox_hash::XxHash64;

/// A parameter or result of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    I8,
    I64,
    /// An address.
    Pointer,
}

/// A function callable from generated code.
#[derive(Debug)]
pub struct Symbol {
    pub name: &'static str,
    pub params: &'static [Type],
    pub result: Option<Type>,
    /// Why it may be called for each row; `None` where it is rare (growth, long strings).
    pub per_row: Option<&'static str>,
    /// Address of the function.
    pub address: fn() -> *const u8,
}

macro_rules! symbols {
    ($($name:ident ($($param:ident),*) $(-> $result:ident)?, $per_row:expr;)*) => {
        /// Every symbol there is.
        pub static SYMBOLS: &[Symbol] = &[$(Symbol {
            name: stringify!($name),
            params: &[$(Type::$param),*],
            result: symbols!(@result $($result)?),
            per_row: $per_row,
            address: || $name as *const u8,
        }),*];
    };
    (@result) => { None };
    (@result $result:ident) => { Some(Type::$result) };
}

symbols! {
    ws_aggregate_grow(Pointer) -> I8, None;
    ws_aggregate_place(Pointer, Pointer), None;
    ws_aggregate_keep(Pointer, I64, I64) -> I64, None;
    ws_bytes_equal(I64, I64, I64) -> I8, Some("comparing long strings is a library's work");
    ws_bytes_hash(I64, I64) -> I64, Some("hashing long strings is a loop of its own");
    ws_string_compare(I64, I64, I64, I64) -> I64, Some("comparing strings with equal prefixes is a library's work");
    ws_string_set(Pointer, I64, I64) -> I8, Some("long IN lists are looked up in a set");
    ws_like(Pointer, I64, I64) -> I8, Some("searching text is vector code that needs a register or two more than there are here");
    ws_substring(I64, I64, I64, I64, Pointer), Some("characters of several bytes are counted in a loop");
    ws_integer_set(Pointer, I64) -> I8, Some("long IN lists are looked up in a set");
    ws_xxhash64(I64, I64, I64) -> I64, Some("hashing bytes is a loop of its own");
    ws_might_contain(Pointer, I64) -> I8, Some("a Bloom filter is probed in a loop that ends at the first bit that is not set");
    ws_decimal_function(Pointer, I64, I64, I64, I64, Pointer) -> I8, Some("division and rounding of wide decimals have no machine instruction");
    ws_select_between(Pointer, Pointer, I64, I64, I64, I64, I64) -> I64, None;
    ws_select_present(Pointer, Pointer, I64, I64, Pointer, I64) -> I64, None;
    ws_output_grow(Pointer), None;
    ws_output_string(Pointer, I64, I64, I64) -> I64, Some("long strings are copied to the output");
}

/// How a selection is to be made, as bits of the last argument of `ws_select_between` and `ws_select_present`.
pub mod selecting {
    /// Values of 64 bits, not 32.
    pub const WIDE: i64 = 1;
    /// Of the rows selected so far (the first so many of the selection vector), not of a range of rows.
    pub const SELECTED: i64 = 2;
    /// More than the least, not from it on.
    pub const ABOVE: i64 = 4;
    /// Less than the greatest, not up to it.
    pub const BELOW: i64 = 8;
    /// Keys that are not in the table.
    pub const ABSENT: i64 = 16;
}

/// Selects rows of a block by a range of values; how many there are.
///
/// # Safety
/// As for [`select::select`]; `how` is of [`selecting`].
unsafe extern "C" fn ws_select_between(
    values: *const u8,
    selection: *mut u32,
    first: u64,
    last: u64,
    low: i64,
    high: i64,
    how: i64,
) -> u64 {
    let low = if how & selecting::ABOVE != 0 { low.checked_add(1) } else { Some(low) };
    let high = if how & selecting::BELOW != 0 { high.checked_sub(1) } else { Some(high) };
    let (Some(low), Some(high)) = (low, high) else { return 0 };
    // SAFETY: by the caller's promise.
    unsafe { select_rows(values, selection, first, last, Test::Between(low, high), how) }
}

/// Selects rows of a block by whether their value is a key of a table; how many there are.
///
/// # Safety
/// As for [`select::select`]; the table is of a form by key; `how` is of [`selecting`].
unsafe extern "C" fn ws_select_present(
    values: *const u8,
    selection: *mut u32,
    first: u64,
    last: u64,
    table: *const JoinTable,
    how: i64,
) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe { select_rows(values, selection, first, last, Test::Present(&*table, how & selecting::ABSENT == 0), how) }
}

/// # Safety
/// As for [`select::select`].
unsafe fn select_rows(values: *const u8, selection: *mut u32, first: u64, last: u64, test: Test, how: i64) -> u64 {
    let column = select::Column { values, wide: how & selecting::WIDE != 0 };
    let rows = match how & selecting::SELECTED {
        0 => select::Rows::Range(first as usize, last as usize),
        _ => select::Rows::Selected(last as usize),
    };
    // SAFETY: by the caller's promise.
    unsafe { select::select(column, rows, test, selection) as u64 }
}

/// A set of strings, made at plan time.
pub type StringSet = hashbrown::HashSet<Box<[u8]>>;
/// A set of integers, made at plan time.
pub type IntegerSet = hashbrown::HashSet<i64>;
/// A function over two decimals (unscaled); `None` is an error of the row.
pub type DecimalFunction = Box<dyn Fn(i128, i128) -> Option<i128> + Send + Sync>;

/// Makes room for a row; 0 if the task is to stop.
///
/// # Safety
/// `table` is the task's table.
unsafe extern "C" fn ws_aggregate_grow(table: *mut AggregateTable) -> u8 {
    // SAFETY: by the caller's promise, and nothing else uses the table during the call.
    u8::from(unsafe { &mut *table }.grow().is_ok())
}

/// Marks a row in its slot as there.
///
/// # Safety
/// `table` is the task's table, and `row` the row of a slot that is not marked.
unsafe extern "C" fn ws_aggregate_place(table: *mut AggregateTable, row: *mut u64) {
    // SAFETY: by the caller's promise, and nothing else uses the table during the call.
    unsafe { (*table).place(row) };
}

/// The high word of a copy of a long string that lives as long as the table.
///
/// # Safety
/// `table` is the task's table; the string is alive.
unsafe extern "C" fn ws_aggregate_keep(table: *mut AggregateTable, lo: u64, hi: u64) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe { (*table).keep(StrRef { lo, hi }.bytes()) as u64 }
}

/// Whether two byte ranges of one length are equal.
///
/// # Safety
/// Both ranges are alive.
unsafe extern "C" fn ws_bytes_equal(a: *const u8, b: *const u8, length: u64) -> u8 {
    // SAFETY: by the caller's promise.
    unsafe { u8::from(std::slice::from_raw_parts(a, length as usize) == std::slice::from_raw_parts(b, length as usize)) }
}

/// The word by which a long string is hashed.
///
/// # Safety
/// The range is alive.
unsafe extern "C" fn ws_bytes_hash(a: *const u8, length: u64) -> u64 {
    // SAFETY: by the caller's promise.
    hash::bytes_word(unsafe { std::slice::from_raw_parts(a, length as usize) })
}

/// -1, 0 or 1: the order of two strings by bytes.
///
/// # Safety
/// Both strings are alive.
unsafe extern "C" fn ws_string_compare(a_lo: u64, a_hi: u64, b_lo: u64, b_hi: u64) -> i64 {
    let (a, b) = (StrRef { lo: a_lo, hi: a_hi }, StrRef { lo: b_lo, hi: b_hi });
    // SAFETY: by the caller's promise.
    unsafe { a.bytes().cmp(b.bytes()) as i64 }
}

/// Whether the set holds the string.
///
/// # Safety
/// `set` is one of the stage's; the string is alive.
unsafe extern "C" fn ws_string_set(set: *const StringSet, lo: u64, hi: u64) -> u8 {
    // SAFETY: by the caller's promise.
    u8::from(unsafe { (*set).contains(StrRef { lo, hi }.bytes()) })
}

/// Whether the pattern matches.
///
/// # Safety
/// `pattern` is one of the stage's; the string is alive.
unsafe extern "C" fn ws_like(pattern: *const LikePattern, lo: u64, hi: u64) -> u8 {
    // SAFETY: by the caller's promise.
    u8::from(unsafe { (*pattern).matches(StrRef { lo, hi }.bytes()) })
}

/// Writes characters `position .. position + count` of the string to `out`.
///
/// # Safety
/// The string is alive; `out` is writable.
unsafe extern "C" fn ws_substring(lo: u64, hi: u64, position: i64, count: i64, out: *mut StrRef) {
    let text = StrRef { lo, hi };
    // SAFETY: by the caller's promise. A piece of an inline string is inline itself, so `out` keeps no pointer to `text`.
    unsafe {
        let bytes = text.bytes();
        *out = StrRef::new(&bytes[substring(bytes, position, count)]);
    }
}

/// Whether the set holds the value.
///
/// # Safety
/// `set` is one of the stage's.
unsafe extern "C" fn ws_integer_set(set: *const IntegerSet, value: i64) -> u8 {
    // SAFETY: by the caller's promise.
    u8::from(unsafe { (*set).contains(&value) })
}

/// XXH64 of a string's bytes.
///
/// # Safety
/// The string is alive.
unsafe extern "C" fn ws_xxhash64(lo: u64, hi: u64, seed: u64) -> u64 {
    let text = StrRef { lo, hi };
    // SAFETY: by the caller's promise.
    XxHash64::oneshot(seed, unsafe { text.bytes() })
}

/// Whether the filter may have the item.
///
/// # Safety
/// `filter` is one of the stage's.
unsafe extern "C" fn ws_might_contain(filter: *const BloomFilter, item: i64) -> u8 {
    // SAFETY: by the caller's promise.
    u8::from(unsafe { (*filter).might_contain(item) })
}

/// Applies a decimal function to two values given as halves; writes 16 bytes to `out` and returns 0, or returns 1 on an error.
///
/// # Safety
/// `function` is one of the stage's; `out` is writable.
unsafe extern "C" fn ws_decimal_function(
    function: *const DecimalFunction,
    a_lo: u64,
    a_hi: i64,
    b_lo: u64,
    b_hi: i64,
    out: *mut u64,
) -> u8 {
    let join = |lo: u64, hi: i64| (i128::from(hi) << 64) | i128::from(lo);
    // SAFETY: by the caller's promise.
    match unsafe { (*function)(join(a_lo, a_hi), join(b_lo, b_hi)) } {
        Some(v) => {
            // SAFETY: by the caller's promise.
            unsafe {
                out.write(v as u64);
                out.add(1).write((v >> 64) as u64);
            }
            0
        }
        None => 1,
    }
}

/// Makes room for more output rows.
///
/// # Safety
/// `output` is the task's builder.
unsafe extern "C" fn ws_output_grow(output: *mut Output) {
    // SAFETY: by the caller's promise.
    unsafe { &mut *output }.grow();
}

/// The high word of the view of a long string copied to the output.
///
/// # Safety
/// `output` is the task's builder; the string is alive.
unsafe extern "C" fn ws_output_string(output: *mut Output, column: u64, lo: u64, hi: u64) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe { &mut *output }.add_long_string(column as usize, StrRef { lo, hi })
}
