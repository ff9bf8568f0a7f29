//! Text in, bound plans and errors out.

mod errors;
mod queries;
mod statements;

use std::sync::Arc;

use super::*;
use crate::base::{DataType, Error, ErrorClass, Field, Location, Result, Schema, Settings};
use crate::datasource::{Described, TableStatistics};

/// Tables as `name(column type, …)`, and views.
#[derive(Default)]
struct TestCatalog(Vec<(String, CatalogEntry)>);

impl CatalogView for TestCatalog {
    fn resolve(&self, name: &[String]) -> Option<CatalogEntry> {
        let last = name.last()?;
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(last)).map(|(_, e)| e.clone())
    }
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(n, _)| n.clone()).collect()
    }
}

fn table(definition: &str) -> (String, CatalogEntry) {
    let (name, columns) = definition.trim_end_matches(')').split_once('(').unwrap();
    let fields = columns.split(", ").map(|c| {
        let (column, t) = c.trim().split_once(' ').unwrap();
        let data_type = match t {
            "bigint" => DataType::Long,
            "int" => DataType::Int,
            "string" => DataType::String,
            "double" => DataType::Double,
            "date" => DataType::Date,
            "boolean" => DataType::Boolean,
            "decimal" => DataType::decimal(15, 2),
            "array" => DataType::Array(Box::new(DataType::Int)),
            "struct" => DataType::Struct(vec![Field::new("f", DataType::Int, true), Field::new("g", DataType::String, true)]),
            other => panic!("{other}"),
        };
        Field::new(column, data_type, true)
    });
    (
        name.to_string(),
        CatalogEntry::Table(Arc::new(Described { schema: Schema::new(fields.collect()), statistics: TableStatistics::default() })),
    )
}

fn catalog() -> TestCatalog {
    TestCatalog(
        [
            "t(a int, b bigint, s string, d date, x double, m decimal)",
            "u(a int, c string, b bigint)",
            "nested(k int, arr array, st struct)",
            "lineitem(l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, l_quantity decimal, \
             l_extendedprice decimal, l_discount decimal, l_tax decimal, l_returnflag string, l_linestatus string, l_shipdate date, \
             l_commitdate date, l_receiptdate date, l_shipinstruct string, l_shipmode string, l_comment string)",
            "orders(o_orderkey bigint, o_custkey bigint, o_orderstatus string, o_totalprice decimal, o_orderdate date, \
             o_orderpriority string, o_clerk string, o_shippriority int, o_comment string)",
            "customer(c_custkey bigint, c_name string, c_address string, c_nationkey bigint, c_phone string, c_acctbal decimal, \
             c_mktsegment string, c_comment string)",
            "part(p_partkey bigint, p_name string, p_mfgr string, p_brand string, p_type string, p_size int, p_container string, \
             p_retailprice decimal, p_comment string)",
            "supplier(s_suppkey bigint, s_name string, s_address string, s_nationkey bigint, s_phone string, s_acctbal decimal, \
             s_comment string)",
            "partsupp(ps_partkey bigint, ps_suppkey bigint, ps_availqty int, ps_supplycost decimal, ps_comment string)",
            "nation(n_nationkey bigint, n_name string, n_regionkey bigint, n_comment string)",
            "region(r_regionkey bigint, r_name string, r_comment string)",
        ]
        .iter()
        .map(|d| table(d))
        .collect(),
    )
}

fn statement(sql: &str) -> Result<BoundStatement> {
    let parsed = parse_statements(sql)?;
    assert_eq!(parsed.len(), 1, "{sql}");
    bind(&parsed[0], &catalog(), &Settings::new())
}

fn query(sql: &str) -> BoundQuery {
    match statement(sql) {
        Ok(BoundStatement::Query(q)) => q,
        other => panic!("{sql}: {other:?}"),
    }
}

fn error(sql: &str) -> Error {
    match statement(sql) {
        Err(e) => e,
        Ok(bound) => panic!("{sql}: {bound:?}"),
    }
}

/// The tree with ids in order of appearance.
fn tree(sql: &str) -> String {
    let text = query(sql).plan.tree_string();
    let mut ids: Vec<String> = vec![];
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(i) = rest.find('#') {
        let digits: String = rest[i + 1..].chars().take_while(char::is_ascii_digit).collect();
        let n = ids.iter().position(|d| *d == digits).unwrap_or_else(|| {
            ids.push(digits.clone());
            ids.len() - 1
        });
        out.push_str(&rest[..=i]);
        out.push_str(&n.to_string());
        rest = &rest[i + 1 + digits.len()..];
    }
    out + rest
}

fn names(sql: &str) -> Vec<String> {
    query(sql).plan.output().iter().map(|a| a.name.to_string()).collect()
}

fn at(line: u64, column: u64) -> Option<Location> {
    Some(Location { line, column })
}
