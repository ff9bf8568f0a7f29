use super::*;
use crate::expr::SubqueryId;
use crate::planning::{Details, ExplainLevel, explain, explain_json};

/// `t JOIN (t grouped)` with a scalar subquery used twice.
fn query(settings: &Settings) -> (BoundQuery, PhysicalQuery) {
    let t = Table::kvs("t", 1);
    let u = t.again();
    let subquery = |u: &Table| aggregate(vec![], vec![alias(sum(u.col("v")), "s")], project(vec![u.col("v")], u.plan.clone()));
    let value = |id| Expr::ScalarSubquery { id: SubqueryId(id), data_type: DataType::Long };
    let v = Expr::Cast { expr: Box::new(t.col("v")), to: DataType::Long, try_cast: false };
    let condition = all([gt(v.clone(), value(900)), gt(value(901), v)]);
    let plan = filter(condition, t.plan.clone());
    let subqueries = vec![(SubqueryId(900), subquery(&u)), (SubqueryId(901), subquery(&u.again()))];
    let bound = BoundQuery { plan, subqueries };
    (bound.clone(), plan_query(bound, settings))
}

fn plan_query(bound: BoundQuery, settings: &Settings) -> PhysicalQuery {
    plan(bound, settings).unwrap()
}

fn without_scans(text: &str) -> String {
    text.lines().map(|l| l.split(" Batched").next().unwrap().trim_end()).collect::<Vec<_>>().join("\n")
}

#[test]
fn equal_subqueries_are_planned_once_and_shown_below_their_host() {
    let settings = cluster(&[]);
    let (bound, physical) = query(&settings);
    assert_eq!(physical.subqueries.len(), 1);
    let text = normalise(&explain(&bound, &bound, &physical, ExplainLevel::Simple, &settings, &Details::none()));
    assert_lines(
        &without_scans(&text),
        "
        == Physical Plan ==
        *(1) Filter ((cast(v#1 as bigint) > ReusedSubquery Subquery scalar-subquery#2, [id=#3]) AND (ReusedSubquery Subquery scalar-subquery#2, [id=#3] > cast(v#1 as bigint)))
        :  +- ReusedSubquery Subquery scalar-subquery#2, [id=#3]
        +- *(1) FileScan parquet t[k#4,v#1,s#5]
              +- Subquery scalar-subquery#2, [id=#3]
                 +- *(2) HashAggregate(keys=[], functions=[sum(v#6)])
                    +- Exchange SinglePartition, ENSURE_REQUIREMENTS, [plan_id=1]
                       +- *(1) HashAggregate(keys=[], functions=[partial_sum(v#6)])
                          +- *(1) FileScan parquet t[v#6]
        ",
    );
    let off = cluster(&[("sql.execution.reuseSubquery", "false")]);
    assert_eq!(query(&off).1.subqueries.len(), 2);
}

#[test]
fn formatted() {
    let settings = cluster(&[]);
    let t = Table::kvs("t", 1);
    let filtered = project(vec![t.col("k"), t.col("v")], filter(gt(t.col("v"), int(3)), t.plan.clone()));
    let grouped = aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], filtered);
    let bound = BoundQuery { plan: grouped, subqueries: vec![] };
    let physical = plan_query(bound.clone(), &settings);
    let text = normalise(&explain(&bound, &bound, &physical, ExplainLevel::Formatted, &settings, &Details::none()));
    assert_lines(
        &text,
        "
        == Physical Plan ==
        * HashAggregate (5)
        +- Exchange (4)
           +- * HashAggregate (3)
              +- * Filter (2)
                 +- * Scan parquet t (1)


        (1) Scan parquet t [codegen id : 1]
        Output [2]: [k#1, v#2]
        Batched: true
        Location: InMemoryFileIndex(1 paths)[file:/t]
        PushedFilters: [GreaterThan(v,3)]
        ReadSchema: struct<k:int,v:int>

        (2) Filter [codegen id : 1]
        Input [2]: [k#1, v#2]
        Condition : (v#2 > 3)

        (3) HashAggregate [codegen id : 1]
        Input [2]: [k#1, v#2]
        Keys [1]: [k#1]
        Functions [1]: [partial_sum(v#2)]
        Aggregate Attributes [1]: [sum#3L]
        Results [2]: [k#1, sum#3L]

        (4) Exchange
        Input [2]: [k#1, sum#3L]
        Arguments: hashpartitioning(k#1, 200), ENSURE_REQUIREMENTS, [plan_id=1]

        (5) HashAggregate [codegen id : 2]
        Input [2]: [k#1, sum#3L]
        Keys [1]: [k#1]
        Functions [1]: [sum(v#2)]
        Aggregate Attributes [1]: [sum(v#2)#4L]
        Results [2]: [k#1, sum(v#2)#4L AS s#5L]
        ",
    );
}

#[test]
fn other_levels_have_their_sections() {
    let settings = cluster(&[]);
    let (bound, physical) = query(&settings);
    let at = |level| explain(&bound, &bound, &physical, level, &settings, &Details::none());
    let extended = at(ExplainLevel::Extended);
    for title in ["Parsed Logical Plan", "Analyzed Logical Plan", "Optimized Logical Plan", "Physical Plan"] {
        assert!(extended.contains(&format!("== {title} ==\n")), "{extended}");
    }
    assert!(extended.contains("k: int, v: int, s: string\n"), "{extended}");
    assert!(extended.contains("functions=[sum(") && extended.contains(", output=[s#"), "{extended}");
    assert!(at(ExplainLevel::Cost).contains("Statistics(sizeInBytes="));
    let code = |stage: &Arc<SparkPlan>| Ok(format!("code of {}\n", stage.child().name()));
    let metrics = |plan: &SparkPlan| plan.operator.metrics().iter().map(|m| (*m, 7000)).take(1).collect();
    let details = Details { code: &code, metrics: &metrics, stages: vec![] };
    let codegen = explain(&bound, &bound, &physical, ExplainLevel::Codegen, &settings, &details);
    assert!(codegen.starts_with("Found 3 WholeStageCodegen subtrees.\n== Subtree 1 / 3 ==\n"), "{codegen}");
    assert!(codegen.contains("Generated code:\ncode of Filter\n"), "{codegen}");
    let analyzed = explain(&bound, &bound, &physical, ExplainLevel::Analyze, &settings, &details);
    assert!(analyzed.contains("  [number of output rows: 7,000]\n"), "{analyzed}");
    assert!(analyzed.contains("\n== Compiled Stages ==\n*(1) duration: 0.01 ms\n"), "{analyzed}");
}

#[test]
fn json_has_the_same_tree() {
    let (_, physical) = query(&cluster(&[]));
    let value: serde_json::Value = serde_json::from_str(&explain_json(&physical, &Settings::new(), None)).unwrap();
    assert_eq!(value["plan"]["name"], "Filter");
    assert_eq!(value["plan"]["stage"], 1);
    assert_eq!(value["plan"]["children"][0]["output"][0]["type"], "int");
    assert_eq!(value["subqueries"][0]["plan"]["name"], "HashAggregate");
}

#[test]
fn long_lists_are_cut() {
    let columns: Vec<(String, DataType)> = (0..30).map(|i| (format!("c{i}"), DataType::Int)).collect();
    let columns: Vec<(&str, DataType)> = columns.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let t = Table::new("t", &columns, 0, 1);
    assert!(explained(t.plan.clone(), &cluster(&[])).contains(",... 5 more fields] "));
    assert!(!explained(t.plan, &cluster(&[("sql.debug.maxToStringFields", "30")])).contains("more fields"));
}
