//! PartitionPruning: a join on the partition columns of a table reads only the partitions that have a partner, once the other side's
//! keys are known.
//!
//! Where the other side has a selective filter, `dynamicpruning [key]` becomes a condition on the table; the other side, as it stands,
//! becomes a subquery beside the plan. Whether it is computed for this, comes with the join's broadcast or is not worth it is for
//! physical planning to say.

use super::column_pruning;
use super::inject_bloom_filter::is_selective;
use super::push_down_predicates;
use super::support::{conjuncts, filter};
use crate::base::settings::{
    CBO_ENABLED, DYNAMIC_PARTITION_PRUNING_ENABLED, DYNAMIC_PARTITION_PRUNING_FALLBACK_FILTER_RATIO,
    DYNAMIC_PARTITION_PRUNING_REUSE_BROADCAST_ONLY, DYNAMIC_PARTITION_PRUNING_USE_STATS, EXCHANGE_REUSE,
};
use crate::base::{Result, Settings};
use crate::datasource::TableSource;
use crate::expr::{ComparisonOp, Expr, Pruning, SubqueryId};
use crate::logical::statistics::estimate;
use crate::logical::{BoundQuery, Join, JoinType, LogicalPlan};

pub fn apply(query: BoundQuery, settings: &Settings) -> Result<BoundQuery> {
    if !settings.bool(&DYNAMIC_PARTITION_PRUNING_ENABLED) {
        return Ok(query);
    }
    let BoundQuery { plan, subqueries } = query;
    let mut made = vec![];
    let mut of_plan = |plan| prune(plan, settings, &mut made);
    let plan = of_plan(plan)?;
    let mut subqueries: Vec<_> = subqueries.into_iter().map(|(id, plan)| Ok((id, of_plan(plan)?))).collect::<Result<_>>()?;
    subqueries.extend(made);
    Ok(BoundQuery { plan, subqueries })
}

type Made = Vec<(SubqueryId, LogicalPlan)>;

fn prune(plan: LogicalPlan, settings: &Settings, made: &mut Made) -> Result<LogicalPlan> {
    let before = made.len();
    let plan = plan.transform_up(&mut |node| match node {
        LogicalPlan::Join(j) => Ok(LogicalPlan::Join(inject(j, settings, made))),
        other => Ok(other),
    })?;
    if made.len() == before {
        return Ok(plan);
    }
    // The other sides may hold joins of their own: they stay as they are in the plan.
    for (_, other) in &mut made[before..] {
        *other = settled(std::mem::replace(other, LogicalPlan::OneRowRelation), settings)?;
    }
    settled(plan, settings)
}

/// The plan with new conditions at their tables.
fn settled(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    let plan = column_pruning::apply(push_down_predicates::apply(plan, settings)?, settings)?;
    plan.transform_up(&mut |node| Ok(without_strays(node)))
}

fn inject(mut j: Join, settings: &Settings, made: &mut Made) -> Join {
    let is_pruned = |side: &LogicalPlan| matches!(side, LogicalPlan::Filter { condition: Expr::DynamicPruning { .. }, .. });
    if is_pruned(&j.left) || is_pruned(&j.right) {
        return j;
    }
    let left_may = matches!(j.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightOuter);
    let right_may = matches!(j.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::LeftOuter);
    let (of_left, of_right) = (j.left.output_set(), j.right.output_set());
    let (mut on_left, mut on_right) = (vec![], vec![]);
    for conjunct in conjuncts(j.condition.clone()) {
        let Expr::Comparison { op: ComparisonOp::Equal, left: a, right: b } = conjunct else { continue };
        let (in_a, in_b) = (a.references(), b.references());
        let (l, r) = if in_a.is_empty() || in_b.is_empty() {
            continue;
        } else if in_a.is_subset(&of_left) && in_b.is_subset(&of_right) {
            (*a, *b)
        } else if in_a.is_subset(&of_right) && in_b.is_subset(&of_left) {
            (*b, *a)
        } else {
            continue;
        };
        if left_may && let Some(condition) = pruning(&l, &j.left, &r, &j.right, settings, made) {
            on_left.push(condition);
        } else if right_may && let Some(condition) = pruning(&r, &j.right, &l, &j.left, settings, made) {
            on_right.push(condition);
        }
    }
    j.left = Box::new(filter(on_left, *j.left));
    j.right = Box::new(filter(on_right, *j.right));
    j
}

/// The condition on `value` of `pruned`, if it is of partition columns and the other side is likely to have few keys.
fn pruning(value: &Expr, pruned: &LogicalPlan, key: &Expr, other: &LogicalPlan, settings: &Settings, made: &mut Made) -> Option<Expr> {
    let (of_table, table) = partition_expression(value, pruned)?;
    if !is_filtered(other) || !is_repeatable(other, true) {
        return None;
    }
    let pays = is_repeatable(other, false) && pays(&of_table, table, key, other, settings);
    if !pays && !settings.bool(&EXCHANGE_REUSE) {
        return None;
    }
    let id = SubqueryId::next();
    made.push((id, other.clone()));
    let broadcast_only = !pays || settings.bool(&DYNAMIC_PARTITION_PRUNING_REUSE_BROADCAST_ONLY);
    let state = Pruning::Wanted { key: Box::new(key.clone()), broadcast_only };
    Some(Expr::DynamicPruning { value: Box::new(value.clone()), id, state })
}

/// What an expression is over the columns of the table that they come from, if these are partition columns.
fn partition_expression<'p>(value: &Expr, plan: &'p LogicalPlan) -> Option<(Expr, &'p LogicalPlan)> {
    match plan {
        LogicalPlan::Relation { source, output, .. } => {
            let columns = partition_names(source.as_ref());
            let is_partition_column = |id| output.iter().any(|a| a.id == id && columns.iter().any(|c| *c == a.name.as_ref()));
            value.references().into_iter().all(is_partition_column).then(|| (value.clone(), plan))
        }
        LogicalPlan::Project { list, input } | LogicalPlan::Aggregate { list, input, .. } => {
            let below = value.clone().replace(&mut |e| match e {
                Expr::Attribute(a) => match list.iter().find(|item| item.to_attribute().id == a.id) {
                    Some(item) => Ok(item.unaliased().clone()),
                    None => Err(Expr::Attribute(a)),
                },
                other => Err(other),
            });
            let is_plain = !below.any(&mut |e| matches!(e, Expr::Aggregate(_) | Expr::Window(_)));
            if is_plain { partition_expression(&below, input) } else { None }
        }
        _ => {
            let used = value.references();
            let from = plan.children().into_iter().find(|c| used.is_subset(&c.output_set()))?;
            partition_expression(value, from)
        }
    }
}

fn partition_names(source: &dyn TableSource) -> Vec<&str> {
    let fields = &source.schema().fields;
    let first = fields.len() - source.partition_columns().min(fields.len());
    fields[first..].iter().map(|f| f.name.as_ref()).collect()
}

/// Whether a filter somewhere keeps few rows.
fn is_filtered(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Filter { condition, .. } if is_selective(condition)) || plan.children().into_iter().any(is_filtered)
}

/// Whether computing the plan once more gives the same rows; `limits`: those of any rows count as such.
fn is_repeatable(plan: &LogicalPlan, limits: bool) -> bool {
    let chooses = match plan {
        LogicalPlan::Sample { .. } => true,
        LogicalPlan::Limit { .. } => !limits,
        _ => false,
    };
    !chooses && plan.expressions().into_iter().all(Expr::is_deterministic) && plan.children().into_iter().all(|c| is_repeatable(c, limits))
}

/// Whether computing the other side once more costs less than the partitions passed over.
fn pays(value: &Expr, table: &LogicalPlan, key: &Expr, other: &LogicalPlan, settings: &Settings) -> bool {
    let fallback = settings.float(&DYNAMIC_PARTITION_PRUNING_FALLBACK_FILTER_RATIO);
    let distinct = |e: &Expr, plan: &LogicalPlan| match e {
        Expr::Attribute(a) => estimate(plan).columns.get(&a.id).and_then(|c| c.distinct_count).filter(|n| *n > 0.0),
        _ => None,
    };
    let known = settings.bool(&DYNAMIC_PARTITION_PRUNING_USE_STATS) && settings.bool(&CBO_ENABLED);
    let ratio = match (distinct(value, table), distinct(key, other)) {
        (Some(partitions), Some(keys)) if known && partitions > keys => 1.0 - keys / partitions,
        _ => fallback,
    };
    ratio * estimate(table).size_bytes as f64 > bytes_read(other)
}

fn bytes_read(plan: &LogicalPlan) -> f64 {
    let children = plan.children();
    if children.is_empty() { estimate(plan).size_bytes as f64 } else { children.into_iter().map(bytes_read).sum() }
}

/// Drops what could not be brought to its table.
fn without_strays(node: LogicalPlan) -> LogicalPlan {
    let LogicalPlan::Filter { condition, input } = node else { return node };
    let stray = |e: &Expr| matches!(e, Expr::DynamicPruning { .. });
    if !condition.any(&mut |e| stray(e)) || is_over_table(&input) {
        return LogicalPlan::Filter { condition, input };
    }
    filter(condition.split_conjunction().into_iter().filter(|c| !stray(c)).collect(), *input)
}

fn is_over_table(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Relation { .. } => true,
        LogicalPlan::Filter { input, .. } | LogicalPlan::Project { input, .. } => is_over_table(input),
        _ => false,
    }
}
