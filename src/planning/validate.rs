//! Checks of a physical plan: every node gets what it requires.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::{Error, ExprId, Result, Settings, settings};
use crate::expr::Expr;
use crate::operators::plan::deep;
use crate::operators::properties::ordering_satisfies;
use crate::operators::{Distribution, Operator, Partitioning, ShuffleSpec, SparkPlan};

/// Every node has as many children as it must, every attribute used is provided, no node gives a column twice, node ids are unique (a reused exchange's original aside); and,
/// once `ensured`, distributions and orders are met.
///
/// # Errors
/// `Internal`, naming the node and what is wrong.
pub fn validate(plan: &Arc<SparkPlan>, settings: &Settings, ensured: bool) -> Result<()> {
    node(plan, settings, ensured, &mut HashSet::new())
}

fn node(plan: &Arc<SparkPlan>, settings: &Settings, ensured: bool, seen: &mut HashSet<u64>) -> Result<()> {
    let fail = |what: String| Err(Error::internal(format!("{}: {what}", plan.name())));
    if !seen.insert(plan.id) {
        return fail(format!("node {} occurs twice", plan.id));
    }
    if !plan.shape().admits(plan.children.len()) {
        return fail(format!("{} children", plan.children.len()));
    }
    if matches!(plan.operator, Operator::ReusedExchange(_)) {
        return Ok(());
    }
    for child in &plan.children {
        deep(|| node(child, settings, ensured, seen))?;
    }
    if let Some(unknown) = unresolved(plan) {
        return fail(format!("{unknown} is not provided by its children"));
    }
    if ensured { requirements(plan, settings) } else { Ok(()) }
}

/// An attribute that the node uses but nobody gives it.
fn unresolved(plan: &SparkPlan) -> Option<Expr> {
    let mut known: HashSet<ExprId> = plan.children.iter().flat_map(|c| c.output()).map(|a| a.id).collect();
    match &plan.operator {
        Operator::InMemoryTableScan(s) => known.extend(s.relation_output.iter().map(|a| a.id)),
        Operator::FileScan(s) => known.extend(s.table_output.iter().map(|a| a.id)),
        Operator::Aggregate(a) => {
            known.extend(a.calls.iter().filter(|c| c.mode.gives_results()).map(|c| c.result.id));
            known.extend(a.calls.iter().filter(|c| !c.mode.gives_results()).flat_map(|c| &c.buffers).map(|b| b.id));
            known.extend(a.keys().iter().map(|k| k.id));
        }
        _ => {}
    }
    let buffers = match &plan.operator {
        Operator::Aggregate(a) => a.calls.iter().filter(|c| !c.mode.reads_rows()).flat_map(|c| c.buffers.clone()).collect(),
        _ => vec![],
    };
    let given: HashSet<ExprId> = plan.children.iter().flat_map(|c| c.output()).map(|a| a.id).collect();
    if let Some(missing) = buffers.into_iter().find(|b| !given.contains(&b.id)) {
        return Some(Expr::Attribute(missing));
    }
    let mut missing = None;
    for e in plan.expressions() {
        e.visit(&mut |e| {
            if matches!(e, Expr::Attribute(a) if !known.contains(&a.id)) {
                missing.get_or_insert_with(|| e.clone());
            }
            true
        });
    }
    missing
}

fn requirements(plan: &SparkPlan, settings: &Settings) -> Result<()> {
    let fail = |what: String| Err(Error::internal(format!("{}: {what}", plan.name())));
    let all_keys = settings.bool(&settings::REQUIRE_ALL_CLUSTER_KEYS_FOR_DISTRIBUTION);
    let required = plan.required_child_distribution();
    for (child, distribution) in plan.children.iter().zip(&required) {
        if !child.output_partitioning().satisfies(distribution, all_keys) {
            return fail(format!("{:?} of {} does not satisfy {distribution:?}", child.output_partitioning(), child.name()));
        }
    }
    for (child, order) in plan.children.iter().zip(plan.required_child_ordering()) {
        if !ordering_satisfies(&child.output_ordering(), &order) {
            return fail(format!("{} is not ordered by {order:?}", child.name()));
        }
    }
    let specs: Vec<ShuffleSpec> = plan
        .children
        .iter()
        .zip(&required)
        .filter_map(|(c, d)| match d {
            Distribution::Clustered(keys) => Some(ShuffleSpec::new(c.output_partitioning(), keys, all_keys)),
            _ => None,
        })
        .collect();
    let all_single = plan.children.iter().all(|c| c.output_partitioning() == Partitioning::Single);
    match specs.windows(2).find(|pair| !pair[0].is_compatible(&pair[1])) {
        Some(pair) if !all_single => fail(format!("{:?} and {:?} are not co-partitioned", pair[0], pair[1])),
        _ => Ok(()),
    }
}
