//! Clauses of queries, by the plans that they become.

use super::*;

#[test]
fn tpch_binds() {
    for n in 1..=22 {
        let path = format!("{}/codegen-tests/tpch/q{n}.sql", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = parse_statements(&text).unwrap_or_else(|e| panic!("q{n}: {e}"));
        for p in &parsed {
            bind(p, &catalog(), &Settings::new()).unwrap_or_else(|e| panic!("q{n}: {e}"));
        }
        if std::env::var_os("SHOW_PLANS").is_some() {
            println!("q{n}\n{}", tree(&text));
        }
    }
}

#[test]
fn unnamed_columns_have_the_names_that_spark_gives_them() {
    let sql = "SELECT a + 1, count(*), SUM(b), CAST(a AS BIGINT), -a, a::string, a <> 1, count(DISTINCT a, b), upper(s) || 'x', \
               a BETWEEN 1 AND 2, CASE a WHEN 1 THEN 'x' ELSE s END, a IS NULL, t.a, A, 1.50, 'text', a IN (1, 2), s LIKE 'x%' \
               FROM t GROUP BY ALL";
    assert_eq!(
        names(sql),
        [
            "(a + 1)",
            "count(1)",
            "sum(b)",
            "a",
            "(- a)",
            "a",
            "(NOT (a = 1))",
            "count(DISTINCT a, b)",
            "concat(upper(s), x)",
            "between(a, 1, 2)",
            "CASE WHEN (a = 1) THEN x ELSE s END",
            "(a IS NULL)",
            "a",
            "A",
            "1.50",
            "text",
            "(a IN (1, 2))",
            "s LIKE x%"
        ]
    );
}

#[test]
fn using_and_natural_joins_merge_their_keys() {
    assert_eq!(names("SELECT * FROM t JOIN u USING (a)"), ["a", "b", "s", "d", "x", "m", "c", "b"]);
    assert_eq!(names("SELECT * FROM t NATURAL JOIN u"), ["a", "b", "s", "d", "x", "m", "c"]);
    assert_eq!(names("SELECT a, u.a FROM t RIGHT JOIN u USING (a)"), ["a", "a"]);
    assert!(tree("SELECT a FROM t FULL JOIN u USING (a)").contains("coalesce(a#"));
    assert_eq!(names("SELECT * FROM t LEFT SEMI JOIN u USING (a)").len(), 6);
    let e = error("SELECT * FROM t JOIN u USING (s)");
    assert_eq!((e.class, e.location), (ErrorClass::ColumnNotFound, at(1, 31)));
    let e = error("SELECT * FROM t LEFT SEMI JOIN u ON t.a = u.a WHERE c = ''");
    assert_eq!(e.class, ErrorClass::ColumnNotFound);
}

#[test]
fn outer_joins_make_columns_nullable() {
    let nullable = |sql: &str| query(sql).plan.output().iter().map(|a| a.nullable).collect::<Vec<_>>();
    assert_eq!(nullable("SELECT l.id, r.id FROM range(3) l LEFT JOIN range(3) r ON l.id = r.id"), [false, true]);
    assert_eq!(nullable("SELECT l.id, r.id FROM range(3) l FULL JOIN range(3) r ON l.id = r.id"), [true, true]);
}

#[test]
fn grouping_follows_spark() {
    assert!(tree("SELECT a AS k, sum(b) FROM t GROUP BY k").starts_with("Aggregate [a#0], [a#0 AS k#1, sum(b#2L) AS sum(b)#3L]"));
    assert!(tree("SELECT a + 1, sum(b) FROM t GROUP BY 1").starts_with("Aggregate [(a#0 + 1)], [(a#0 + 1) AS (a + 1)#1"));
    // A column of FROM wins over an alias.
    assert!(tree("SELECT b AS a FROM t GROUP BY a, b").starts_with("Aggregate [a#0, b#1L]"));
    let e = error("SELECT a,\n b FROM t GROUP BY a");
    assert_eq!((e.class, e.location), (ErrorClass::InvalidGrouping, at(2, 2)));
    assert!(e.message.contains("`b`"), "{e}");
    assert_eq!(error("SELECT a, sum(b) FROM t").class, ErrorClass::InvalidGrouping);
    assert_eq!(error("SELECT sum(sum(b)) FROM t").class, ErrorClass::InvalidGrouping);
    let e = error("SELECT a FROM t WHERE sum(b) > 1");
    assert_eq!((e.class, e.location), (ErrorClass::InvalidGrouping, at(1, 23)));
    assert_eq!(error("SELECT a FROM t GROUP BY 2").class, ErrorClass::InvalidParameter);
    assert_eq!(error("SELECT sum(a) FROM t GROUP BY 1").class, ErrorClass::InvalidGrouping);
}

#[test]
fn having_and_order_extend_the_aggregate() {
    assert_eq!(
        tree("SELECT a, sum(b) AS total FROM t GROUP BY a HAVING count(*) > 1 AND total > 5 ORDER BY sum(b) DESC, max(x)"),
        "Project [a#0, total#1L]\n\
         +- Sort [total#1L DESC NULLS LAST, max(x)#2 ASC NULLS FIRST], true\n\
         \u{20}  +- Project [a#0, total#1L, max(x)#2]\n\
         \u{20}     +- Filter ((count(1)#3L > 1) AND (total#1L > 5))\n\
         \u{20}        +- Aggregate [a#0], [a#0, sum(b#4L) AS total#1L, count(1) AS count(1)#3L, max(x#5) AS max(x)#2]\n\
         \u{20}           +- Relation t[a#0,b#4L,s#6,d#7,x#5,m#8] memory\n"
    );
}

#[test]
fn grouping_sets_expand() {
    let text = tree("SELECT a, s, grouping(a), grouping_id(), sum(b) FROM t GROUP BY ROLLUP (a, s)");
    assert!(text.contains("Expand"), "{text}");
    assert!(text.contains("null, null, 3]") && text.contains(", null, 1]") && text.contains(", 0]"), "{text}");
    let sets = |sql: &str| {
        let mut plan = &query(sql).plan;
        loop {
            match plan {
                LogicalPlan::Expand { projections, .. } => return projections.len(),
                other => plan = other.children()[0],
            }
        }
    };
    assert_eq!(sets("SELECT count(*) FROM t GROUP BY CUBE (a, s, d)"), 8);
    assert_eq!(sets("SELECT count(*) FROM t GROUP BY GROUPING SETS ((a, s), a, ())"), 3);
    assert_eq!(sets("SELECT count(*) FROM t GROUP BY a, s WITH ROLLUP"), 3);
    assert_eq!(sets("SELECT count(*) FROM t GROUP BY a, ROLLUP (s, d)"), 3);
    assert_eq!(sets("SELECT a, s, count(*) FROM t GROUP BY a, s GROUPING SETS ((a), (a))"), 2);
    assert_eq!(names("SELECT grouping(a), a FROM t GROUP BY CUBE (a)"), ["grouping(a)", "a"]);
    assert_eq!(error("SELECT grouping(a) FROM t GROUP BY a").class, ErrorClass::InvalidGrouping);
    assert_eq!(error("SELECT grouping(b) FROM t GROUP BY CUBE (a)").class, ErrorClass::InvalidGrouping);
}

#[test]
fn order_by_sees_outputs_first_and_drops_what_it_adds() {
    assert_eq!(
        tree("SELECT a AS b FROM t ORDER BY b, x + 1"),
        "Project [b#0]\n\
         +- Sort [b#0 ASC NULLS FIRST, (x#1 + cast(1 as double)) ASC NULLS FIRST], true\n\
         \u{20}  +- Project [a#2 AS b#0, x#1]\n\
         \u{20}     +- Relation t[a#2,b#3L,s#4,d#5,x#1,m#6] memory\n"
    );
    assert!(tree("SELECT a, b FROM t ORDER BY 2 DESC NULLS FIRST").starts_with("Sort [b#0L DESC NULLS FIRST]"));
    assert!(tree("SELECT a, b FROM t ORDER BY ALL").starts_with("Sort [a#0 ASC NULLS FIRST, b#1L ASC NULLS FIRST]"));
    assert!(tree("SELECT a FROM t UNION SELECT a FROM u ORDER BY a LIMIT 3 OFFSET 1").contains("Sort"));
    assert!(tree("SELECT a FROM t SORT BY b").contains("false"));
    assert!(tree("SELECT a FROM t DISTRIBUTE BY b SORT BY a").contains("Repartition"));
    assert_eq!(error("SELECT DISTINCT a FROM t ORDER BY b").class, ErrorClass::ColumnNotFound);
    assert_eq!(error("SELECT a FROM t ORDER BY 2").class, ErrorClass::InvalidParameter);
}

#[test]
fn window_calls_become_window_nodes() {
    let text = tree(
        "SELECT a, row_number() OVER w AS n, sum(b) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), \
         sum(b) OVER (PARTITION BY s) / 2 FROM t WINDOW w AS (PARTITION BY s ORDER BY d) QUALIFY n = 1",
    );
    assert_eq!(text.matches("Window [").count(), 2, "{text}");
    assert!(text.contains("Filter (n#"), "{text}");
    let text = tree("SELECT s, rank() OVER (ORDER BY sum(b) DESC) FROM t GROUP BY s ORDER BY 2");
    assert!(text.contains("Aggregate [s#"), "{text}");
    let text = tree("SELECT s, sum(sum(b)) OVER (PARTITION BY s) FROM t GROUP BY s");
    assert!(text.contains("sum(b#") && text.contains("Window [sum(_w0#"), "{text}");
    let text = tree(
        "SELECT a, s, rank() OVER (PARTITION BY grouping(a) + grouping(s), CASE WHEN grouping(s) = 0 THEN a END \
         ORDER BY sum(b) DESC) AS r FROM t GROUP BY ROLLUP (a, s) ORDER BY r",
    );
    assert!(text.contains("Expand") && text.contains("Window"), "{text}");
    assert_eq!(error("SELECT a FROM t WHERE row_number() OVER (ORDER BY a) = 1").class, ErrorClass::InvalidGrouping);
    assert_eq!(error("SELECT row_number() OVER () FROM t").class, ErrorClass::WrongArguments);
    assert_eq!(error("SELECT sum(a) OVER w FROM t").class, ErrorClass::Parse);
    assert_eq!(error("SELECT upper(s) OVER (ORDER BY a) FROM t").class, ErrorClass::RoutineNotFound);
}

#[test]
fn subqueries_become_applies_or_queries_of_their_own() {
    let q = query("SELECT (SELECT max(a) FROM u) FROM t");
    assert_eq!(q.subqueries.len(), 1);
    let text = tree("SELECT a, (SELECT max(c) FROM u WHERE u.a = t.a) FROM t");
    assert!(text.contains("scalar-subquery [a#"), "{text}");
    let text = tree("SELECT * FROM t WHERE a NOT IN (SELECT a FROM u WHERE u.b = t.b) AND EXISTS (SELECT 1 FROM u)");
    assert!(text.contains("NOT exists#") && text.contains("isnotnull(scalar-subquery#"), "{text}");
    let text = tree("SELECT s, sum(b) FROM t GROUP BY s HAVING sum(b) > (SELECT avg(b) FROM u WHERE u.c = t.s)");
    assert!(text.find("LateralJoin") < text.find("Aggregate"), "{text}");
    assert!(text.starts_with("Project [s#"), "{text}");
    assert!(tree("SELECT * FROM t WHERE a <> ALL (SELECT a FROM u)").contains("NOT exists#"));
    assert!(tree("SELECT * FROM t WHERE a = ANY (SELECT a FROM u)").contains("Filter exists#"));
    assert_eq!(error("SELECT (SELECT a, b FROM u) FROM t").class, ErrorClass::WrongArguments);
    assert_eq!(error("SELECT a IN (SELECT a, b FROM u) FROM t").class, ErrorClass::WrongArguments);
    assert_eq!(
        error("SELECT s, sum(b) FROM t GROUP BY s HAVING sum(b) > (SELECT avg(b) FROM u WHERE u.a = t.a)").class,
        ErrorClass::InvalidGrouping
    );
    // Two levels out.
    let text = tree("SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE EXISTS (SELECT 1 FROM nested WHERE k = t.a AND k = u.a))");
    assert_eq!(text.matches("exists [a#").count(), 2, "{text}");
}

#[test]
fn ctes_are_scoped_and_each_mention_is_fresh() {
    let q = query("WITH x AS (SELECT a FROM t), y AS (SELECT a AS b FROM x) SELECT l.a, r.a FROM x l JOIN x r ON l.a = r.a, y");
    let ids: Vec<_> = q.plan.output().iter().map(|a| a.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(names("WITH x(p, q) AS (SELECT a, b FROM t) SELECT * FROM x"), ["p", "q"]);
    assert_eq!(names("WITH t AS (SELECT c FROM u) SELECT * FROM t"), ["c"]);
    assert_eq!(names("WITH x AS (SELECT a FROM t) SELECT * FROM (WITH x AS (SELECT c FROM u) SELECT * FROM x), x"), ["c", "a"]);
    assert_eq!(error("WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x").class, ErrorClass::Unsupported);
    assert_eq!(error("WITH x AS (SELECT zz FROM t) SELECT 1").class, ErrorClass::ColumnNotFound);
    assert_eq!(error("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) JOIN x").class, ErrorClass::TableNotFound);
    let q = query("WITH x AS (SELECT (SELECT max(a) FROM u) AS m) SELECT * FROM x p, x q");
    assert_eq!(q.subqueries.len(), 1);
}

#[test]
fn set_operations_widen_types() {
    let types = |sql: &str| query(sql).plan.output().iter().map(|a| a.data_type.to_string()).collect::<Vec<_>>();
    assert_eq!(types("SELECT a FROM t UNION ALL SELECT b FROM t UNION ALL SELECT m FROM t"), ["decimal(22,2)"]);
    assert_eq!(types("SELECT NULL UNION SELECT d FROM t"), ["date"]);
    assert!(tree("SELECT a FROM t UNION ALL SELECT a FROM u UNION ALL SELECT 1").matches("Union").count() == 1);
    assert!(tree("SELECT a FROM t UNION SELECT a FROM u").starts_with("Distinct"));
    let count = |sql: &str, word: &str| tree(sql).matches(word).count();
    assert_eq!(count("SELECT a FROM t UNION ALL SELECT a FROM u UNION SELECT 1", "Union"), 1);
    assert_eq!(count("SELECT a FROM t UNION SELECT a FROM u UNION ALL SELECT 1", "Union"), 2);
    assert!(tree("SELECT a FROM t INTERSECT ALL SELECT a FROM u EXCEPT SELECT 1").starts_with("Except"));
    assert_eq!(error("SELECT a FROM t UNION SELECT d FROM t").class, ErrorClass::TypeMismatch);
}

#[test]
fn hints_reach_joins_and_partitions() {
    let text = tree("SELECT /*+ BROADCAST(u), REPARTITION(3, a), UNKNOWN(x) */ t.a FROM t JOIN u ON t.a = u.a");
    assert!(text.to_lowercase().contains("broadcast"), "{text}");
    assert!(text.contains("Repartition"), "{text}");
    let q = query("SELECT /*+ MERGE(v) */ t.a FROM t JOIN (SELECT * FROM u) v ON t.a = v.a");
    let LogicalPlan::Project { input, .. } = &q.plan else { panic!("{q:?}") };
    let LogicalPlan::Join(j) = input.as_ref() else { panic!("{q:?}") };
    assert!(matches!(&*j.right, LogicalPlan::Hint { strategy: crate::logical::JoinHintStrategy::Merge, .. }));
    // One in a CTE is for the joins there.
    for (cte, hints) in [("SELECT /*+ MERGE(u) */ * FROM u", 0), ("SELECT /*+ MERGE(u) */ u.a FROM u JOIN t x ON u.a = x.a", 1)] {
        let text = format!("{:?}", query(&format!("WITH v AS ({cte}) SELECT t.a FROM t JOIN v ON t.a = v.a")).plan);
        assert_eq!((text.matches("Some(Merge)").count(), text.matches("strategy: Merge").count()), (hints, 0), "{text}");
    }
    assert!(tree("SELECT /*+ COALESCE(2) */ a FROM t").contains("2"));
    for sql in ["COALESCE(a)", "REPARTITION(0)", "REPARTITION(a + 1)", "BROADCAST(1)"] {
        let e = error(&format!("SELECT /*+ {sql} */ a FROM t"));
        assert_eq!(e.class, ErrorClass::InvalidParameter, "{sql}: {e}");
        assert_eq!(e.location.map(|l| (l.line, l.column)), Some((1, 1)), "{sql}");
    }
}

#[test]
fn from_has_functions_values_and_views() {
    assert_eq!(names("SELECT * FROM range(1, 10, 2) AS r(n)"), ["n"]);
    assert_eq!(names("SELECT * FROM VALUES (1, 'a'), (2, NULL) AS v(n, s)"), ["n", "s"]);
    assert_eq!(names("VALUES (1, 2)"), ["col1", "col2"]);
    assert_eq!(names("SELECT k, e FROM nested LATERAL VIEW explode(arr) x AS e"), ["k", "e"]);
    assert_eq!(names("SELECT k, p, e FROM nested LATERAL VIEW OUTER posexplode(arr) x AS p, e"), ["k", "p", "e"]);
    assert_eq!(names("SELECT k, explode(arr) AS e FROM nested"), ["k", "e"]);
    assert_eq!(names("SELECT k, explode(arr) FROM nested"), ["k", "col"]);
    assert_eq!(names("SELECT * EXCEPT (b, x) FROM t"), ["a", "s", "d", "m"]);
    assert_eq!(names("SELECT st.f, arr[0], nested.st.g FROM nested"), ["f", "arr[0]", "g"]);
    assert_eq!(error("SELECT * FROM VALUES (1), (1, 2)").class, ErrorClass::WrongArguments);
    assert!(tree("SELECT * FROM t TABLESAMPLE (10 PERCENT) REPEATABLE (7) AS x").contains("Sample"));
    assert!(tree("SELECT * FROM t TABLESAMPLE (5 ROWS)").contains("Limit"));
    assert!(tree("TABLE t").contains("Relation t"));
    assert_eq!(names(&format!("SELECT c FROM {}u{}", "(".repeat(20), ")".repeat(20))), ["c"]);
}

#[test]
fn pivots_aggregate_per_value() {
    let sql = "SELECT * FROM (SELECT a, s, b FROM t) PIVOT (sum(b) AS total FOR s IN ('x' AS ex, 'y'))";
    assert_eq!(names(sql), ["a", "ex", "y"]);
    assert!(tree(sql).contains("Aggregate [a#0]"), "{}", tree(sql));
    let sql = "SELECT * FROM (SELECT a, s, b FROM t) PIVOT (sum(b), count(b) AS n FOR s IN ('x', 'y')) AS p";
    assert_eq!(names(sql), ["a", "x_sum(b)", "x_n", "y_sum(b)", "y_n"]);
    // Each value has calls of its own: one sum and, for the count, one more that tells whether there are rows.
    let mut calls = std::collections::BTreeSet::new();
    let mut plan = query(sql).plan;
    while let LogicalPlan::Project { input, .. } = plan {
        plan = *input;
    }
    for e in plan.expressions() {
        e.visit(&mut |e| {
            if let crate::expr::Expr::Aggregate(call) = e {
                calls.insert(call.id);
            }
            true
        });
    }
    assert_eq!(calls.len(), 6);
    assert_eq!(error("SELECT * FROM t PIVOT (b FOR s IN ('x'))").class, ErrorClass::Parse);
}

#[test]
fn later_select_items_may_use_earlier_aliases() {
    assert!(tree("SELECT a + 1 AS p, p * 2 AS q FROM t").contains("((a#0 + 1) * 2) AS q"));
    assert_eq!(names("SELECT a AS p, p FROM t"), ["p", "p"]);
}

#[test]
fn literals_and_operators() {
    let text = tree("SELECT DATE '1998-12-01' - INTERVAL '90' DAY, 1e3, 2L, 1.5D, x'1F', 'it''s', \"q\", 'a\\nb' FROM t");
    assert!(text.contains("1000.0") && text.contains("it's"), "{text}");
    for sql in [
        "SELECT a <=> b, a IS DISTINCT FROM b, a == b, a != b, NOT a = b, !(a = b), a div 2, a % 2, a & 1, a | 2, ~a FROM t",
        "SELECT extract(YEAR FROM d), substring(s FROM 2 FOR 3), substr(s, 1, 2), position('x' IN s), trim(BOTH 'x' FROM s), trim(s) FROM t",
        "SELECT CAST(a AS DECIMAL(10, 2)), TRY_CAST(s AS INT), a::bigint, CAST(s AS DATE), ceil(x), floor(m) FROM t",
        "SELECT INTERVAL 90 DAYS, INTERVAL '1-2' YEAR TO MONTH, INTERVAL '1 02:03:04' DAY TO SECOND, INTERVAL '3 months', INTERVAL -3 DAYS",
        "SELECT s LIKE 'a!%' ESCAPE '!', s ILIKE 'A%', s RLIKE '^a', s NOT LIKE 'b', s BETWEEN 'a' AND 'b', d + 3, d - d FROM t",
        "SELECT (a, b) IN ((1, 2), (3, 4)), a NOT IN (1, NULL), if(a > 1, 'x', 'y'), nvl(s, ''), coalesce(a, b) FROM t",
        "SELECT count(*) FILTER (WHERE b > 1), count(DISTINCT s), first(a) IGNORE NULLS, any_value(b), max(a) IS TRUE FROM (SELECT true AS a, 1 AS b, '' AS s)",
        "SELECT current_date, current_timestamp(), array(1, 2)[0], struct(a, b).a, map('k', 1)['k'], named_struct('p', 1).p FROM t",
    ] {
        if let Err(e) = statement(sql) {
            panic!("{sql}: {e}");
        }
    }
    assert_eq!(error("SELECT DATE 'yesterday'").class, ErrorClass::Parse);
    assert_eq!(error("SELECT INTERVAL 'x' DAY").class, ErrorClass::Parse);
}
