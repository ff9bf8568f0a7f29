use super::*;
use crate::operators::{Project, Sort};

fn raw(logical: LogicalPlan) -> Arc<SparkPlan> {
    planned(logical, &cluster(&[])).spark_plan
}

#[test]
fn redundant_projects_go_and_others_stay() {
    let t = Table::kvs("t", 1);
    let scan = raw(t.plan.clone());
    let over = |list: Vec<Expr>| SparkPlan::new(Operator::Project(Project { list }), vec![scan.clone()]);
    let same = over(vec![t.col("k"), t.col("v"), t.col("s")]);
    let turned = over(vec![t.col("v"), t.col("k"), t.col("s")]);
    let s = cluster(&[]);
    let gone = |plan: &Arc<SparkPlan>| !outline(&apply("RemoveRedundantProjects", plan, &s)).contains("Project");
    assert!(gone(&same));
    // The order of columns matters at the root, not below another projection.
    assert!(!gone(&turned));
    let above = SparkPlan::new(Operator::Project(Project { list: vec![t.col("k")] }), vec![turned]);
    assert_lines(&outline(&apply("RemoveRedundantProjects", &above, &s)), "Project\n FileScan");
    let off = cluster(&[("sql.execution.removeRedundantProjects", "false")]);
    assert!(Arc::ptr_eq(&apply("RemoveRedundantProjects", &same, &off), &same));
}

#[test]
fn redundant_sorts_go_and_others_stay() {
    let t = Table::kvs("t", 1);
    let order = |columns: &[&str]| columns.iter().map(|c| SortOrder::ascending(t.col(c))).collect::<Vec<_>>();
    let local = |columns: &[&str], child| SparkPlan::new(Operator::Sort(Sort { order: order(columns), global: false }), vec![child]);
    let s = cluster(&[]);
    let sorts = |plan| outline(&apply("RemoveRedundantSorts", &plan, &s)).matches("Sort").count();
    assert_eq!(sorts(local(&["k"], local(&["k", "v"], raw(t.plan.clone())))), 1);
    assert_eq!(sorts(local(&["v"], local(&["k", "v"], raw(t.plan.clone())))), 2);
    // A global sort needs the partitions in order too.
    let global = SparkPlan::new(Operator::Sort(Sort { order: order(&["k"]), global: true }), vec![local(&["k"], raw(t.plan.clone()))]);
    assert_eq!(sorts(global), 2);
}

#[test]
fn hash_aggregates_of_sorted_rows_sort_where_asked() {
    let t = Table::kvs("t", 1);
    let by = |columns: &[&str]| columns.iter().map(|c| SortOrder::ascending(t.col(c))).collect::<Vec<_>>();
    let input = LogicalPlan::Repartition { partitions: None, by: by(&["k"]), kind: RepartitionKind::Hash, input: Box::new(t.plan.clone()) };
    let totals = |input| aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], input);
    let query = totals(LogicalPlan::Sort { order: by(&["k"]), global: false, input: Box::new(input) });
    let on = cluster(&[("sql.execution.replaceHashWithSortAgg", "true")]);
    let text = explained(query.clone(), &on);
    assert!(text.starts_with("SortAggregate(key=[k#1], functions=[sum(v#2)])\n+- *(2) Sort"), "{text}");
    assert_eq!(shape(query, &cluster(&[])).matches("HashAggregate").count(), 2);
    // An exchange in between loses the order: only the partial aggregate can use it.
    let sorted = LogicalPlan::Sort { order: by(&["k"]), global: false, input: Box::new(t.plan.clone()) };
    assert_lines(&shape(totals(sorted), &on), "HashAggregate\n Exchange\n  SortAggregate\n   Sort\n    FileScan");
    assert_eq!(shape(totals(t.plan.clone()), &on).matches("SortAggregate").count(), 0);
}

#[test]
fn partial_group_limits_go_where_nothing_is_exchanged() {
    let t = Table::kvs("t", 1);
    let group = crate::expr::GroupLimit {
        partition_by: vec![t.col("k")],
        order_by: vec![SortOrder::ascending(t.col("v"))],
        function: crate::expr::window::RankingFunction::Rank,
        limit: 3,
    };
    let limited = |input| LogicalPlan::WindowGroupLimit { group: group.clone(), input: Box::new(input) };
    let both = "WindowGroupLimit\n Sort\n  Exchange\n   WindowGroupLimit\n    Sort\n     FileScan";
    assert_lines(&shape(limited(t.plan.clone()), &cluster(&[])), both);
    let by = vec![SortOrder::ascending(t.col("k"))];
    let clustered = LogicalPlan::Repartition { partitions: Some(3), by, kind: RepartitionKind::Hash, input: Box::new(t.plan.clone()) };
    assert_lines(&shape(limited(clustered), &cluster(&[])), "WindowGroupLimit\n Sort\n  Exchange\n   FileScan");
}

#[test]
fn stages_end_at_what_is_not_compiled() {
    let t = Table::kvs("t", 1);
    let query = filter(gt(t.col("k"), int(0)), LogicalPlan::Coalesce { partitions: 2, input: Box::new(t.plan.clone()) });
    let text = explained(query.clone(), &cluster(&[]));
    let starts: Vec<&str> = text.lines().map(|l| l.split("FileScan").next().unwrap()).collect();
    assert_eq!(starts, ["*(2) Filter (k#1 > 0)", "+- Coalesce 2", "   +- *(1) "]);
    assert!(!explained(query.clone(), &cluster(&[("sql.codegen.wholeStage", "false")])).contains("*("));
    assert!(!explained(query, &cluster(&[("sql.codegen.maxFields", "2")])).contains("*("));
}

#[test]
fn equal_exchanges_run_once() {
    let t = Table::kvs("t", 1 << 40);
    let u = t.again();
    let side = |t: &Table| project(vec![t.col("k"), t.col("v")], filter(gt(t.col("v"), int(1)), t.plan.clone()));
    let query = |condition| join(side(&t), side(&u), JoinType::Inner, Some(condition));
    let same = query(eq(t.col("k"), u.col("k")));
    let text = explained(same.clone(), &cluster(&[]));
    assert!(text.contains("ReusedExchange [k#2, v#4], Exchange hashpartitioning(k#1, 200), ENSURE_REQUIREMENTS, [plan_id=1]"), "{text}");
    // Stage 3 is gone with the second exchange; its number is not given again.
    assert!(text.contains("*(4) Sort") && text.starts_with("*(5)") && !text.contains("*(3)"), "{text}");
    assert!(!explained(same, &cluster(&[("sql.exchange.reuse", "false")])).contains("Reused"));
    assert!(!explained(query(eq(t.col("k"), u.col("v"))), &cluster(&[])).contains("Reused"));
    // The order of conjuncts changes nothing.
    let bounded = |t: &Table, last: &str, first: &str| filter(all([first, last].map(|c| gt(t.col(c), int(1)))), t.plan.clone());
    let turned = join(bounded(&t, "k", "v"), bounded(&u, "v", "k"), JoinType::Inner, Some(eq(t.col("k"), u.col("k"))));
    assert!(explained(turned, &cluster(&[])).contains("ReusedExchange"));
}

#[test]
fn a_subquery_and_the_main_plan_share_an_exchange() {
    let t = Table::kvs("t", 1 << 40);
    let grouped = |t: &Table| aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], t.plan.clone());
    let (main, inner) = (grouped(&t), grouped(&t.again()));
    let highest = call(AggregateFunction::Max, Expr::Attribute(inner.output()[1].clone()), false);
    let subquery = aggregate(vec![], vec![alias(highest, "m")], inner);
    let id = crate::expr::SubqueryId(7001);
    let total = Expr::Attribute(main.output()[1].clone());
    let main = filter(eq(total, Expr::ScalarSubquery { id, data_type: DataType::Long }), main);
    let query = plan(BoundQuery { plan: main, subqueries: vec![(id, subquery)] }, &cluster(&[])).unwrap();
    // The exchange below the filter comes first, then the filter's subquery.
    assert_lines(&outline(&query.executed_plan).lines().take(3).collect::<Vec<_>>().join("\n"), "Filter\n HashAggregate\n  Exchange");
    assert_eq!(outline(&query.subqueries[0].executed_plan).matches("ReusedExchange").count(), 1);
}

#[test]
fn every_rule_is_idempotent() {
    let (l, r) = (Table::kvs("l", 1 << 40), Table::kvs("r", 1 << 40));
    let joined = join(l.plan.clone(), r.plan.clone(), JoinType::LeftOuter, Some(eq(l.col("k"), r.col("k"))));
    let grouped = aggregate(vec![l.col("k")], vec![l.col("k"), alias(sum(r.col("v")), "s")], joined);
    let query = sort(vec![l.col("k")], true, grouped);
    let settings = cluster(&[]);
    let mut plan = raw(query);
    for (name, rule) in preparations::PREPARATIONS {
        plan = rule(plan, &settings).unwrap();
        let again = rule(plan.clone(), &settings).unwrap();
        assert_eq!(outline(&plan), outline(&again), "{name}");
    }
}

#[test]
fn the_validator_finds_broken_plans() {
    let t = Table::kvs("t", 1);
    let u = Table::kvs("u", 1);
    let settings = cluster(&[]);
    let unresolved = SparkPlan::new(Operator::Project(Project { list: vec![u.col("k")] }), vec![raw(t.plan.clone())]);
    assert!(validate::validate(&unresolved, &settings, false).unwrap_err().message.contains("not provided"));
    let unsorted = raw(sort(vec![t.col("k")], true, t.plan.clone()));
    assert!(validate::validate(&unsorted, &settings, false).is_ok());
    assert!(validate::validate(&unsorted, &settings, true).unwrap_err().message.contains("does not satisfy"));
    let scan = raw(t.plan.clone());
    let output = t.plan.output();
    let twice = SparkPlan::new(Operator::Union(crate::operators::Union { output }), vec![scan.clone(), scan]);
    assert!(validate::validate(&twice, &settings, false).unwrap_err().message.contains("twice"));
}

#[test]
fn the_trace_tells_which_rules_changed_the_plan() {
    let t = Table::kvs("t", 1);
    let mut names = vec![];
    let settings = cluster(&[]);
    let plan = raw(sort(vec![t.col("k")], true, t.plan.clone()));
    preparations::prepare_traced(plan, &settings, &mut |name, _| names.push(name)).unwrap();
    assert_eq!(names, ["EnsureRequirements", "CollapseCodegenStages"]);
}
