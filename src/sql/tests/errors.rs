//! Errors with their place and the nearest name; limits.

use super::*;

#[test]
fn deep_nesting_is_one_clear_error() {
    let n = 10_000;
    let cases = [
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT {}true", "NOT ".repeat(n)),
        format!("SELECT {}1", "- ".repeat(n)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(n), " END".repeat(n)),
        format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n)),
        format!("SELECT {}1{}", "(SELECT ".repeat(n), ")".repeat(n)),
        format!("SELECT {}1", "1 + ".repeat(n)),
        format!("SELECT 1{}", "::int".repeat(n)),
        format!("SELECT {}true", "NOT a = ".repeat(n)),
        format!("SELECT * FROM {}t{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(n), ")".repeat(n)),
        format!("SELECT 1{}", " EXCEPT SELECT 1".repeat(600)),
        format!("SELECT 1 FROM range(1){}", ", range(1)".repeat(2_000)),
        format!("WITH x0 AS (SELECT 1){} SELECT 1", (1..600).map(|i| format!(", x{i} AS (SELECT * FROM x{})", i - 1)).collect::<String>()),
    ];
    for sql in cases {
        let e = error(&sql);
        assert_eq!(e.class, ErrorClass::NestingTooDeep, "{}: {e}", &sql[..40]);
        assert!(e.location.is_some(), "{e}");
    }
    // Unfinished text nests as deep.
    assert_eq!(error(&format!("SELECT {}", "(".repeat(n))).class, ErrorClass::NestingTooDeep);
}

#[test]
fn nesting_within_the_limit_binds() {
    query(&format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400)));
    query(&format!("SELECT {}1{}", "abs(".repeat(400), ")".repeat(400)));
    query(&format!("SELECT {}1{}", "(SELECT ".repeat(100), ")".repeat(100)));
    query(&format!("SELECT {}1 FROM t", "a + ".repeat(400)));
    let deep = query(&format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(490), ")".repeat(490)));
    assert_eq!(deep.clone().plan, deep.plan);
    let deep = query(&format!("SELECT {}a FROM t", "a + ".repeat(490)));
    assert_eq!(deep.clone().plan, deep.plan);
}

#[test]
fn long_flat_chains_bind() {
    query(&format!("SELECT * FROM t WHERE {}a = 0", (0..10_000).map(|i| format!("a = {i} OR ")).collect::<String>()));
    query(&format!("SELECT * FROM t WHERE {}a = 0", "a > 5 AND ".repeat(10_000)));
    query(&format!("SELECT a IN ({}0) FROM t", "1, ".repeat(10_000)));
    query(&format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2_000)));
    query(&format!("SELECT 1{}", " UNION SELECT 1".repeat(2_000)));
}

#[test]
fn names_that_are_not_there_suggest_the_nearest() {
    let e = error("SELECT a,\n  bb + cc FROM t");
    assert_eq!((e.class, e.location), (ErrorClass::ColumnNotFound, at(2, 3)));
    assert!(e.message.contains("Did you mean `t`.`b`"), "{e}");
    let e = error("SELECT * FROM custmer");
    assert_eq!((e.class, e.location), (ErrorClass::TableNotFound, at(1, 15)));
    assert!(e.message.contains("`customer`"), "{e}");
    let e = error("SELECT uper(s) FROM t");
    assert_eq!((e.class, e.location), (ErrorClass::RoutineNotFound, at(1, 8)));
    assert!(e.message.contains("`upper`"), "{e}");
    let e = error("SELECT st.h FROM nested");
    assert_eq!((e.class, e.location), (ErrorClass::FieldNotFound, at(1, 11)));
    let e = error("SELECT v.* FROM t");
    assert_eq!((e.class, e.location), (ErrorClass::StarNotFound, at(1, 8)));
}

#[test]
fn ambiguous_names_are_errors() {
    let e = error("SELECT a FROM t, u");
    assert_eq!((e.class, e.location), (ErrorClass::AmbiguousReference, at(1, 8)));
    assert!(e.message.contains("`t`.`a`") && e.message.contains("`u`.`a`"), "{e}");
    assert_eq!(names("SELECT t.a, u.A FROM t, u"), ["a", "A"]);
    let e = error("SELECT a AS z, b AS z FROM t ORDER BY z");
    assert_eq!(e.class, ErrorClass::AmbiguousReference);
    // The same column twice is no ambiguity.
    assert_eq!(names("SELECT a FROM (SELECT a, a FROM t)"), ["a"]);
}

#[test]
fn syntax_errors_have_a_place() {
    let e = error("SELECT a\nFROM t WHERE");
    assert_eq!((e.class, e.location), (ErrorClass::Parse, at(2, 13)));
    assert_eq!(error("DELETE FROM t").class, ErrorClass::Unsupported);
    let e = error("SELECT a FROM t )");
    assert_eq!((e.class, e.location), (ErrorClass::Parse, at(1, 17)));
    let e = error("SELEC a");
    assert_eq!((e.class, e.location), (ErrorClass::Parse, at(1, 1)));
    assert!(e.message.contains("SELECT"), "{e}");
    assert_eq!(error("SELECT 'abc").class, ErrorClass::Parse);
    assert_eq!(parse_statements("SELECT 1; ; SELECT ';' ; -- end\n").unwrap().len(), 2);
}

#[test]
fn type_errors_have_a_place() {
    let e = error("SELECT a FROM t\nWHERE a + 1");
    assert_eq!((e.class, e.location), (ErrorClass::TypeMismatch, at(2, 7)));
    assert_eq!(error("SELECT d + true FROM t").class, ErrorClass::TypeMismatch);
    assert_eq!(error("SELECT upper() FROM t").class, ErrorClass::WrongArguments);
    let e = error("SELECT lag(a) FROM t");
    assert!(e.message.contains("OVER"), "{e}");
    assert_eq!(error("SELECT 1 UNION SELECT 1, 2").class, ErrorClass::WrongArguments);
    assert_eq!(error("SELECT * FROM t LIMIT -1").class, ErrorClass::InvalidParameter);
    assert_eq!(error("SELECT * FROM t LIMIT a").class, ErrorClass::ColumnNotFound);
}

#[test]
fn mutilated_text_is_an_error_and_no_panic() {
    let queries = [
        "SELECT a, sum(b) OVER (PARTITION BY s ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS w, (SELECT max(c) FROM u WHERE u.a = t.a) \
         FROM t JOIN u USING (a, b) WHERE s LIKE 'a%' AND d >= DATE '1994-01-01' + INTERVAL '1' YEAR QUALIFY w > 1 ORDER BY 1 DESC LIMIT 5",
        "WITH x (p) AS (SELECT CASE a WHEN 1 THEN b ELSE 2.5 END FROM t) SELECT grouping(p), count(DISTINCT p) FILTER (WHERE p > 1) \
         FROM x WHERE p IN (SELECT b FROM u) OR EXISTS (SELECT 1) GROUP BY ROLLUP (p) HAVING count(*) > 1 UNION ALL VALUES (1, 2)",
        "SELECT /*+ BROADCAST(u), REPARTITION(2, a) */ extract(YEAR FROM d), substring(s FROM 1 FOR 2), x::int, arr[0], st.f \
         FROM t TABLESAMPLE (10 PERCENT) AS t LEFT JOIN nested ON k = a LATERAL VIEW explode(arr) v AS e CROSS JOIN range(5) r",
    ];
    let (mut bound, mut failed) = (0, 0);
    for text in queries {
        let words: Vec<&str> = text.split(' ').collect();
        for i in 0..words.len() {
            let without = [&words[..i], &words[i + 1..]].concat().join(" ");
            let twice = [&words[..=i], &words[i..]].concat().join(" ");
            let mut swapped = words.clone();
            swapped.swap(i, words.len() / 2);
            for text in [without, twice, swapped.join(" "), words[..i].join(" ")] {
                match parse_statements(&text).and_then(|p| p.iter().try_for_each(|p| bind(p, &catalog(), &Settings::new()).map(drop))) {
                    Ok(()) => bound += 1,
                    Err(e) => {
                        assert_ne!(e.class, ErrorClass::Internal, "{text}: {e}");
                        failed += 1;
                    }
                }
            }
        }
    }
    assert!(bound > 10 && failed > 100, "{bound} {failed}");
}
