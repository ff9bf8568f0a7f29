//! PlanDynamicPruningFilters: where the keys for dynamic partition pruning come from.
//!
//! From the broadcast of a join of the same plan, if one broadcasts the same rows: equal exchanges run once. Else from a query of
//! their own where that is worth it; else there is no pruning. Before the other preparations, since joins are compared as planned.

use std::collections::HashSet;
use std::sync::Arc;

use super::canonical::Canonical;
use super::planner::Planner;
use super::{PhysicalSubquery, SubqueryAnswer, preparations};
use crate::base::{Error, ExprId, Result, Settings, settings::EXCHANGE_REUSE};
use crate::expr::{Expr, Pruning, SubqueryId};
use crate::logical::{BoundQuery, LogicalPlan};
use crate::operators::plan::deep;
use crate::operators::{BroadcastExchange, BroadcastMode, Operator, SparkPlan};

/// The subqueries of a query that answer with keys.
pub fn subqueries(query: &BoundQuery) -> HashSet<SubqueryId> {
    let mut found = HashSet::new();
    query.subqueries.iter().map(|(_, plan)| plan).chain([&query.plan]).for_each(|plan| collect(plan, &mut found));
    found
}

fn collect(plan: &LogicalPlan, found: &mut HashSet<SubqueryId>) {
    for e in plan.expressions() {
        e.visit(&mut |e| {
            if let Expr::DynamicPruning { id, .. } = e {
                found.insert(*id);
            }
            true
        });
    }
    deep(|| plan.children().into_iter().for_each(|c| collect(c, found)));
}

/// Plans the subqueries that prune.
pub struct Planning<'q> {
    query: &'q BoundQuery,
    settings: &'q Settings,
    /// Those planned so far.
    pub planned: Vec<PhysicalSubquery>,
}

impl<'q> Planning<'q> {
    pub fn new(query: &'q BoundQuery, settings: &'q Settings) -> Self {
        Self { query, settings, planned: vec![] }
    }

    /// Decides for each dynamic pruning of a plan, and plans its subquery.
    ///
    /// # Errors
    /// Those of planning.
    pub fn apply(&mut self, plan: Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        let mut builds = None;
        let whole = plan.clone();
        plan.transform_up(&mut |node| {
            let is_wanted = |e: &Expr| e.any(&mut |e| matches!(e, Expr::DynamicPruning { state: Pruning::Wanted { .. }, .. }));
            if !node.expressions().into_iter().any(is_wanted) {
                return Ok(node);
            }
            let builds = builds.get_or_insert_with(|| broadcast_sides(&whole, self.settings));
            let operator = node.operator.clone().map_expressions(&mut |e| {
                e.transform_up(&mut |e| match e {
                    Expr::DynamicPruning { value, id, state: Pruning::Wanted { key, broadcast_only } } => {
                        let planned = self.planned.iter().any(|s| s.id == id) || self.plan(id, &key, broadcast_only, builds)?;
                        let state = if planned { Pruning::Planned } else { Pruning::Dropped };
                        Ok(Expr::DynamicPruning { value, id, state })
                    }
                    other => Ok(other),
                })
            })?;
            Ok(SparkPlan::new(operator, node.children.clone()))
        })
    }

    /// Plans the subquery `id`; whether it is worth it.
    fn plan(&mut self, id: SubqueryId, key: &Expr, broadcast_only: bool, builds: &[Build]) -> Result<bool> {
        let found = self.query.subqueries.iter().find(|(known, _)| *known == id);
        let (_, logical) = found.ok_or_else(|| Error::internal(format!("subquery {} is not part of the query", id.0)))?;
        let spark_plan = Planner::new(self.settings).plan(logical)?;
        if self.settings.bool(&EXCHANGE_REUSE)
            && let Some(keys) = broadcast_keys(&spark_plan, builds)
            && let Some(index) = keys.iter().position(|k| k == key)
        {
            let child = preparations::prepare(self.apply(spark_plan)?, self.settings)?;
            let mode = BroadcastMode::Hashed { keys: keys.clone(), null_aware: false };
            let exchange = SparkPlan::new(Operator::BroadcastExchange(BroadcastExchange { mode }), vec![child]);
            self.add(id, SubqueryAnswer::BroadcastKey { index, keys }, exchange.clone(), exchange);
            return Ok(true);
        }
        if broadcast_only {
            return Ok(false);
        }
        let column = Expr::Alias { expr: Box::new(key.clone()), name: key.to_string().into(), id: ExprId::next() };
        let distinct = LogicalPlan::Aggregate { grouping: vec![column.clone()], list: vec![column], input: Box::new(logical.clone()) };
        let spark_plan = Planner::new(self.settings).plan(&distinct)?;
        let executed_plan = preparations::prepare(self.apply(spark_plan.clone())?, self.settings)?;
        self.add(id, SubqueryAnswer::Values, spark_plan, executed_plan);
        Ok(true)
    }

    fn add(&mut self, id: SubqueryId, answer: SubqueryAnswer, spark_plan: Arc<SparkPlan>, executed_plan: Arc<SparkPlan>) {
        self.planned.push(PhysicalSubquery { id, answer, spark_plan, executed_plan });
    }
}

/// A build side of a broadcast join, and the keys that it is looked up by.
struct Build {
    form: Canonical,
    plan: Arc<SparkPlan>,
    keys: Vec<Expr>,
}

fn broadcast_sides(plan: &Arc<SparkPlan>, settings: &Settings) -> Vec<Build> {
    let mut found = vec![];
    if !settings.bool(&EXCHANGE_REUSE) {
        return found;
    }
    plan.visit(&mut |node| {
        if let Operator::BroadcastHashJoin(join) = &node.operator {
            let side = &node.children[join.build.index()];
            found.push(Build { form: Canonical::of(side), plan: side.clone(), keys: join.keys(join.build).to_vec() });
        }
    });
    found
}

/// The keys of the join that broadcasts the rows of `plan`, over its columns.
fn broadcast_keys(plan: &Arc<SparkPlan>, builds: &[Build]) -> Option<Vec<Expr>> {
    let form = Canonical::of(plan);
    let Build { plan: same, keys, .. } = builds.iter().find(|b| b.form == form)?;
    let (theirs, ours) = (same.output(), plan.output());
    let renamed = |e: &Expr| {
        e.clone().replace(&mut |e| match e {
            Expr::Attribute(a) => match theirs.iter().position(|t| t.id == a.id) {
                Some(i) => Ok(Expr::Attribute(ours[i].clone())),
                None => Err(Expr::Attribute(a)),
            },
            other => Err(other),
        })
    };
    Some(keys.iter().map(renamed).collect())
}
