//! Bad input to the command: one clear line on standard error, exit code 1, nothing on standard output, in both engines.

use std::path::PathBuf;
use std::process::{Command, Output};

const MODES: [&str; 2] = ["interpreted", "jit"];

fn wholestage(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wholestage")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// Runs a query that must fail; the message.
fn failure(arguments: &[&str]) -> String {
    let output = wholestage(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?} printed part of a result");
    assert_eq!(message.trim_end().lines().count(), 1, "{arguments:?}: not one line: {message}");
    assert!(!message.contains("INTERNAL_ERROR") && !message.contains("panicked"), "{arguments:?}: {message}");
    message
}

/// Runs a query over the fixtures that must fail in every mode with a message that has all these parts.
fn fails(sql: &str, parts: &[&str]) {
    for mode in MODES {
        let message = failure(&["query", "--mode", mode, "--data", "fixtures/sales", sql]);
        for part in parts {
            assert!(message.contains(part), "{mode}: `{sql}`: no `{part}` in: {message}");
        }
    }
}

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

#[test]
fn names() {
    fails("SELECT amuont FROM orders", &["UNRESOLVED_COLUMN", "amuont", "amount", "line 1, column 8"]);
    fails("SELECT * FROM ordrs", &["TABLE_OR_VIEW_NOT_FOUND", "ordrs", "orders"]);
    fails("SELECT uper(region) FROM orders", &["UNRESOLVED_ROUTINE", "uper", "upper"]);
    fails("SELECT region FROM orders o JOIN regions r ON o.region = r.region", &["AMBIGUOUS_REFERENCE", "region"]);
    fails("SET sql.shufle.partitions = 3", &["UNKNOWN_SETTING", "sql.shuffle.partitions"]);
}

#[test]
fn syntax_and_types() {
    fails("SELEC 1", &["PARSE_SYNTAX_ERROR"]);
    fails("SELECT (1", &["PARSE_SYNTAX_ERROR"]);
    fails("SELECT date'2020-01-01' + true", &["DATATYPE_MISMATCH"]);
    fails("SELECT * FROM orders WHERE quantity", &["DATATYPE_MISMATCH"]);
    fails("SELECT region, sum(amount) FROM orders", &["MISSING_AGGREGATION", "region"]);
    fails("SELECT sum(sum(amount)) FROM orders", &["aggregate"]);
    fails("SELECT upper(region, 1) FROM orders", &["WRONG_NUM_ARGS", "upper"]);
}

#[test]
fn values() {
    fails("SELECT amount / (quantity - quantity) FROM orders", &["DIVIDE_BY_ZERO"]);
    fails("SELECT 1 / 0", &["DIVIDE_BY_ZERO"]);
    fails("SELECT quantity % (quantity - quantity) FROM orders", &["REMAINDER_BY_ZERO"]);
    fails("SELECT quantity + 2147483647 FROM orders", &["ARITHMETIC_OVERFLOW"]);
    fails("SELECT sum(order_id + 9223372036854775000) FROM orders", &["ARITHMETIC_OVERFLOW"]);
    fails("SELECT cast(region AS int) FROM orders WHERE region IS NOT NULL", &["CAST_INVALID_INPUT"]);
    fails("SELECT cast(quantity + 1000 AS tinyint) FROM orders", &["CAST_OVERFLOW"]);
    fails("SELECT (SELECT customer_id FROM orders)", &["SCALAR_SUBQUERY_TOO_MANY_ROWS"]);
}

#[test]
fn window_frames() {
    let over = |call: &str, window: &str, parts: &[&str]| fails(&format!("SELECT {call} OVER ({window}) FROM orders"), parts);
    let order = "The lower bound of a window frame must be less than or equal to the upper bound.";
    for frame in ["2 FOLLOWING AND 1 FOLLOWING", "1 PRECEDING AND 2 PRECEDING", "CURRENT ROW AND 1 PRECEDING"] {
        over("sum(quantity)", &format!("ORDER BY order_id ROWS BETWEEN {frame}"), &["DATATYPE_MISMATCH", order, "line 1, column 8"]);
    }
    let range = "RANGE BETWEEN 2 PRECEDING AND CURRENT ROW";
    let several = "value boundaries cannot be used in a window specification with multiple order by expressions";
    over("sum(quantity)", &format!("ORDER BY order_id, quantity {range}"), &["DATATYPE_MISMATCH", several, "line 1, column"]);
    for range in [range, "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"] {
        let window = format!("PARTITION BY region {range}");
        over("sum(quantity)", &window, &["A range window frame cannot be used in an unordered window specification.", "line 1, column"]);
    }
    over(
        "sum(quantity)",
        &format!("ORDER BY region {range}"),
        &["\"STRING\" used in the order specification does not support", "column 58"],
    );
    let rows = "ORDER BY order_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW";
    let required = "Window Frame specifiedwindowframe(RowFrame, -2, currentrow$()) must match the required frame \
                    specifiedwindowframe(RowFrame, unboundedpreceding$(), currentrow$()).";
    over("rank()", rows, &[required, "line 1, column 8"]);
    over("row_number()", rows, &[required, "line 1, column 8"]);
    over("lead(quantity)", rows, &["Cannot specify window frame for lead function.", "line 1, column 8"]);
    over("sum(quantity)", "ORDER BY order_id ROWS BETWEEN quantity PRECEDING AND CURRENT ROW", &["constant", "line 1, column 59"]);
}

#[test]
fn subqueries() {
    fails("SELECT (SELECT id, country FROM customers)", &["A scalar subquery must return one column, not 2.", "line 1, column 9"]);
    fails("SELECT * FROM orders WHERE quantity IN (SELECT id, name FROM customers)", &["2 columns", "line 1, column 41"]);
    let both = "SELECT * FROM orders o LEFT JOIN customers c ON o.customer_id + c.id IN (SELECT id FROM customers)";
    let words = "Correlated subqueries in the join predicate cannot reference both join inputs.";
    fails(both, &["UNSUPPORTED_FEATURE", words, "line 1, column 49"]);
}

#[test]
fn broadcasts_above_their_limit() {
    let sql = "SELECT count(*) FROM orders o JOIN customers c ON o.customer_id = c.id";
    for mode in MODES {
        let conf = "sql.maxBroadcastTableSize=100";
        let message = failure(&["query", "--mode", mode, "--conf", conf, "--data", "fixtures/sales", sql]);
        assert!(message.contains("Cannot broadcast the table that is larger than 100.0 B: "), "{message}");
    }
}

#[test]
fn files() {
    let message = failure(&["query", "--table", "t=no/such.parquet", "SELECT * FROM t"]);
    assert!(message.contains("PATH_NOT_FOUND") && message.contains("no/such.parquet"), "{message}");
    let message = failure(&["query", "-f", "no/such.sql"]);
    assert!(message.contains("PATH_NOT_FOUND") && message.contains("no/such.sql"), "{message}");
    let message = failure(&["query", "--data", "no/such", "SELECT 1"]);
    assert!(message.contains("PATH_NOT_FOUND") && message.contains("no/such"), "{message}");
}

#[test]
fn corrupt_parquet() {
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sales/orders.parquet")).unwrap();
    let mut footer = whole.clone();
    let end = footer.len() - 40;
    footer[end..end + 20].fill(0xff);
    for (what, bytes) in [("truncated", &whole[..whole.len() / 2]), ("footer", &footer[..]), ("text", b"no parquet at all")] {
        let (_dir, path) = file("t.parquet", bytes);
        let message = failure(&["query", "--table", &format!("t={}", path.display()), "SELECT count(*), sum(amount) FROM t"]);
        assert!(message.contains("MALFORMED_DATA") && message.contains("t.parquet"), "{what}: {message}");
    }
}

#[test]
fn corrupt_parquet_pages() {
    let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sales/orders.parquet")).unwrap();
    bytes[200..3000].fill(0xff);
    let (_dir, path) = file("t.parquet", &bytes);
    for mode in MODES {
        let message = failure(&["query", "--mode", mode, "--table", &format!("t={}", path.display()), "SELECT * FROM t"]);
        assert!(message.contains("MALFORMED_DATA"), "{message}");
    }
}

#[test]
fn csv_with_too_many_fields() {
    let (_dir, path) = file("t.csv", b"a,b\n1,2\n3,4,5\n");
    let message = failure(&["query", "--table", &format!("t={}", path.display()), "SELECT * FROM t"]);
    assert!(message.contains("MALFORMED_DATA") && message.contains("t.csv"), "{message}");
}

#[test]
fn deep_nesting() {
    let deep = 10_000;
    for sql in [
        format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("SELECT {}1", "- ".repeat(deep)),
        format!("SELECT {}true", "NOT ".repeat(deep)),
    ] {
        let (_dir, path) = file("deep.sql", sql.as_bytes());
        let message = failure(&["query", "-f", &path.display().to_string()]);
        assert!(message.contains("NESTING_TOO_DEEP"), "{message}");
        assert!(message.len() < 300, "the message repeats the query: {} bytes", message.len());
    }
}

#[test]
fn long_chains_are_no_nesting() {
    let (_dir, path) = file("long.sql", format!("SELECT {}1 AS n", "1 + ".repeat(2_000)).as_bytes());
    let output = wholestage(&["query", "--format", "csv", "-f", &path.display().to_string()]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n2001\n"),
        Some(1) => assert!(message.contains("NESTING_TOO_DEEP"), "{message}"),
        other => panic!("exit code {other:?}: {message}"),
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["query"][..],
        &["query", "--mode", "fast", "SELECT 1"],
        &["nonsense"],
        &["query", "--format", "x", "SELECT 1"],
        &["query", "--table", "t", "SELECT 1"],
    ] {
        assert_eq!(wholestage(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_failing_query_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out.csv");
    failure(&["query", "--data", "fixtures/sales", "-o", &target.display().to_string(), "SELECT 1 / (order_id - 700) FROM orders"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
