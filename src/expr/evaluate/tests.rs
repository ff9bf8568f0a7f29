//! Values, NULLs and errors of evaluation, expressions being made as the binder makes them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::{evaluate, evaluate_all, evaluate_list, fold, generate, predicate, scalar};
use crate::base::{Attribute, DataType, ErrorClass, Scalar, calendar, schema};
use crate::expr::coerce::{self, arithmetic, comparison, explicit_cast, function};
use crate::expr::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction};

fn lit(s: Scalar) -> Expr {
    Expr::Literal(s)
}

fn int(v: i32) -> Expr {
    lit(Scalar::Int(v))
}

fn long(v: i64) -> Expr {
    lit(Scalar::Long(v))
}

fn double(v: f64) -> Expr {
    lit(Scalar::Double(v))
}

fn text(v: &str) -> Expr {
    lit(Scalar::string(v))
}

fn null(t: DataType) -> Expr {
    lit(Scalar::Null(t))
}

/// `dec("1.50")` is 1.50 of decimal(3,2).
fn dec(v: &str) -> Expr {
    let (value, scale) = crate::base::decimal::parse(v).unwrap();
    let precision = crate::base::decimal::digits(value).max(scale as u8);
    lit(Scalar::Decimal { value, precision, scale: scale as i8 })
}

fn date(v: &str) -> Expr {
    lit(Scalar::Date(calendar::parse_date(v).unwrap()))
}

fn timestamp(v: &str) -> Expr {
    lit(Scalar::Timestamp(calendar::parse_timestamp(v).unwrap()))
}

fn array(items: Vec<Expr>) -> Expr {
    function("array", items).unwrap()
}

/// The value as `CAST(… AS STRING)` shows it, or the name of the error.
fn show(e: crate::base::Result<Expr>) -> String {
    let value = e.and_then(|e| fold(&explicit_cast(e, &DataType::String, false)?));
    match value {
        Ok(Scalar::Null(_)) => "NULL".to_string(),
        Ok(s) => s.to_string(),
        Err(e) => e.class.name().to_string(),
    }
}

fn call(name: &str, args: Vec<Expr>) -> String {
    show(function(name, args))
}

fn cast(e: Expr, to: DataType) -> String {
    show(explicit_cast(e, &to, false))
}

/// Columns bound by position, and their batch.
fn batch(columns: Vec<(&str, DataType, ArrayRef)>) -> (Vec<Expr>, RecordBatch) {
    let attributes: Vec<Attribute> = columns.iter().map(|(n, t, _)| Attribute::new(*n, t.clone(), true)).collect();
    let exprs =
        attributes.iter().enumerate().map(|(index, a)| Expr::Column { index, data_type: a.data_type.clone(), nullable: true }).collect();
    let arrays = columns.into_iter().map(|(.., a)| a).collect();
    (exprs, RecordBatch::try_new(schema::arrow_schema(&attributes), arrays).unwrap())
}

#[test]
fn arithmetic_and_its_errors() {
    use ArithmeticOp::*;
    let max = || long(i64::MAX);
    for (op, l, r, expected) in [
        (Add, int(1), int(2), "3"),
        (Add, int(i32::MAX), int(1), "ARITHMETIC_OVERFLOW"),
        (Multiply, max(), long(2), "ARITHMETIC_OVERFLOW"),
        (Subtract, int(1), long(2), "-1"),
        (Divide, int(1), int(2), "0.5"),
        (Divide, int(1), int(0), "DIVIDE_BY_ZERO"),
        (Divide, null(DataType::Int), int(0), "NULL"),
        (IntegralDivide, int(-7), int(2), "-3"),
        (IntegralDivide, long(i64::MIN), long(-1), "ARITHMETIC_OVERFLOW"),
        (Remainder, int(-7), int(2), "-1"),
        (Remainder, long(i64::MIN), long(-1), "0"),
        (Remainder, int(1), int(0), "REMAINDER_BY_ZERO"),
        (Add, text("1.5"), double(1.0), "2.5"),
        (Add, text("2"), int(1), "3"),
        (Add, text("x"), int(1), "CAST_INVALID_INPUT"),
        (Add, dec("0.1"), dec("0.25"), "0.35"),
        (Multiply, dec("1.5"), dec("-1.25"), "-1.875"),
        (Divide, dec("1.0"), dec("3.0"), "0.333333"),
        (Divide, dec("1.0"), dec("0.0"), "DIVIDE_BY_ZERO"),
        (Remainder, dec("7.5"), dec("2"), "1.5"),
        (IntegralDivide, dec("7.5"), dec("2"), "3"),
        (Add, dec("99999999999999999999999999999999999999"), dec("1"), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (Multiply, dec("1000000000000000000000000"), dec("1000000000000000000000000"), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (Multiply, dec("12345678901234567890.123456"), dec("1.5"), "18518518351851851835.1851840"),
    ] {
        assert_eq!(show(arithmetic(op, l.clone(), r.clone())), expected, "{l} {} {r}", op.symbol());
    }
    assert_eq!(call("try_add", vec![int(i32::MAX), int(1)]), "NULL");
    assert_eq!(call("try_divide", vec![int(1), int(0)]), "NULL");
    assert_eq!(
        show(coerce::negate(Expr::Cast { expr: Box::new(int(i32::MIN)), to: DataType::Int, try_cast: false })),
        "ARITHMETIC_OVERFLOW"
    );
}

#[test]
fn casts() {
    use DataType::*;
    for (e, to, expected) in [
        (text(" 12 "), Int, "12"),
        (text("1.5"), Int, "CAST_INVALID_INPUT"),
        (text("300"), Byte, "CAST_INVALID_INPUT"),
        (text("1e3"), Double, "1000.0"),
        (text("2.345"), DataType::decimal(3, 2), "2.35"),
        (text("23.45"), DataType::decimal(3, 2), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (text("abc"), DataType::decimal(3, 2), "CAST_INVALID_INPUT"),
        (text("yes"), Boolean, "true"),
        (text("maybe"), Boolean, "CAST_INVALID_INPUT"),
        (text("2020-2-3"), Date, "2020-02-03"),
        (text("2020-02-30"), Date, "CAST_INVALID_INPUT"),
        (text("2020-02-03 04:05:06.7"), Timestamp, "2020-02-03 04:05:06.7"),
        (int(300), Byte, "CAST_OVERFLOW"),
        (int(127), Byte, "127"),
        (double(2147483648.0), Int, "CAST_OVERFLOW"),
        (double(2147483647.9), Int, "2147483647"),
        (double(-1.9), Int, "-1"),
        (double(f64::NAN), Int, "CAST_OVERFLOW"),
        (double(9.3e18), Long, "CAST_OVERFLOW"),
        (dec("2.999"), Int, "2"),
        (dec("2.999"), DataType::decimal(3, 2), "3.00"),
        (dec("9.999"), DataType::decimal(3, 2), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (dec("123.45"), Double, "123.45"),
        (double(0.1), DataType::decimal(20, 5), "0.10000"),
        (double(1e20), DataType::decimal(10, 2), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (int(5), DataType::decimal(5, 2), "5.00"),
        (int(5000), DataType::decimal(5, 2), "NUMERIC_VALUE_OUT_OF_RANGE"),
        (long(1_500_000_000), Timestamp, "2017-07-14 02:40:00"),
        (timestamp("1969-12-31 23:59:59.5"), Long, "-1"),
        (timestamp("2020-01-02 03:04:05"), Date, "2020-01-02"),
        (date("2020-01-02"), Timestamp, "2020-01-02 00:00:00"),
        (lit(Scalar::Boolean(true)), Int, "1"),
        (int(0), Boolean, "false"),
        (double(1e10), String, "1.0E10"),
        (array(vec![int(1), null(Int)]), String, "[1, null]"),
        (array(vec![text("1"), text("2")]), Array(Box::new(Int)), "[1, 2]"),
    ] {
        assert_eq!(cast(e.clone(), to.clone()), expected, "{e} as {to}");
    }
    let tried = explicit_cast(text("x"), &Int, true);
    assert_eq!(show(tried), "NULL");
    assert!(explicit_cast(date("2020-01-01"), &Int, false).is_err());
}

#[test]
fn comparison_of_floats_and_nulls() {
    use ComparisonOp::*;
    let nan = || double(f64::NAN);
    for (op, l, r, expected) in [
        (Equal, nan(), nan(), "true"),
        (Greater, nan(), double(f64::INFINITY), "true"),
        (Less, nan(), double(1.0), "false"),
        (LessOrEqual, double(1.0), nan(), "true"),
        (Equal, double(0.0), double(-0.0), "true"),
        (Less, double(-0.0), double(0.0), "false"),
        (Equal, null(DataType::Int), int(1), "NULL"),
        (EqualNullSafe, null(DataType::Int), int(1), "false"),
        (EqualNullSafe, null(DataType::Int), null(DataType::Int), "true"),
        (Less, text("B"), text("a"), "true"),
        (Equal, text("01"), int(1), "true"),
        (Equal, dec("1.0"), dec("1.000"), "true"),
        (GreaterOrEqual, date("2020-01-02"), text("2020-01-02"), "true"),
        (Less, array(vec![int(1)]), array(vec![int(1), int(2)]), "true"),
    ] {
        assert_eq!(show(comparison(op, l.clone(), r.clone())), expected, "{l} {} {r}", op.symbol());
    }
}

#[test]
fn three_valued_logic_is_lazy_where_it_must_be() {
    let (c, b) = batch(vec![
        ("x", DataType::Int, Arc::new(Int32Array::from(vec![Some(0), Some(1), None, Some(4)]))),
        ("p", DataType::Boolean, Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
    ]);
    // x <> 0 AND 4 / x > 1: no division by zero.
    let not_zero = comparison(ComparisonOp::NotEqual, c[0].clone(), int(0)).unwrap();
    let quotient = |x: Expr| arithmetic(ArithmeticOp::Divide, int(4), x).unwrap();
    let big = comparison(ComparisonOp::Greater, quotient(c[0].clone()), double(1.0)).unwrap();
    let both = coerce::logical_and(not_zero.clone(), big.clone()).unwrap();
    let got = evaluate(&both, &b).unwrap();
    assert_eq!(got.as_boolean().iter().collect::<Vec<_>>(), [Some(false), Some(true), None, Some(false)]);
    assert_eq!(predicate(&both, &b).unwrap().iter().collect::<Vec<_>>(), [Some(false), Some(true), Some(false), Some(false)]);
    let zero = Expr::Not(Box::new(not_zero.clone()));
    let either = coerce::logical_or(zero, big.clone()).unwrap();
    assert_eq!(evaluate(&either, &b).unwrap().as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(true), None, Some(false)]);
    assert_eq!(evaluate(&big, &b).unwrap_err().class, ErrorClass::DivideByZero);
    // CASE and COALESCE guard too.
    let guarded = coerce::case(vec![(not_zero, quotient(c[0].clone()))], Some(double(-1.0))).unwrap();
    let got = evaluate(&guarded, &b).unwrap();
    assert_eq!(
        got.as_primitive::<arrow::datatypes::Float64Type>().iter().collect::<Vec<_>>(),
        [Some(-1.0), Some(4.0), Some(-1.0), Some(1.0)]
    );
    let first = coerce::coalesce(vec![c[0].clone(), arithmetic(ArithmeticOp::IntegralDivide, int(1), int(0)).unwrap()]).unwrap();
    assert_eq!(evaluate(&first, &b).unwrap_err().class, ErrorClass::DivideByZero);
    let filled = coerce::coalesce(vec![c[0].clone(), int(9)]).unwrap();
    assert_eq!(evaluate(&filled, &b).unwrap().as_primitive::<Int32Type>().values(), &[0, 1, 9, 4]);
    for (l, r, and, or) in [(None, Some(false), Some(false), None), (None, Some(true), None, Some(true)), (None, None, None, None)] {
        let v = |x: Option<bool>| x.map_or(null(DataType::Boolean), |b| lit(Scalar::Boolean(b)));
        let want = |x: Option<bool>| x.map_or("NULL".to_string(), |b| b.to_string());
        assert_eq!(show(coerce::logical_and(v(l), v(r))), want(and));
        assert_eq!(show(coerce::logical_or(v(r), v(l))), want(or));
    }
}

#[test]
fn in_lists() {
    let (c, b) = batch(vec![
        ("i", DataType::Int, Arc::new(Int32Array::from(vec![Some(1), Some(5), None]))),
        ("s", DataType::String, Arc::new(StringViewArray::from(vec![Some("MAIL"), Some("a longer text than twelve"), None]))),
    ]);
    let run = |e: Expr| evaluate(&e, &b).unwrap().as_boolean().iter().collect::<Vec<_>>();
    let list = |n: i32| (0..n).map(|v| int(v * 5)).collect::<Vec<_>>();
    for n in [2, 3, 20, 1000] {
        assert_eq!(run(coerce::in_list(c[0].clone(), list(n)).unwrap()), [Some(false), Some(true), None]);
        let mut with_null = list(n);
        with_null.push(null(DataType::Int));
        assert_eq!(run(coerce::in_list(c[0].clone(), with_null).unwrap()), [None, Some(true), None]);
    }
    let texts = |v: &[&str]| v.iter().map(|s| text(s)).collect::<Vec<_>>();
    assert_eq!(run(coerce::in_list(c[1].clone(), texts(&["MAIL", "SHIP", "AIR"])).unwrap()), [Some(true), Some(false), None]);
    assert_eq!(
        run(coerce::in_list(c[1].clone(), texts(&["MAIL", "x", "a longer text than twelve"])).unwrap()),
        [Some(true), Some(true), None]
    );
}

#[test]
fn common_subexpressions_are_computed_once_and_agree() {
    let (c, b) = batch(vec![("x", DataType::Long, Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])))]);
    let square = arithmetic(ArithmeticOp::Multiply, c[0].clone(), c[0].clone()).unwrap();
    let more = arithmetic(ArithmeticOp::Add, square.clone(), long(1)).unwrap();
    let out = evaluate_all(&[square.clone(), more.clone(), more.clone()], &b).unwrap();
    assert_eq!(out[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(9)]);
    assert_eq!(out[1].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), None, Some(10)]);
    assert!(Arc::ptr_eq(&out[1], &out[2]));
    let each = evaluate_list(&[square, more.clone(), more], &b, false).unwrap();
    assert!(each == out && !Arc::ptr_eq(&each[1], &each[2]));
}

#[test]
fn functions_of_strings() {
    for (name, args, expected) in [
        ("substring", vec![text("Spark SQL"), int(-3)], "SQL"),
        ("substring", vec![text("a text longer than twelve"), int(3), int(20)], "text longer than twe"),
        ("right", vec![text("Spark"), int(3)], "ark"),
        ("upper", vec![text("straße")], "STRASSE"),
        ("trim", vec![text("  x ")], "x"),
        ("trim", vec![text("xy"), text("xyaxy")], "a"),
        ("ltrim", vec![text("  x ")], "x "),
        ("char_length", vec![text("日本")], "2"),
        ("octet_length", vec![text("日本")], "6"),
        ("concat", vec![text("a"), int(1), text("b")], "a1b"),
        ("concat", vec![text("a"), null(DataType::String)], "NULL"),
        ("concat_ws", vec![text("-"), text("a"), null(DataType::String), text("b")], "a-b"),
        ("replace", vec![text("ABCabc"), text("abc"), text("DEF")], "ABCDEF"),
        ("locate", vec![text("bar"), text("foobarbar"), int(5)], "7"),
        ("instr", vec![text("SparkSQL"), text("SQL")], "6"),
        ("lpad", vec![text("hi"), int(5), text("??")], "???hi"),
        ("rpad", vec![text("hi"), int(1)], "h"),
        ("repeat", vec![text("ab"), int(2)], "abab"),
        ("reverse", vec![text("abc")], "cba"),
        ("split", vec![text("oneAtwoBthree"), text("[AB]")], "[one, two, three]"),
        ("overlay", vec![text("Spark SQL"), text("_"), int(6)], "Spark_SQL"),
        ("overlay", vec![text("Spark SQL"), text("ANSI "), int(7), int(0)], "Spark ANSI SQL"),
        ("find_in_set", vec![text("ab"), text("abc,b,ab,c,def")], "3"),
        ("bin", vec![int(13)], "1101"),
        ("split_part", vec![text("11.12.13"), text("."), int(3)], "13"),
        ("split_part", vec![text("11.12.13"), text("."), int(0)], "INVALID_ARRAY_INDEX"),
        ("initcap", vec![text("sPark sql")], "Spark Sql"),
        ("ascii", vec![text("222")], "50"),
        ("chr", vec![int(65)], "A"),
        ("translate", vec![text("AaBbCc"), text("abc"), text("12")], "A1B2C"),
        ("regexp_replace", vec![text("100-200"), text("(\\d+)"), text("num$1")], "num100-num200"),
        ("regexp_extract", vec![text("100-200"), text("(\\d+)-(\\d+)"), int(2)], "200"),
        ("rlike", vec![text("abc"), text("^a.c$")], "true"),
        ("rlike", vec![text("abc"), text("(")], "INVALID_PARAMETER_VALUE"),
        ("startswith", vec![text("Spark"), text("Sp")], "true"),
        ("contains", vec![text("Spark"), text("ark")], "true"),
        ("hex", vec![int(17)], "11"),
        ("hex", vec![text("Spark")], "537061726B"),
    ] {
        assert_eq!(call(name, args.clone()), expected, "{name}{args:?}");
    }
}

#[test]
fn functions_of_numbers() {
    for (name, args, expected) in [
        ("abs", vec![int(-1)], "1"),
        ("abs", vec![int(i32::MIN)], "ARITHMETIC_OVERFLOW"),
        ("ceil", vec![dec("-0.1")], "0"),
        ("ceil", vec![dec("2.1")], "3"),
        ("floor", vec![double(-0.1)], "-1"),
        ("ceil", vec![int(5)], "5"),
        ("round", vec![dec("2.5"), int(0)], "3"),
        ("round", vec![dec("2.345"), int(2)], "2.35"),
        ("round", vec![double(2.5)], "3.0"),
        ("round", vec![int(25), int(-1)], "30"),
        ("bround", vec![dec("2.5"), int(0)], "2"),
        ("bround", vec![int(25), int(-1)], "20"),
        ("sqrt", vec![int(4)], "2.0"),
        ("ln", vec![int(0)], "NULL"),
        ("log", vec![int(10), int(100)], "2.0"),
        ("power", vec![int(2), int(3)], "8.0"),
        ("sign", vec![int(-5)], "-1.0"),
        ("pmod", vec![int(-7), int(3)], "2"),
        ("pmod", vec![int(7), int(-3)], "1"),
        ("pmod", vec![int(7), int(0)], "REMAINDER_BY_ZERO"),
        ("mod", vec![int(7), int(4)], "3"),
        ("greatest", vec![int(1), null(DataType::Int), long(3)], "3"),
        ("least", vec![double(f64::NAN), double(1.0)], "1.0"),
        ("greatest", vec![double(f64::NAN), double(1.0)], "NaN"),
        ("isnan", vec![null(DataType::Double)], "false"),
        ("&", vec![int(6), int(3)], "2"),
        ("shiftleft", vec![int(2), int(3)], "16"),
        ("factorial", vec![int(5)], "120"),
        ("bit_count", vec![int(7)], "3"),
        ("hash", vec![text("Spark"), array(vec![int(123)]), int(2)], "-1321691492"),
        ("nullif", vec![int(2), int(2)], "NULL"),
        ("nvl2", vec![null(DataType::Int), int(2), int(1)], "1"),
        ("if", vec![lit(Scalar::Boolean(true)), int(1), double(2.0)], "1.0"),
        ("typeof", vec![dec("1.50")], "decimal(3,2)"),
        ("raise_error", vec![text("x")], "USER_RAISED_EXCEPTION"),
    ] {
        assert_eq!(call(name, args.clone()), expected, "{name}{args:?}");
    }
}

#[test]
fn functions_of_dates() {
    let day = |n: i64| lit(Scalar::DayTimeInterval(n * calendar::MICROS_PER_DAY));
    for (name, args, expected) in [
        ("year", vec![date("1998-12-01")], "1998"),
        ("quarter", vec![date("1998-12-01")], "4"),
        ("dayofweek", vec![date("2009-07-30")], "5"),
        ("weekday", vec![date("2009-07-30")], "3"),
        ("weekofyear", vec![date("2008-02-20")], "8"),
        ("dayofyear", vec![date("2016-04-09")], "100"),
        ("hour", vec![text("2009-07-30 12:58:59")], "12"),
        ("extract", vec![text("seconds"), timestamp("2019-10-01 00:00:01.000001")], "1.000001"),
        ("extract", vec![text("month"), date("2019-10-01")], "10"),
        ("extract", vec![text("day"), day(5)], "5"),
        ("date_add", vec![date("2016-07-30"), int(1)], "2016-07-31"),
        ("date_add", vec![date("2016-07-30"), int(i32::MAX)], "DATETIME_FIELD_OUT_OF_BOUNDS"),
        ("datediff", vec![date("2009-07-31"), date("2009-07-30")], "1"),
        ("add_months", vec![date("2016-08-31"), int(1)], "2016-09-30"),
        ("last_day", vec![date("2009-01-12")], "2009-01-31"),
        ("next_day", vec![date("2015-01-14"), text("TU")], "2015-01-20"),
        ("trunc", vec![date("2019-08-04"), text("week")], "2019-07-29"),
        ("trunc", vec![date("2019-08-04"), text("junk")], "NULL"),
        ("date_trunc", vec![text("HOUR"), timestamp("2015-03-05 09:32:05.359")], "2015-03-05 09:00:00"),
        ("date_trunc", vec![text("quarter"), timestamp("2015-05-05 09:32:05")], "2015-04-01 00:00:00"),
        ("to_date", vec![text("2016-12-31")], "2016-12-31"),
        ("to_date", vec![text("31/12/2016"), text("dd/MM/yyyy")], "2016-12-31"),
        ("to_date", vec![text("31/13/2016"), text("dd/MM/yyyy")], "CAST_INVALID_INPUT"),
        ("date_format", vec![date("2016-04-08"), text("y")], "2016"),
        ("dayname", vec![date("2016-04-08")], "Fri"),
        ("make_date", vec![int(2013), int(7), int(15)], "2013-07-15"),
        ("make_date", vec![int(2013), int(2), int(30)], "DATETIME_FIELD_OUT_OF_BOUNDS"),
        ("unix_timestamp", vec![timestamp("1970-01-02 00:00:00")], "86400"),
        ("from_unixtime", vec![long(0)], "1970-01-01 00:00:00"),
        ("months_between", vec![timestamp("1997-02-28 10:30:00"), timestamp("1996-10-30 00:00:00")], "3.94959677"),
        ("make_dt_interval", vec![int(1), int(2), int(3), double(4.5)], "INTERVAL '1 02:03:04.5' DAY TO SECOND"),
    ] {
        assert_eq!(call(name, args.clone()), expected, "{name}{args:?}");
    }
    let months = |n: i32| lit(Scalar::YearMonthInterval(n));
    for (op, l, r, expected) in [
        (ArithmeticOp::Subtract, date("1998-12-01"), day(90), "1998-09-02"),
        (ArithmeticOp::Add, date("1994-01-01"), months(12), "1995-01-01"),
        (ArithmeticOp::Add, months(1), date("2020-01-31"), "2020-02-29"),
        (ArithmeticOp::Subtract, date("2020-01-31"), months(2), "2019-11-30"),
        (ArithmeticOp::Subtract, date("2020-03-01"), date("2020-02-28"), "INTERVAL '2 00:00:00' DAY TO SECOND"),
        (ArithmeticOp::Add, date("2020-01-01"), int(3), "2020-01-04"),
        (ArithmeticOp::Multiply, day(2), double(1.5), "INTERVAL '3 00:00:00' DAY TO SECOND"),
        (ArithmeticOp::Add, timestamp("2020-01-01 00:00:00"), lit(Scalar::DayTimeInterval(1_500_000)), "2020-01-01 00:00:01.5"),
    ] {
        assert_eq!(show(arithmetic(op, l.clone(), r.clone())), expected, "{l} {} {r}", op.symbol());
    }
}

#[test]
fn functions_of_collections() {
    let a = || array(vec![int(3), int(1), null(DataType::Int), int(3)]);
    let m = || function("map", vec![text("a"), int(1), text("b"), int(2)]).unwrap();
    for (name, args, expected) in [
        ("size", vec![a()], "4"),
        ("size", vec![null(DataType::Array(Box::new(DataType::Int)))], "NULL"),
        ("element_at", vec![a(), int(-1)], "3"),
        ("element_at", vec![a(), int(0)], "INVALID_INDEX_OF_ZERO"),
        ("element_at", vec![a(), int(9)], "INVALID_ARRAY_INDEX_IN_ELEMENT_AT"),
        ("element_at", vec![m(), text("b")], "2"),
        ("element_at", vec![m(), text("z")], "NULL"),
        ("getitem", vec![a(), int(0)], "3"),
        ("get", vec![a(), int(9)], "NULL"),
        ("try_element_at", vec![a(), int(-4)], "3"),
        ("array_union", vec![a(), array(vec![int(5)])], "[3, 1, null, 5]"),
        ("array_intersect", vec![a(), array(vec![int(1), null(DataType::Int)])], "[1, null]"),
        ("array_except", vec![a(), array(vec![int(3)])], "[1, null]"),
        ("arrays_overlap", vec![a(), array(vec![int(9)])], "NULL"),
        ("array_repeat", vec![text("x"), int(2)], "[x, x]"),
        ("array_compact", vec![a()], "[3, 1, 3]"),
        ("array_append", vec![array(vec![int(1)]), int(2)], "[1, 2]"),
        ("map_from_arrays", vec![array(vec![int(1), int(2)]), array(vec![text("a"), text("b")])], "{1 -> a, 2 -> b}"),
        ("map_contains_key", vec![m(), text("a")], "true"),
        ("array_contains", vec![a(), int(1)], "true"),
        ("array_contains", vec![a(), int(7)], "NULL"),
        ("array_position", vec![a(), int(1)], "2"),
        ("sort_array", vec![a()], "[null, 1, 3, 3]"),
        ("sort_array", vec![a(), lit(Scalar::Boolean(false))], "[3, 3, 1, null]"),
        ("array_min", vec![a()], "1"),
        ("array_max", vec![a()], "3"),
        ("array_distinct", vec![a()], "[3, 1, null]"),
        ("array_percentile_disc", vec![a(), double(0.3)], "1"),
        ("array_percentile", vec![array(vec![double(1.0), double(2.0)]), double(0.5)], "1.5"),
        ("array_join", vec![array(vec![text("x"), text("y")]), text(",")], "x,y"),
        ("slice", vec![a(), int(2), int(2)], "[1, null]"),
        ("reverse", vec![array(vec![int(1), int(2)])], "[2, 1]"),
        ("concat", vec![array(vec![int(1)]), array(vec![int(2), int(3)])], "[1, 2, 3]"),
        ("flatten", vec![array(vec![array(vec![int(1)]), array(vec![int(2)])])], "[1, 2]"),
        ("sequence", vec![int(1), int(5), int(2)], "[1, 3, 5]"),
        ("sequence", vec![int(3), int(1)], "[3, 2, 1]"),
        ("sequence", vec![int(1), int(5), int(-1)], "INVALID_PARAMETER_VALUE"),
        (
            "sequence",
            vec![date("2018-01-31"), date("2018-04-01"), lit(Scalar::YearMonthInterval(1))],
            "[2018-01-31, 2018-02-28, 2018-03-31]",
        ),
        ("map", vec![text("a"), int(1)], "{a -> 1}"),
        ("map", vec![text("a"), int(1), text("a"), int(1)], "DUPLICATED_MAP_KEY"),
        ("map_keys", vec![m()], "[a, b]"),
        ("named_struct", vec![text("a"), int(1), text("b"), text("x")], "{1, x}"),
    ] {
        assert_eq!(call(name, args.clone()), expected, "{name}{args:?}");
    }
    let s = function("named_struct", vec![text("a"), int(1), text("b"), text("x")]).unwrap();
    assert_eq!(call("getstructfield", vec![s, text("B")]), "x");
}

#[test]
fn generators() {
    let element = DataType::Array(Box::new(DataType::Int));
    let lists = scalar::list_to_array(
        &[
            Scalar::Array(vec![Scalar::Int(1), Scalar::Null(DataType::Int)], DataType::Int),
            Scalar::Array(vec![], DataType::Int),
            Scalar::Null(element.clone()),
            Scalar::Array(vec![Scalar::Int(7)], DataType::Int),
        ],
        &element,
    )
    .unwrap();
    let (c, b) = batch(vec![("l", element, lists)]);
    let explode = function("posexplode", vec![c[0].clone()]).unwrap();
    let generate = |generator, outer| generate(generator, &b, outer, 100).unwrap().next().unwrap().unwrap();
    let out = generate(&explode, false);
    assert_eq!(out.rows.values(), &[0, 0, 3]);
    assert_eq!(out.columns[1].as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(7)]);
    let out = generate(&explode, true);
    assert_eq!(out.rows.values(), &[0, 0, 1, 2, 3]);
    assert_eq!(out.columns[0].null_count(), 2);
    let stack = function("stack", vec![int(2), int(1), int(2), int(3)]).unwrap();
    let out = generate(&stack, false);
    assert_eq!(out.columns.len(), 2);
    assert_eq!(out.columns[1].as_primitive::<Int32Type>().iter().take(2).collect::<Vec<_>>(), [Some(2), None]);
    assert_eq!(ScalarFunction::Stack.generated(&[int(2), int(1), int(2), int(3)]).len(), 2);
}

#[test]
fn every_result_has_the_declared_type() {
    let (c, b) = batch(vec![
        ("i", DataType::Int, Arc::new(Int32Array::from(vec![Some(3), None]))),
        ("d", DataType::Double, Arc::new(Float64Array::from(vec![Some(0.5), None]))),
        ("s", DataType::String, Arc::new(StringViewArray::from(vec![Some("2020-01-02"), None]))),
        (
            "m",
            DataType::decimal(15, 2),
            scalar::list_to_array(
                &[Scalar::Decimal { value: 1234, precision: 15, scale: 2 }, Scalar::Null(DataType::Null)],
                &DataType::decimal(15, 2),
            )
            .unwrap(),
        ),
        ("l", DataType::Array(Box::new(DataType::Int)), scalar::to_array(&Scalar::Array(vec![Scalar::Int(1)], DataType::Int), 2).unwrap()),
    ]);
    let (i, d, s, m, l) = (&c[0], &c[1], &c[2], &c[3], &c[4]);
    let candidates = [
        vec![],
        vec![i],
        vec![d],
        vec![s],
        vec![m],
        vec![l],
        vec![i, i],
        vec![s, i],
        vec![s, s],
        vec![d, d],
        vec![l, i],
        vec![s, i, i],
        vec![s, s, s],
        vec![m, i],
    ];
    let mut tested = 0;
    for signature in crate::expr::function::SIGNATURES {
        if signature.function.is_generator() {
            continue;
        }
        for args in &candidates {
            let args: Vec<Expr> = args.iter().map(|e| (*e).clone()).collect();
            let Ok(e) = function(signature.name, args.clone()) else { continue };
            match evaluate(&e, &b) {
                Ok(array) => {
                    tested += 1;
                    assert_eq!(array.len(), 2, "{e}");
                    assert!(
                        array.data_type().equals_datatype(&e.data_type().to_arrow()),
                        "{e}: {} but {}",
                        array.data_type(),
                        e.data_type()
                    );
                    let clean = args.iter().all(|a| !a.nullable());
                    assert!(e.nullable() || array.null_count() == 0, "{e} is not nullable {clean}");
                }
                Err(error) => {
                    assert!(error.class != ErrorClass::Internal, "{e}: {error}");
                    assert!(
                        e.can_fail() || error.class == ErrorClass::Unsupported || error.class == ErrorClass::ResourceExhausted,
                        "{e} cannot fail: {error}"
                    );
                }
            }
        }
    }
    assert!(tested > 150, "{tested}");
}

#[test]
fn aggregates_finish_as_spark_types_them() {
    let call = |name: &str, t: DataType| {
        let e = coerce::aggregate(name, vec![Expr::Attribute(Attribute::new("x", t, true))], false, None).unwrap().unwrap();
        let d = crate::expr::aggregate::describe(&e).unwrap();
        assert_eq!(d.finish.data_type(), e.data_type(), "{name}");
        for b in &d.buffers {
            use crate::expr::aggregate::Accumulate::{CollectList, CollectSet, Count, Moments, PairMoments};
            if !matches!(b.update, Count | CollectList | CollectSet | Moments | PairMoments) {
                assert_eq!(b.input.data_type(), b.data_type, "{name}");
            }
        }
        (e.data_type().to_string(), d)
    };
    assert_eq!(call("sum", DataType::Int).0, "bigint");
    assert_eq!(call("sum", DataType::decimal(15, 2)).0, "decimal(25,2)");
    assert_eq!(call("avg", DataType::decimal(15, 2)).0, "decimal(19,6)");
    assert_eq!(call("avg", DataType::Int).0, "double");
    assert_eq!(call("first", DataType::String).1.buffers.len(), 2);
    assert_eq!(call("collect_list", DataType::Int).0, "array<int>");
    assert_eq!(call("count", DataType::Int).0, "bigint");
    for (name, expected) in [("corr", "double"), ("max_by", "int"), ("percentile", "double"), ("percentile_approx", "int")] {
        let x = || Expr::Attribute(Attribute::new("x", DataType::Int, true));
        let other = if name.starts_with("perc") { double(0.5) } else { x() };
        let e = coerce::aggregate(name, vec![x(), other], false, None).unwrap().unwrap();
        let d = crate::expr::aggregate::describe(&e).unwrap();
        assert_eq!((e.data_type().to_string().as_str(), d.finish.data_type()), (expected, e.data_type()), "{name}");
    }
}
