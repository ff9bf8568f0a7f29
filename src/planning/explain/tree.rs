//! Trees of operators.

use std::fmt::Write;
use std::sync::Arc;

use crate::base::Settings;
use crate::expr::{Expr, SubqueryId};
use crate::logical::display::tree_prefix;
use crate::operators::metrics::OUTPUT_ROWS;
use crate::operators::plan::deep;
use crate::operators::{InMemoryTableScan, Metric, Operator, SparkPlan};
use crate::planning::{PhysicalQuery, PhysicalSubquery, SubqueryAnswer};

use super::Details;
use super::node::NodeText;

/// Draws the trees of one query.
#[derive(Clone, Copy)]
pub struct Printer<'a> {
    pub physical: &'a PhysicalQuery,
    pub settings: &'a Settings,
    /// Aggregates tell their output.
    pub verbose: bool,
    /// Show metrics.
    pub details: Option<&'a Details<'a>>,
}

/// A node that has a line, with the number of the stage it is in: wrappers are passed through.
pub fn visible(plan: &Arc<SparkPlan>, mut stage: Option<usize>) -> (&Arc<SparkPlan>, Option<usize>) {
    let mut plan = plan;
    loop {
        stage = match &plan.operator {
            Operator::WholeStageCodegen(s) => Some(s.stage_id),
            Operator::InputAdapter => None,
            _ => return (plan, stage),
        };
        plan = plan.child();
    }
}

/// The children that have lines. A reused exchange is a leaf.
pub fn visible_children(plan: &SparkPlan, stage: Option<usize>) -> Vec<(&Arc<SparkPlan>, Option<usize>)> {
    match &plan.operator {
        Operator::ReusedExchange(_) => vec![],
        _ => plan.children.iter().map(|c| visible(c, stage)).collect(),
    }
}

/// The scalar subqueries that a node's own expressions use, in order.
pub fn subqueries_of<'a>(plan: &SparkPlan, physical: &'a PhysicalQuery) -> Vec<&'a PhysicalSubquery> {
    let mut ids: Vec<SubqueryId> = vec![];
    for e in plan.expressions() {
        for id in e.subqueries() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids.iter().filter_map(|id| physical.subqueries.iter().find(|s| s.id == *id)).collect()
}

/// Whether a subquery is computed for this node, rather than for one that comes before it: inputs come first.
pub fn is_owner(plan: &SparkPlan, subquery: &PhysicalSubquery, physical: &PhysicalQuery) -> bool {
    let roots = [&physical.executed_plan].into_iter().chain(physical.subqueries.iter().map(|s| &s.executed_plan));
    roots.into_iter().find_map(|root| first_user(root, subquery, physical)) == Some(plan.id)
}

fn first_user(plan: &Arc<SparkPlan>, subquery: &PhysicalSubquery, physical: &PhysicalQuery) -> Option<u64> {
    deep(|| {
        let below = visible_children(plan, None).into_iter().find_map(|(child, _)| first_user(child, subquery, physical));
        below.or_else(|| subqueries_of(plan, physical).iter().any(|s| s.id == subquery.id).then_some(plan.id))
    })
}

/// `Subquery scalar-subquery#5, [id=#24]`; where another node has it, `ReusedSubquery Subquery …`.
pub fn subquery_name(subquery: &PhysicalSubquery, owner: bool) -> String {
    let reused = if owner { "" } else { "ReusedSubquery " };
    let (id, node) = (subquery.id.0, visible(&subquery.executed_plan, None).0.id);
    match &subquery.answer {
        SubqueryAnswer::Value => format!("{reused}Subquery scalar-subquery#{id}, [id=#{node}]"),
        SubqueryAnswer::Values => format!("{reused}Subquery dynamicpruning#{id}, [id=#{node}]"),
        SubqueryAnswer::BroadcastKey { index, keys } => {
            let keys: Vec<String> = keys.iter().map(Expr::to_string).collect();
            format!("{reused}SubqueryBroadcast dynamicpruning#{id}, [{index}], [{}], [id=#{node}]", keys.join(", "))
        }
    }
}

impl<'a> Printer<'a> {
    pub fn executed(&self) -> String {
        self.tree(&self.physical.executed_plan)
    }

    pub fn tree(&self, plan: &Arc<SparkPlan>) -> String {
        let mut out = String::new();
        self.node(visible(plan, None), &mut vec![], &mut out);
        out
    }

    fn node(&self, (plan, stage): (&Arc<SparkPlan>, Option<usize>), last: &mut Vec<bool>, out: &mut String) {
        deep(|| {
            tree_prefix(last, out);
            if let Some(id) = stage {
                let _ = write!(out, "*({id}) ");
            }
            out.push_str(&NodeText::new(plan, self.physical, self.settings).line(self.verbose));
            self.metrics(plan, out);
            out.push('\n');

            let children = visible_children(plan, stage);
            let subqueries = subqueries_of(plan, self.physical);
            if let Operator::InMemoryTableScan(scan) = &plan.operator {
                self.in_memory_relation(plan, scan, subqueries.is_empty(), last, out);
            }
            for (i, subquery) in subqueries.iter().enumerate() {
                // Subqueries hang between a node and its children, a level deeper than these.
                last.push(children.is_empty());
                last.push(i + 1 == subqueries.len());
                tree_prefix(last, out);
                let owner = is_owner(plan, subquery, self.physical);
                let _ = writeln!(out, "{}", subquery_name(subquery, owner));
                if owner {
                    last.push(true);
                    self.node(visible(&subquery.executed_plan, None), last, out);
                    last.pop();
                }
                last.truncate(last.len() - 2);
            }
            for (i, child) in children.iter().enumerate() {
                last.push(i + 1 == children.len());
                self.node(*child, last, out);
                last.pop();
            }
        });
    }

    /// The relation of a scan of a cached query and below it, a level deeper than children would be, the plan that computes it.
    fn in_memory_relation(&self, plan: &SparkPlan, scan: &InMemoryTableScan, only: bool, last: &mut Vec<bool>, out: &mut String) {
        last.extend([true, only]);
        tree_prefix(last, out);
        let relation = NodeText::new(plan, self.physical, self.settings).in_memory_relation(scan);
        let _ = writeln!(out, "InMemoryRelation {relation}");
        last.extend([true, true]);
        Printer { details: None, ..*self }.node(visible(&scan.cached.plan, None), last, out);
        last.truncate(last.len() - 4);
    }

    fn metrics(&self, plan: &SparkPlan, out: &mut String) {
        let metrics = self.details.map(|d| metrics_text(&(d.metrics)(plan))).unwrap_or_default();
        if !metrics.is_empty() {
            let _ = write!(out, "  [{metrics}]");
        }
    }
}

/// `number of output rows: 1,000, sort time: 12 ms`; of what is not rows, only what is not 0.
pub fn metrics_text(metrics: &[(Metric, u64)]) -> String {
    let shown = metrics.iter().filter(|(metric, value)| *value > 0 || metric.key == OUTPUT_ROWS);
    shown.map(|(metric, value)| format!("{}: {}", metric.name, metric.text(*value))).collect::<Vec<_>>().join(", ")
}
