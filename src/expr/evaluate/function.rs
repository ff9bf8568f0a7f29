//! Calls of named functions: arguments evaluated, then the family that knows the function.

use std::sync::Arc;

use arrow::array::{Array, Int32Array, Int64Array};

use super::value::{Value, booleans, extent, strings, wrap};
use super::{
    Rows, bloom, bytes, collections, datetime, format, hash, higher_order, json, maps, maths, number_format, random, regex,
    strings as texts, url, words,
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
        | ValidateUtf8 | TryValidateUtf8 | BitmapCount | EstimateDistinct => bytes::evaluate(function, &values, rows.count),
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
        | WindowBound
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
        Rand | RandN | RandStr | Uuid | SparkPartitionId | MonotonicallyIncreasingId => random::evaluate(function, &values, rows.count),
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
        Map | MapFromArrays | MapFromEntries | MapConcat | StrToMap | MapSort | MapEntries | MapKeys | MapValues => {
            maps::evaluate(function, &values, &whole.data_type(), rows.count)
        }
        RaiseError | AssertTrue => raise(function, &values, rows.count),
        Transform | Filter | Exists | ForAll | Aggregate | ZipWith | TransformKeys | TransformValues | MapFilter | MapZipWith => {
            Err(Error::internal(format!("`{}` without a lambda function", function.name())))
        }
        GetJsonObject | JsonArrayLength | JsonObjectKeys | FromJson | ToJson => {
            json::evaluate(function, &values, &types(), &whole.data_type(), rows.count)
        }
        Explode | PosExplode | Inline | ExplodeOuter | PosExplodeOuter | InlineOuter | JsonTuple | Stack | ReplicateRows => {
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
