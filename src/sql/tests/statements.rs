//! Statements other than queries, views, lone expressions.

use super::*;

#[test]
fn statements() {
    let bound = |sql: &str| statement(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    assert!(matches!(bound("EXPLAIN FORMATTED SELECT 1"), BoundStatement::Explain { level: crate::planning::ExplainLevel::Formatted, .. }));
    assert!(matches!(bound("EXPLAIN SELECT 1"), BoundStatement::Explain { level: crate::planning::ExplainLevel::Simple, .. }));
    let BoundStatement::CreateView { name, replace: true, query, .. } = bound("CREATE OR REPLACE TEMP VIEW v(p) AS SELECT a FROM t") else {
        panic!()
    };
    assert_eq!((name, query.plan.output()[0].name.as_ref()), (vec!["v".to_string()], "p"));
    let BoundStatement::CreateTable { files, .. } =
        bound("CREATE TABLE IF NOT EXISTS p USING csv OPTIONS (path '/x/y', header 'true', sep = ';')")
    else {
        panic!()
    };
    assert_eq!(
        (files.path.as_str(), files.format.as_deref(), files.options["header"].as_str(), files.options["sep"].as_str()),
        ("/x/y", Some("csv"), "true", ";")
    );
    assert!(matches!(bound("CREATE TEMPORARY VIEW p USING parquet OPTIONS (path '/x')"), BoundStatement::CreateTable { .. }));
    assert!(
        matches!(bound("CREATE TABLE p (a INT, b DECIMAL(10, 2))"), BoundStatement::CreateTable { schema: Some(_), files, .. } if files.path.is_empty())
    );
    assert!(matches!(bound("CREATE TABLE p AS SELECT 1 AS one"), BoundStatement::CreateTableAs { .. }));
    assert!(matches!(bound("CREATE TABLE p USING parquet LOCATION '/x'"), BoundStatement::CreateTable { files, .. } if files.path == "/x"));
    let BoundStatement::Insert { query, overwrite: false, .. } = bound("INSERT INTO u (b, a) VALUES (1, 2)") else { panic!() };
    assert_eq!(query.plan.output().iter().map(|a| a.data_type.to_string()).collect::<Vec<_>>(), ["int", "string", "bigint"]);
    assert!(matches!(bound("INSERT OVERWRITE TABLE u SELECT a, s, b FROM t"), BoundStatement::Insert { overwrite: true, .. }));
    assert_eq!(error("INSERT INTO u VALUES (1)").class, ErrorClass::WrongArguments);
    let BoundStatement::Set { key, value } = bound("SET spark.sql.shuffle.partitions = 7") else { panic!() };
    assert_eq!((key.as_deref(), value.as_deref()), (Some("spark.sql.shuffle.partitions"), Some("7")));
    let BoundStatement::Set { key, value } = bound("SET sql.autoBroadcastJoinThreshold=10MB;") else { panic!() };
    assert_eq!((key.as_deref(), value.as_deref()), (Some("sql.autoBroadcastJoinThreshold"), Some("10MB")));
    assert!(matches!(bound("SET"), BoundStatement::Set { key: None, .. }));
    assert!(matches!(bound("RESET"), BoundStatement::Reset { key: None }));
    assert!(matches!(bound("SHOW TABLES LIKE 't*'"), BoundStatement::ShowTables { pattern: Some(_) }));
    assert!(matches!(bound("DESCRIBE TABLE t"), BoundStatement::Describe { columns } if columns.len() == 6));
    assert!(matches!(bound("DESC SELECT a FROM t"), BoundStatement::Describe { columns } if columns.len() == 1));
    assert!(matches!(bound("DROP VIEW IF EXISTS v"), BoundStatement::Drop { view: true, if_exists: true, .. }));
    assert!(matches!(bound("CACHE TABLE t"), BoundStatement::Cache { .. }));
    assert_eq!(error("CREATE TABLE p").class, ErrorClass::Parse);
}

#[test]
fn views_are_fresh_at_each_mention() {
    let mut catalog = catalog();
    catalog.0.push(("v".to_string(), query("SELECT a, count(*) AS n FROM t GROUP BY a").into()));
    let parsed = parse_statements("SELECT l.n, r.n FROM v l JOIN v r ON l.a = r.a").unwrap();
    let BoundStatement::Query(q) = bind(&parsed[0], &catalog, &Settings::new()).unwrap() else { panic!() };
    let output = q.plan.output();
    assert_ne!(output[0].id, output[1].id);
}

#[test]
fn expressions_bind_alone() {
    let columns = query("SELECT a, b FROM t").plan.output();
    let e = bind_expression("a + b AS total", &columns).unwrap();
    assert_eq!(e.to_attribute().name.as_ref(), "total");
    assert_eq!(bind_expression("a +", &columns).unwrap_err().class, ErrorClass::Parse);
    assert_eq!(bind_expression("c", &columns).unwrap_err().class, ErrorClass::ColumnNotFound);
}
