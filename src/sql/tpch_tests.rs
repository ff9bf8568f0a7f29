//! TPC-H through binder and optimizer, with the statistics of scale factor 1.

use std::sync::Arc;

use super::*;
use crate::base::{DataType, Field, Scalar, Schema, Settings};
use crate::datasource::{ColumnStatistics, Described, TableStatistics};
use crate::logical::{Join, JoinType, LogicalPlan, optimizer};

/// Rows, then columns: name, type (`k` key from 0 or 1 to a maximum, `m` money, `s` string, `d` date 1992 to 1998, `i` int) and maximum.
const TABLES: [(&str, u64, &str); 8] = [
    ("region", 5, "r_regionkey k4, r_name s, r_comment s"),
    ("nation", 25, "n_nationkey k24, n_name s, n_regionkey k4, n_comment s"),
    ("supplier", 10_000, "s_suppkey k10000, s_name s, s_address s, s_nationkey k24, s_phone s, s_acctbal m999999, s_comment s"),
    (
        "customer",
        150_000,
        "c_custkey k150000, c_name s, c_address s, c_nationkey k24, c_phone s, c_acctbal m999999, c_mktsegment s, c_comment s",
    ),
    (
        "part",
        200_000,
        "p_partkey k200000, p_name s, p_mfgr s, p_brand s, p_type s, p_size i50, p_container s, p_retailprice m209899, p_comment s",
    ),
    ("partsupp", 800_000, "ps_partkey k200000, ps_suppkey k10000, ps_availqty i9999, ps_supplycost m100000, ps_comment s"),
    (
        "orders",
        1_500_000,
        "o_orderkey k6000000, o_custkey k149999, o_orderstatus s, o_totalprice m55528516, o_orderdate d, o_orderpriority s, o_clerk s, \
         o_shippriority i0, o_comment s",
    ),
    (
        "lineitem",
        6_001_215,
        "l_orderkey k6000000, l_partkey k200000, l_suppkey k10000, l_linenumber i7, l_quantity m5000, l_extendedprice m10494950, \
         l_discount m10, l_tax m8, l_returnflag s, l_linestatus s, l_shipdate d, l_commitdate d, l_receiptdate d, l_shipinstruct s, \
         l_shipmode s, l_comment s",
    ),
];

struct Tpch;

impl CatalogView for Tpch {
    fn resolve(&self, name: &[String]) -> Option<CatalogEntry> {
        let last = name.last()?;
        let (_, rows, columns) = TABLES.iter().find(|(n, ..)| n.eq_ignore_ascii_case(last))?;
        let (mut fields, mut statistics) = (vec![], vec![]);
        for c in columns.split(", ") {
            let (name, kind) = c.trim().split_once(' ')?;
            let max: i64 = kind[1..].parse().unwrap_or_default();
            let money = |v| Scalar::Decimal { value: v, precision: 15, scale: 2 };
            let (data_type, bounds) = match &kind[..1] {
                "k" => (DataType::Long, Some((Scalar::Long(i64::from(max > 24)), Scalar::Long(max)))),
                "m" => (DataType::decimal(15, 2), Some((money(0), money(max.into())))),
                "i" => (DataType::Int, Some((Scalar::Int(0), Scalar::Int(max as i32)))),
                "d" => (DataType::Date, Some((Scalar::Date(8035), Scalar::Date(10591)))),
                _ => (DataType::String, None),
            };
            let (min, max) = bounds.unzip();
            fields.push(Field::new(name, data_type, true));
            statistics.push(ColumnStatistics { min, max, null_count: Some(0), distinct_count: None, length: None });
        }
        let statistics = TableStatistics { size_bytes: rows * 100, row_count: Some(*rows), columns: statistics };
        Some(CatalogEntry::Table(Arc::new(Described { schema: Schema::new(fields), statistics })))
    }

    fn names(&self) -> Vec<String> {
        TABLES.iter().map(|(n, ..)| n.to_string()).collect()
    }
}

/// The query optimized: its plan and those of its scalar subqueries.
fn optimized(number: usize) -> Vec<LogicalPlan> {
    let path = format!("{}/codegen-tests/tpch/q{number}.sql", env!("CARGO_MANIFEST_DIR"));
    let sql = std::fs::read_to_string(path).unwrap();
    let parsed = parse_statements(&sql).unwrap();
    let settings = Settings::new();
    let Ok(BoundStatement::Query(query)) = bind(parsed.last().unwrap(), &Tpch, &settings) else { panic!("Q{number}") };
    let output = query.plan.output();
    let done = optimizer::optimize(query, &settings).unwrap_or_else(|e| panic!("Q{number}: {e}"));
    let again = optimizer::optimize(done.clone(), &settings).unwrap();
    if std::env::var("SHOW_PLANS").is_ok() && again.plan != done.plan {
        println!("Q{number} CHANGED\n{}\n{}", done.plan.tree_string(), again.plan.tree_string());
    }
    assert_eq!(done.plan.output(), output, "Q{number}");
    std::iter::once(done.plan).chain(done.subqueries.into_iter().map(|(_, p)| p)).collect()
}

fn nodes(plan: &LogicalPlan) -> Vec<&LogicalPlan> {
    std::iter::once(plan).chain(plan.children().into_iter().flat_map(nodes)).collect()
}

fn joins(plans: &[LogicalPlan]) -> Vec<&Join> {
    let all = plans.iter().flat_map(nodes);
    all.filter_map(|n| if let LogicalPlan::Join(j) = n { Some(j) } else { None }).collect()
}

fn has_equality(j: &Join) -> bool {
    use crate::expr::{ComparisonOp, Expr};
    let conjuncts = j.condition.clone().map(Expr::split_conjunction).unwrap_or_default();
    conjuncts.iter().any(|c| matches!(c, Expr::Comparison { op: ComparisonOp::Equal, .. }))
}

/// Columns read of each table, by table.
fn columns_read(plans: &[LogicalPlan]) -> Vec<(String, Vec<String>)> {
    let all = plans.iter().flat_map(nodes);
    let mut out: Vec<(String, Vec<String>)> = all
        .filter_map(|n| match n {
            LogicalPlan::Relation { name, output, .. } => Some((name.to_string(), output.iter().map(|a| a.name.to_string()).collect())),
            _ => None,
        })
        .collect();
    out.sort();
    out
}

#[test]
fn every_query_becomes_equi_joins_over_pruned_tables() {
    for number in 1..=22 {
        let plans = optimized(number);
        if std::env::var("SHOW_PLANS").is_ok() {
            plans.iter().for_each(|p| println!("Q{number}\n{}", p.tree_string()));
        }
        for node in plans.iter().flat_map(nodes) {
            assert!(!matches!(node, LogicalPlan::Apply(_) | LogicalPlan::Distinct { .. }), "Q{number}: {node:?}");
        }
        for j in joins(&plans) {
            assert!(has_equality(j), "Q{number}: {:?} {:?}", j.join_type, j.condition);
        }
        for (table, columns) in columns_read(&plans) {
            let all = TABLES.iter().find(|(n, ..)| *n == table).unwrap().2.split(", ").count();
            // Q2 shows all of a supplier.
            assert!(columns.len() < all || (number, table.as_str()) == (2, "supplier"), "Q{number} reads all of {table}");
            assert!(!columns.iter().any(|c| c.ends_with("_comment") && ![2, 9, 10, 13, 16].contains(&number)), "Q{number}: {columns:?}");
        }
    }
}

#[test]
fn plain_queries_read_what_they_use() {
    let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    assert_eq!(
        columns_read(&optimized(6)),
        [("lineitem".to_string(), names(&["l_quantity", "l_extendedprice", "l_discount", "l_shipdate"]))]
    );
}

#[test]
fn subqueries_become_the_joins_they_are() {
    let types = |n| joins(&optimized(n)).iter().map(|j| j.join_type.clone()).collect::<Vec<_>>();
    // The second reduces what the first builds from.
    assert_eq!(types(4), [JoinType::LeftSemi, JoinType::LeftSemi]);
    assert!(types(21).contains(&JoinType::LeftAnti) && types(21).contains(&JoinType::LeftSemi));
    assert!(types(16).iter().any(|t| matches!(t, JoinType::LeftAnti | JoinType::NullAwareAnti)));
    assert!(types(22).contains(&JoinType::LeftAnti));
    // Scalar subqueries under a comparison need no padded rows.
    for n in [2, 17, 20] {
        assert!(!types(n).contains(&JoinType::LeftOuter), "Q{n}");
    }
}
