//! The command: what it prints, where, and with which exit code.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wholestage"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Standard output of a run that must succeed.
fn prints(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn query(sql: &str) -> String {
    prints(&["query", "--data", "fixtures/sales", "--format", "csv", sql])
}

#[test]
fn the_first_command_of_the_readme() {
    let sql = "SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY total DESC";
    let table = prints(&["query", "--data", "fixtures/sales", sql]);
    assert!(table.contains("|region|") || table.contains("| region"), "{table}");
    assert_eq!(table.lines().filter(|l| l.starts_with('|')).count(), 6, "{table}");
    let csv = query("SELECT count(*) AS n, count(region) AS r, sum(quantity) AS q FROM orders");
    assert!(csv.starts_with("n,r,q\n800,"), "{csv}");
}

#[test]
fn every_help_has_an_example_that_works() {
    for subcommand in ["query", "explain", "ir", "bench", "generate", "shell"] {
        let help = prints(&[subcommand, "--help"]);
        assert!(help.contains("Example"), "{help}");
    }
    assert!(prints(&["--help"]).contains("wholestage query"));
}

#[test]
fn sources_of_every_kind() {
    let joined = query(
        "SELECT c.country, count(*) AS n FROM orders o JOIN customers c ON o.customer_id = c.id GROUP BY c.country ORDER BY c.country LIMIT 1",
    );
    assert!(joined.starts_with("country,n\nCanada,"), "{joined}");
    // Folders named key=value are a column.
    assert_eq!(query("SELECT year, count(*) AS n FROM transactions GROUP BY year ORDER BY year"), "year,n\n2023,200\n2024,200\n2025,200\n");
    let glob = "t=fixtures/sales/transactions/*/*.parquet";
    assert_eq!(prints(&["query", "--table", glob, "--format", "csv", "SELECT count(*) AS n FROM t"]), "n\n600\n");
}

#[test]
fn results_in_every_format() {
    let sql = "SELECT 1 AS a, 'x,y' AS b, cast(NULL AS int) AS c, date'2024-02-29' AS d";
    let formatted = |format: &str| prints(&["query", "--format", format, sql]);
    assert_eq!(formatted("csv"), "a,b,c,d\n1,\"x,y\",,2024-02-29\n");
    assert_eq!(formatted("tsv"), "a\tb\tc\td\n1\tx,y\t\t2024-02-29\n");
    assert!(formatted("ndjson").contains("\"a\":1"));
    assert!(formatted("markdown").contains("| a"));
    let dir = tempfile::tempdir().unwrap();
    for extension in ["parquet", "arrow", "csv", "ndjson"] {
        let file = dir.path().join(format!("out.{extension}"));
        let path = file.display().to_string();
        assert_eq!(prints(&["query", "-o", &path, "SELECT 41 + 1 AS answer"]), "");
        let back = prints(&["query", "--table", &format!("t={path}"), "--format", "csv", "SELECT * FROM t"]);
        assert_eq!(back, "answer\n42\n", "{extension}");
    }
}

#[test]
fn several_statements_share_a_session() {
    let sql = "CREATE TEMPORARY VIEW big AS SELECT * FROM orders WHERE quantity > 8; SELECT count(*) > 0 AS some FROM big; DROP VIEW big;";
    assert_eq!(query(sql), "some\ntrue\n");
    let sql = "CREATE TABLE t (a int, b string); INSERT INTO t VALUES (1, 'x'), (2, 'y'); INSERT INTO t (b) VALUES ('z'); SELECT * FROM t ORDER BY b";
    assert_eq!(query(sql), "a,b\n1,x\n2,y\n,z\n");
    let sql = "CACHE TABLE c AS SELECT region FROM orders; SELECT count(*) AS n FROM c; UNCACHE TABLE c; SELECT count(*) AS n FROM c";
    assert_eq!(query(sql), "n\n800\nn\n800\n");
    assert_eq!(query("SET sql.shuffle.partitions = 3"), "key,value\nsql.shuffle.partitions,3\n");
    assert!(query("SHOW TABLES").contains("orders,parquet,\n"));
    assert!(query("DESCRIBE regions").contains("target,double,"));
}

#[test]
fn statements_from_standard_input() {
    for arguments in [&["query", "--format", "csv", "-"][..], &["shell"]] {
        let mut child = command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"SELECT 7 AS\n seven;\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("seven") && text.contains('7'), "{arguments:?}: {text}");
    }
}

#[test]
fn explain_levels() {
    let sql = "SELECT region, sum(amount) FROM orders WHERE quantity > 2 GROUP BY region";
    for (level, expected) in [
        ("simple", "HashAggregate"),
        ("extended", "Analyzed Logical Plan"),
        ("formatted", "(1)"),
        ("cost", "Statistics"),
        ("analyze", "number of output rows: 5"),
    ] {
        let text = prints(&["explain", "--level", level, "--data", "fixtures/sales", sql]);
        assert!(text.contains(expected), "{level}: {text}");
    }
    let json = prints(&["explain", "--json", "--data", "fixtures/sales", sql]);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    let json = prints(&["explain", "--json", "--level", "analyze", "--mode", "jit", "--data", "fixtures/sales", sql]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["plan"]["metric_values"]["numOutputRows"], 5, "{json}");
    assert_eq!(value["plan"]["metrics"]["numOutputRows"], "5", "{json}");
    assert!(value["compiled_stages"][0]["metric_values"]["codeSize"].as_u64().is_some_and(|bytes| bytes > 0), "{json}");
    assert_eq!((&value["stages"][0]["rows"], &value["stages"][0]["failed_tries"]), (&5.into(), &0.into()), "{json}");
    assert!(query(&format!("EXPLAIN {sql}")).contains("HashAggregate"));
}

#[test]
fn timing_goes_to_standard_error() {
    let output = run(&["query", "--timing", "--format", "csv", "SELECT 1 AS one"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n1\n");
    let times = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(["parse", "plan", "compile", "run"].iter().all(|phase| times.contains(phase)), "{times}");
}

#[test]
fn progress_is_shown_when_asked_for_and_wiped_at_the_end() {
    let slow = "SELECT count(DISTINCT sha2(cast(id AS string), 512)) AS n FROM range(0, 300000, 1, 4)";
    let run = |more: &[&str]| {
        let output = run(&[&["query", "--threads", "2", "--format", "csv", slow][..], more].concat());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n300000\n");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let shown = run(&["--progress", "always"]);
    assert!(shown.starts_with("\r[Stage ") && shown.contains(") / ") && shown.ends_with(" \r"), "{shown:?}");
    for quiet in [&["--progress", "never"][..], &[]] {
        assert_eq!(run(quiet), "");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["query", "--format", "csv", "SELECT * FROM range(2000000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn bench_compares_modes() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("times.ndjson");
    let table = prints(&[
        "bench",
        "tpch",
        "--sf",
        "0.001",
        "--queries",
        "1,6",
        "--modes",
        "interpreted",
        "--runs",
        "1",
        "--threads",
        "2",
        "--check",
        "--json",
        &json.display().to_string(),
    ]);
    assert!(table.contains("interpreted ms") && table.contains("answers agree: 2 of 2"), "{table}");
    let lines = std::fs::read_to_string(&json).unwrap();
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["suite"], &first["query"], &first["rows"]), (&"tpch".into(), &1.into(), &4.into()));
}

#[test]
fn warnings_go_to_standard_error() {
    let join = "FROM orders o JOIN customers c ON o.customer_id = c.id";
    let window =
        "No Partition Defined for Window operation! Moving all data to a single partition, this can cause serious performance degradation.";
    for (sql, expected) in [
        (format!("SELECT /*+ FOO(o) */ count(*) {join}"), vec!["Unrecognized hint: FOO(o)"]),
        (format!("SELECT /*+ REBALANCE(3) */ count(*) {join}"), vec!["Unrecognized hint: REBALANCE(3)"]),
        (format!("SELECT /*+ MAPJOIN(x) */ count(*) {join}"), vec!["Count not find relation 'x' specified in hint 'MAPJOIN(x)'."]),
        // An alias hides the name of the table.
        (
            format!("SELECT /*+ MERGE(orders) */ count(*) {join}"),
            vec!["Count not find relation 'orders' specified in hint 'MERGE(orders)'."],
        ),
        (
            "SELECT /*+ BROADCAST(orders) */ count(*) FROM orders".into(),
            vec!["A join hint (strategy=broadcast) is specified but it is not part of a join relation."],
        ),
        (
            format!("SELECT /*+ MERGE(o), BROADCAST(o) */ count(*) {join}"),
            vec!["Hint (strategy=broadcast) is overridden by another hint and will not take effect."],
        ),
        (
            "SELECT /*+ BROADCAST(o) */ count(*) FROM orders o LEFT JOIN customers c ON o.customer_id = c.id".into(),
            vec!["Hint (strategy=broadcast) is not supported in the query: build left for left outer join."],
        ),
        ("SELECT rank() OVER (ORDER BY order_id) AS r FROM orders".into(), vec![window]),
        (format!("SELECT /*+ SHUFFLE_HASH(o), BROADCAST(c) */ count(*) {join}"), vec![]),
        (
            format!(
                "WITH x AS (SELECT /*+ MERGE(o) */ o.* {join}) SELECT /*+ BROADCAST(x) */ count(*) FROM x JOIN orders y USING (order_id)"
            ),
            vec![],
        ),
        (
            "WITH c AS (SELECT /*+ MERGE(customers) */ * FROM customers) SELECT count(*) FROM orders JOIN c ON customer_id = id".into(),
            vec!["A join hint (strategy=merge) is specified but it is not part of a join relation."],
        ),
        ("SELECT count(*) FROM orders WHERE customer_id IN (SELECT /*+ MERGE(customers) */ id FROM customers)".into(), vec![]),
    ] {
        let output = run(&["query", "--data", "fixtures/sales", &sql]);
        assert!(output.status.success() && !output.stdout.is_empty(), "{sql}");
        let expected: String = expected.into_iter().map(|w| format!("warning: {w}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected, "{sql}");
    }
    let explained = run(&["query", "--data", "fixtures/sales", "EXPLAIN SELECT /*+ FOO */ 1"]);
    assert_eq!(String::from_utf8_lossy(&explained.stderr), "warning: Unrecognized hint: FOO()\n");
}

#[test]
fn ctrl_c_stops_the_query() {
    let mut query = command(&["query", "--progress", "always", "SELECT sum(id % 7) FROM range(100000000000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it tells how far it is, it runs.
    let mut told = [0; 8];
    query.stderr.as_mut().unwrap().read_exact(&mut told).unwrap();
    assert!(Command::new("kill").args(["-INT", &query.id().to_string()]).status().unwrap().success());
    let output = query.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("[OPERATION_CANCELED] The query was cancelled.") && output.stdout.is_empty(), "{message}");
}

#[test]
fn files_of_a_killed_process_are_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let temp = dir.path().to_str().unwrap();
    let spilled = || {
        let folders = std::fs::read_dir(dir.path()).unwrap().flatten();
        folders.filter(|f| f.path().is_dir()).any(|f| std::fs::read_dir(f.path()).is_ok_and(|mut files| files.next().is_some()))
    };
    let sql = "SELECT count(*), max(t) FROM (SELECT /*+ REPARTITION(3) */ concat('some text ', id) AS t FROM range(1000000000))";
    let mut query = command(&["query", "--memory-limit", "1MB", "--temp-dir", temp, sql]).stdout(Stdio::null()).spawn().unwrap();
    while !spilled() {
        assert!(query.try_wait().unwrap().is_none(), "it ended before it spilled");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Another process leaves alone what is in use.
    prints(&["query", "--temp-dir", temp, "SELECT 1"]);
    assert!(spilled());
    query.kill().unwrap();
    query.wait().unwrap();
    assert!(spilled());
    prints(&["query", "--temp-dir", temp, "SELECT 1"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// What a write is killed in the middle of is not there, and the next write to the same place takes away what it has left.
#[test]
fn writes_of_a_killed_process_are_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let count = || std::fs::read_dir(dir.path()).unwrap().count();
    let (file, folder) = (dir.path().join("rows.csv"), dir.path().join("rows"));
    let statement = |rows: u64| format!("CREATE TABLE t USING csv LOCATION '{}' AS SELECT id FROM range({rows})", folder.display());
    let into_file = |rows: u64| {
        let sql = format!("SELECT id FROM range({rows})");
        ["query", "-o", file.to_str().unwrap(), &sql].map(String::from).to_vec()
    };
    let writes: [&dyn Fn(u64) -> Vec<String>; 2] = [&into_file, &|rows| vec!["query".into(), statement(rows)]];
    for (write, target) in writes.iter().zip([&file, &folder]) {
        let arguments = |rows| write(rows);
        let many = arguments(100_000_000_000);
        let mut query = command(&many.iter().map(String::as_str).collect::<Vec<_>>()).stdout(Stdio::null()).spawn().unwrap();
        while count() < 2 {
            assert!(query.try_wait().unwrap().is_none(), "it ended before it wrote");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        query.kill().unwrap();
        query.wait().unwrap();
        assert!(!target.exists());
        prints(&arguments(10).iter().map(String::as_str).collect::<Vec<_>>());
        assert!(target.exists());
        assert_eq!(count(), 1);
        if target.is_dir() { std::fs::remove_dir_all(target).unwrap() } else { std::fs::remove_file(target).unwrap() }
    }
}
