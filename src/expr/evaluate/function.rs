//! Calls of named functions: arguments evaluated, then the family that knows the function.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::array::{Array, Float64Array, Int32Array, Int64Array, PrimitiveArray, StringViewArray};
use arrow::datatypes::Int64Type;

use super::value::{Value, booleans, extent, strings, wrap};
use super::{
    Rows, bloom, bytes, collections, datetime, format, hash, higher_order, json, maps, maths, number_format, regex, strings as texts, url,
    words,
};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::{Expr, ScalarFunction};

pub(super) fn evaluate(rows: &Rows<'_>, function: ScalarFunction, args: &[Expr], whole: &Expr) -> Result<Value> {
    use ScalarFunction::*;
    if args.iter().any(|a| matches!(a, Expr::Lambda { .. })) {
        return higher_order::evaluate(rows, function, args, &whole.data_type());
    }
    let values = args.iter().map(|a| rows.eval(a)).collect::<Result<Vec<_>>>()?;
    let types = || args.iter().map(Expr::data_type).collect::<Vec<DataType>>();
    match function {
        _ if bytes::overloaded(function, values.first()) => bytes::evaluate(function, &values, rows.count),
        Hex | Unhex | Base64 | UnBase64 | Md5 | Sha1Digest | Sha2Digest | Crc32 | Encode | Decode | IsValidUtf8 | MakeValidUtf8
        | ValidateUtf8 | TryValidateUtf8 | BitmapCount => bytes::evaluate(function, &values, rows.count),
        Soundex | Quote | LuhnCheck | Mask | Conv | Elt => words::evaluate(function, &values, rows.count),
        ToChar | ToNumber | TryToNumber => number_format::evaluate(function, &values, &whole.data_type(), rows.count),
        FormatString | FormatNumber => format::evaluate(function, &values, &types(), rows.count),
        ParseUrl | TryParseUrl | UrlEncode | UrlDecode | TryUrlDecode => url::evaluate(function, &values, rows.count),
        Substring | Left | Right | Upper | Lower | Trim | LTrim | RTrim | Length | OctetLength | BitLength | ConcatWs | Replace
        | Locate | Instr | LPad | RPad | Repeat | Space | Overlay | FindInSet | Bin | SplitPart | SubstringIndex | StartsWith
        | EndsWith | Contains | InitCap | Ascii | Chr | Translate | Levenshtein => texts::evaluate(function, &values, rows.count),
        Concat | Reverse if matches!(whole.data_type(), DataType::String) => texts::evaluate(function, &values, rows.count),
        Abs | Sign | Ceil | Floor | Round | BRound | Rint | Sqrt | Cbrt | Exp | Expm1 | Ln | Log10 | Log2 | Log1p | Log | Power | Sin
        | Cos | Tan | Cot | Asin | Acos | Atan | Atan2 | Sinh | Cosh | Tanh | Degrees | Radians | Hypot | Greatest | Least | PMod
        | IsNaN | NaNvl | BitAnd | BitOr | BitXor | BitNot | ShiftLeft | ShiftRight | ShiftRightUnsigned | LeftShift | RightShift
        | RightShiftUnsigned | BitCount | Factorial | Asinh | Acosh | Atanh | Sec | Csc | BitGet | WidthBucket | BitmapBitPosition
        | BitmapBucketNumber | NormalizeFloat => maths::evaluate(function, &values, &types(), &whole.data_type(), rows.count),
        Year
        | Quarter
        | Month
        | DayOfMonth
        | DayOfWeek
        | WeekDay
        | DayOfYear
        | WeekOfYear
        | YearOfWeek
        | Hour
        | Minute
        | Second
        | SecondFraction
        | DateAdd
        | DateSub
        | DateDiff
        | AddMonths
        | MonthsBetween
        | LastDay
        | NextDay
        | Trunc
        | DateTrunc
        | ToDate
        | ToTimestamp
        | TryToDate
        | TryToTimestamp
        | TryMakeTimestamp
        | TimestampDiff
        | DateFormat
        | MakeDate
        | MakeTimestamp
        | UnixTimestamp
        | UnixMillis
        | UnixMicros
        | UnixDate
        | DateFromUnixDate
        | TimestampSeconds
        | TimestampMillis
        | TimestampMicros
        | FromUnixTime
        | FromUtcTimestamp
        | ToUtcTimestamp
        | ConvertTimezone
        | SubtractDates
        | SubtractTimestamps
        | TimeAdd
        | TimestampAddMonths
        | DateAddMonths
        | IntervalAdd
        | IntervalSubtract
        | IntervalMultiply
        | IntervalDivide
        | IntervalPart
        | MakeDayTimeInterval
        | MakeYearMonthInterval => datetime::evaluate(function, &values, rows.count),
        Rand => random(&values, rows.count),
        Uuid => Ok(Value::Array(Arc::new((0..rows.count).map(|_| uuid()).collect::<StringViewArray>()))),
        Hash => {
            let (n, scalar) = extent(&values.iter().collect::<Vec<_>>(), rows.count);
            let columns = values.into_iter().map(|v| v.into_array(n)).collect::<Result<Vec<_>>>()?;
            Ok(wrap(Arc::new(Int32Array::from(hash::murmur3(&columns, n, 42)?)), scalar))
        }
        MightContain => bloom::evaluate(&values, rows.count),
        XxHash64 => {
            let (n, scalar) = extent(&values.iter().collect::<Vec<_>>(), rows.count);
            let columns = values.into_iter().map(|v| v.into_array(n)).collect::<Result<Vec<_>>>()?;
            Ok(wrap(Arc::new(Int64Array::from(hash::xxhash64(&columns, n, 42)?)), scalar))
        }
        Split | RegexpReplace | RegexpExtract | RegexpExtractAll | RegexpCount | RegexpInstr | RegexpSubstr | RLike => {
            regex::evaluate(function, &values, rows.count)
        }
        Concat | Reverse | Array | Size | ElementAt | TryElementAt | Get | ArrayUnion | ArrayIntersect | ArrayExcept | ArraysOverlap
        | ArrayRepeat | ArrayCompact | ArrayRemove | ArrayInsert | ArraysZip | ArraySort | Shuffle | GetItem | ArrayContains
        | ArrayPosition | SortArray | ArrayMin | ArrayMax | ArrayMode | ArrayPercentile | ArrayPercentileDisc | ArrayDistinct
        | ArrayJoin | Slice | Sequence | Flatten | NamedStruct | GetField | GetArrayFields => {
            collections::evaluate(function, &values, &whole.data_type(), rows.count)
        }
        Map | MapFromArrays | MapFromEntries | MapConcat | StrToMap | MapEntries | MapKeys | MapValues => {
            maps::evaluate(function, &values, &whole.data_type(), rows.count)
        }
        RaiseError | AssertTrue => raise(function, &values, rows.count),
        Transform | Filter | Exists | ForAll | Aggregate | ZipWith | TransformKeys | TransformValues | MapFilter | MapZipWith => {
            Err(Error::internal(format!("`{}` without a lambda function", function.name())))
        }
        GetJsonObject | JsonArrayLength | JsonObjectKeys | FromJson | ToJson => {
            json::evaluate(function, &values, &types(), &whole.data_type(), rows.count)
        }
        Explode | PosExplode | Inline | ExplodeOuter | PosExplodeOuter | InlineOuter | JsonTuple | Stack => {
            Err(Error::unsupported(format!("the generator `{}` outside of SELECT and LATERAL VIEW", function.name())))
        }
    }
}

/// `raise_error(message)` fails if there is a row; `assert_true(condition[, message])` if a condition is not true.
fn raise(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    let message = |at: usize, row: usize| -> Option<String> {
        let texts = strings(args.get(at)?.inner()).ok()?;
        let row = row * args[at].step();
        texts.is_valid(row).then(|| texts.value(row).to_string())
    };
    let error = |text: Option<String>| Error::new(ErrorClass::UserRaised, text.unwrap_or_else(|| "null".into()));
    if function == ScalarFunction::AssertTrue {
        let condition = booleans(args[0].inner())?;
        let broken = (0..condition.len()).find(|i| rows > 0 && (condition.is_null(*i) || !condition.value(*i)));
        if let Some(row) = broken {
            return Err(error(Some(message(1, row).unwrap_or_else(|| "The condition of `assert_true` is not true.".into()))));
        }
    } else if rows > 0 {
        return Err(error(message(0, 0)));
    }
    Ok(Value::Scalar(collections::null_array(&DataType::Null, 1)))
}

thread_local! {
    /// State of `rand()` without a seed, and calls made of `rand(seed)`.
    static RANDOM: Cell<u64> = Cell::new(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64));
}

/// A random UUID in its usual form.
fn uuid() -> Option<String> {
    let mut bytes = [0u8; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
    }
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Some([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// Uniform doubles in [0, 1) (SplitMix64). A seed makes each batch start anew from it.
fn random(args: &[Value], rows: usize) -> Result<Value> {
    let seeded = match args.first() {
        Some(v) => {
            let array = super::value::primitive::<Int64Type>(v.inner())?;
            let seed: &PrimitiveArray<Int64Type> = array;
            Some(if seed.is_empty() || seed.is_null(0) { 0 } else { seed.value(0) as u64 })
        }
        None => None,
    };
    let mut state = seeded.unwrap_or_else(|| RANDOM.get());
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let values: Float64Array = (0..rows).map(|_| next()).collect::<Vec<_>>().into();
    if seeded.is_none() {
        RANDOM.set(state);
    }
    Ok(Value::Array(Arc::new(values)))
}
