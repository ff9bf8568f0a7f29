//! Physical plans of SQL text: the worked examples over the bundled fixtures, and the 22 TPC-H queries under both profiles.

use std::sync::Arc;

use wholestage::base::Settings;
use wholestage::datasource::{TableSource, generate, open_folder};
use wholestage::logical::optimizer::optimize;
use wholestage::planning::validate::validate;
use wholestage::planning::{Details, ExplainLevel, PhysicalQuery, explain, plan};
use wholestage::sql::{BoundStatement, CatalogEntry, CatalogView, bind, parse_statements};

struct Tables(Vec<(String, Arc<dyn TableSource>)>);

impl Tables {
    fn sales() -> Self {
        Self(open_folder(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sales")).unwrap())
    }
}

impl CatalogView for Tables {
    fn resolve(&self, name: &[String]) -> Option<CatalogEntry> {
        let wanted = name.last()?;
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(wanted)).map(|(_, t)| CatalogEntry::Table(t.clone()))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(n, _)| n.clone()).collect()
    }
}

fn settings(profile: &str) -> Settings {
    let mut settings = Settings::new();
    settings.set("planner.profile", profile).unwrap();
    settings
}

/// The plan, valid, and its simple explanation.
fn planned(tables: &Tables, sql: &str, settings: &Settings) -> (PhysicalQuery, String) {
    let statements = parse_statements(sql).unwrap();
    let BoundStatement::Query(bound) = bind(&statements[0], tables, settings).unwrap() else { panic!("not a query") };
    let optimized = optimize(bound.clone(), settings).unwrap();
    let physical = plan(optimized.clone(), settings).unwrap();
    for plan in physical.subqueries.iter().map(|s| &s.executed_plan).chain([&physical.executed_plan]) {
        validate(plan, settings, true).unwrap();
    }
    let text = explain(&bound, &optimized, &physical, ExplainLevel::Simple, settings, &Details::none());
    (physical, text)
}

/// Without ids, and without what a scan says of itself beyond its columns.
fn operators(text: &str) -> Vec<String> {
    let ids = regex::Regex::new(r"#\d+L?|, \[plan_id=\d+\]").unwrap();
    let lines = text.lines().filter(|l| !l.starts_with("=="));
    lines.map(|l| ids.replace_all(l.split(" Batched: ").next().unwrap_or(l), "").into_owned()).collect()
}

#[test]
fn region_totals_of_a_year() {
    let sql = "SELECT region, SUM(sales) AS total_sales FROM transactions WHERE year = 2024 GROUP BY region";
    let (_, text) = planned(&Tables::sales(), sql, &settings("cluster"));
    let expected = [
        "*(2) HashAggregate(keys=[region], functions=[sum(sales)])",
        "+- Exchange hashpartitioning(region, 200), ENSURE_REQUIREMENTS",
        "   +- *(1) HashAggregate(keys=[region], functions=[partial_sum(sales)])",
        "      +- *(1) Project [region, sales]",
        "         +- *(1) FileScan parquet transactions[region,sales,year]",
    ];
    assert_eq!(operators(&text), expected, "{text}");
    // The filter on the partition column is the scan's alone.
    let filters = regex::Regex::new(r"PartitionFilters: \[(isnotnull\(year#\d+\), )?\(year#\d+ = 2024\)\], PushedFilters: \[\]").unwrap();
    assert!(filters.is_match(&text) && text.contains("ReadSchema: struct<region:string,sales:"), "{text}");
}

#[test]
fn country_totals_of_orders_joined_with_customers() {
    let sql = "SELECT c.country, SUM(o.amount) AS total FROM orders o JOIN customers c ON o.customer_id = c.id \
               WHERE o.amount > 100 GROUP BY c.country";
    let (_, text) = planned(&Tables::sales(), sql, &settings("cluster"));
    let shape = operators(&text);
    let starts = [
        "*(3) HashAggregate(keys=[country], functions=[sum(amount)])",
        "+- Exchange hashpartitioning(country, 200), ENSURE_REQUIREMENTS",
        "   +- *(2) HashAggregate(keys=[country], functions=[partial_sum(amount)])",
        "      +- *(2) Project [",
        "         +- *(2) BroadcastHashJoin [customer_id], [",
        "            :- *(2) Filter (",
        "            :  +- *(2) FileScan parquet orders[",
        "            +- BroadcastExchange HashedRelationBroadcastMode(List(",
        "               +- *(1) Filter isnotnull(",
        "                  +- *(1) FileScan csv customers[id,country]",
    ];
    assert_eq!(shape.len(), starts.len(), "{text}");
    for (line, start) in shape.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nis not\n{start}\n{text}");
    }
}

#[test]
fn sort_merge_join_of_two_scans_is_five_stages() {
    let mut settings = settings("cluster");
    settings.set("sql.autoBroadcastJoinThreshold", "-1").unwrap();
    let sql = "SELECT * FROM orders o JOIN orders p ON o.order_id = p.customer_id";
    let (_, text) = planned(&Tables::sales(), sql, &settings);
    let stages: Vec<String> = regex::Regex::new(r"\*\((\d)\)").unwrap().captures_iter(&text).map(|c| c[1].to_string()).collect();
    assert_eq!(stages.first().map(String::as_str), Some("5"), "{text}");
    assert_eq!(text.matches("Exchange hashpartitioning").count(), 2, "{text}");
}

#[test]
fn tpch() {
    let tables = Tables(generate::Suite::Tpch.memory(0.001, 2).unwrap());
    for profile in ["local", "cluster"] {
        let settings = settings(profile);
        for number in 1..=22 {
            let path = format!("{}/codegen-tests/tpch/q{number}.sql", env!("CARGO_MANIFEST_DIR"));
            let (physical, text) = planned(&tables, &std::fs::read_to_string(path).unwrap(), &settings);
            assert!(!text.contains("CartesianProduct") && !text.contains("SortAggregate"), "q{number}\n{text}");
            assert_eq!(physical.subqueries.len(), usize::from([11, 15, 22].contains(&number)), "q{number}\n{text}");
            if number == 15 {
                assert!(text.contains("ReusedExchange"), "revenue is computed once\n{text}");
            }
        }
    }
}
