//! InjectRuntimeFilter, as Spark has it: a shuffled join reads less of a large table when the keys of a small, filtered one are known
//! before, as a Bloom filter.
//!
//! `might_contain(Subquery bloom_filter_agg(xxhash64(key)), xxhash64(key))` becomes a condition on the large table. The filter is an
//! uncorrelated scalar subquery of its own beside the plan, so this is a step over the query and no rule over one plan.

use std::collections::{HashMap, HashSet};

use super::support::{alias, attribute, filter, project};
use super::{column_pruning, push_down_predicates};
use crate::base::settings::{
    AUTO_BROADCAST_JOIN_THRESHOLD, BLOOM_FILTER_APPLICATION_SIDE_SCAN_SIZE_THRESHOLD, BLOOM_FILTER_CREATION_SIDE_THRESHOLD,
    BLOOM_FILTER_ENABLED, BLOOM_FILTER_EXPECTED_NUM_ITEMS, BLOOM_FILTER_MAX_NUM_BITS, BLOOM_FILTER_MAX_NUM_ITEMS, BLOOM_FILTER_NUM_BITS,
    RUNTIME_FILTER_NUMBER_THRESHOLD,
};
use crate::base::{Attribute, DataType, ExprId, Result, Scalar, Settings};
use crate::expr::{AggregateExpr, AggregateFunction, Expr, ScalarFunction, SubqueryId};
use crate::logical::statistics::{equi_keys, estimate};
use crate::logical::{BoundQuery, Join, JoinHintStrategy, JoinType, LogicalPlan};

pub fn apply(query: BoundQuery, settings: &Settings) -> Result<BoundQuery> {
    if !settings.bool(&BLOOM_FILTER_ENABLED) {
        return Ok(query);
    }
    let BoundQuery { plan, mut subqueries } = query;
    let mut made = vec![];
    let plan = plan.transform_up(&mut |node| match node {
        LogicalPlan::Join(j) => Ok(LogicalPlan::Join(inject(j, settings, &mut made)?)),
        other => Ok(other),
    })?;
    if made.is_empty() {
        return Ok(BoundQuery { plan, subqueries });
    }
    subqueries.extend(made);
    let plan = column_pruning::apply(push_down_predicates::apply(plan, settings)?, settings)?;
    Ok(BoundQuery { plan, subqueries })
}

fn inject(mut j: Join, settings: &Settings, made: &mut Vec<(SubqueryId, LogicalPlan)>) -> Result<Join> {
    let Some(condition) = j.condition.clone() else { return Ok(j) };
    let ids = |plan: &LogicalPlan| plan.output_set().into_iter().collect::<HashSet<ExprId>>();
    let (keys, _) = equi_keys(&condition, &ids(&j.left), &ids(&j.right));
    let shuffles = is_probably_shuffled(&j, settings);
    for (l, r) in keys {
        let (Expr::Attribute(l), Expr::Attribute(r)) = (l, r) else { continue };
        if made.len() as i64 >= settings.int(&RUNTIME_FILTER_NUMBER_THRESHOLD) {
            break;
        }
        let left = matches!(j.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightOuter);
        let right = matches!(j.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::LeftOuter);
        if left
            && (shuffles || has_shuffle(&j.left))
            && let Some(condition) = might_contain(l, &j.left, r, &j.right, settings, made)?
        {
            j.left = Box::new(filter(vec![condition], *j.left));
        } else if right
            && (shuffles || has_shuffle(&j.right))
            && let Some(condition) = might_contain(r, &j.right, l, &j.left, settings, made)?
        {
            j.right = Box::new(filter(vec![condition], *j.right));
        }
    }
    Ok(j)
}

/// Neither side will be broadcast.
fn is_probably_shuffled(j: &Join, settings: &Settings) -> bool {
    let threshold = settings.bytes(&AUTO_BROADCAST_JOIN_THRESHOLD);
    let small = |plan: &LogicalPlan| threshold >= 0 && estimate(plan).size_bytes <= threshold as u64;
    let hinted = [j.hint.left, j.hint.right].contains(&Some(JoinHintStrategy::Broadcast));
    !hinted && !small(&j.left) && !small(&j.right)
}

fn has_shuffle(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(_) | LogicalPlan::Aggregate { .. } | LogicalPlan::Window { .. })
        || plan.children().into_iter().any(has_shuffle)
}

/// The condition on `key` of the large side, if the small side's `other` is worth a filter.
fn might_contain(
    key: &Attribute,
    large: &LogicalPlan,
    other: &Attribute,
    small: &LogicalPlan,
    settings: &Settings,
    made: &mut Vec<(SubqueryId, LogicalPlan)>,
) -> Result<Option<Expr>> {
    let limit = |setting| settings.bytes(setting).max(0) as u64;
    let scan = origin(key.id, large).map(|path| path[path.len() - 1]);
    let Some(LogicalPlan::Relation { source, .. }) = scan else { return Ok(None) };
    if source.statistics().size_bytes < limit(&BLOOM_FILTER_APPLICATION_SIDE_SCAN_SIZE_THRESHOLD) || has_bloom_filter(large, key.id) {
        return Ok(None);
    }
    let Some(creation) = selective_scan(other.id, small) else { return Ok(None) };
    let expected = estimate(creation);
    if expected.size_bytes > limit(&BLOOM_FILTER_CREATION_SIDE_THRESHOLD) {
        return Ok(None);
    }
    let id = SubqueryId::next();
    let mut renamed = HashMap::new();
    let plan = project(vec![attribute(other)], creation.clone()).with_fresh_ids(&mut renamed)?;
    let item = Attribute { id: renamed.get(&other.id).copied().unwrap_or(other.id), ..other.clone() };
    let (items, bits) = dimensions(expected.row_count, settings);
    let long = |v: u64| Expr::Literal(Scalar::Long(v as i64));
    let call = AggregateExpr {
        function: AggregateFunction::BloomFilter,
        args: vec![hashed(&item), long(items), long(bits)],
        distinct: false,
        filter: None,
        id: ExprId::next(),
    };
    let list = vec![alias(Expr::Aggregate(Box::new(call)), "bloomFilter")];
    let plan = column_pruning::apply(LogicalPlan::Aggregate { grouping: vec![], list, input: Box::new(plan) }, settings)?;
    made.push((id, plan));
    let bloom = Expr::ScalarSubquery { id, data_type: DataType::Binary };
    Ok(Some(Expr::Function { function: ScalarFunction::MightContain, args: vec![bloom, hashed(key)] }))
}

fn hashed(key: &Attribute) -> Expr {
    Expr::Function { function: ScalarFunction::XxHash64, args: vec![attribute(key)] }
}

/// Items and bits of a filter: by the rows expected where they are known, for few errors.
fn dimensions(rows: Option<f64>, settings: &Settings) -> (u64, u64) {
    let number = |setting| settings.int(setting).max(1) as u64;
    let Some(rows) = rows else { return (number(&BLOOM_FILTER_EXPECTED_NUM_ITEMS), number(&BLOOM_FILTER_NUM_BITS)) };
    let items = (rows.max(1.0) as u64).min(number(&BLOOM_FILTER_MAX_NUM_ITEMS));
    const FALSE_POSITIVES: f64 = 0.03;
    let bits = -(items as f64) * FALSE_POSITIVES.ln() / std::f64::consts::LN_2.powi(2);
    (items, (bits.ceil() as u64).clamp(64, number(&BLOOM_FILTER_MAX_NUM_BITS)))
}

/// The nodes from a plan down to the leaf whose column it is, through operators that pass it on as it is.
fn origin(id: ExprId, plan: &LogicalPlan) -> Option<Vec<&LogicalPlan>> {
    let below = match plan {
        LogicalPlan::Relation { .. } if plan.output_set().contains(&id) => return Some(vec![plan]),
        LogicalPlan::Filter { input, .. } => origin(id, input),
        LogicalPlan::Project { list, input } if list.iter().any(|e| matches!(e, Expr::Attribute(a) if a.id == id)) => origin(id, input),
        LogicalPlan::Aggregate { grouping, input, .. } if grouping.iter().any(|e| matches!(e, Expr::Attribute(a) if a.id == id)) => {
            origin(id, input)
        }
        LogicalPlan::Join(j) if j.left.output_set().contains(&id) => origin(id, &j.left),
        LogicalPlan::Join(j) => origin(id, &j.right),
        _ => None,
    };
    below.map(|path| [vec![plan], path].concat())
}

/// The part of a plan that is the column's table under projections and filters, one of which keeps few rows.
fn selective_scan(id: ExprId, plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let path = origin(id, plan)?;
    let plain =
        |node: &&LogicalPlan| matches!(node, LogicalPlan::Relation { .. } | LogicalPlan::Filter { .. } | LogicalPlan::Project { .. });
    let start = path.iter().rposition(|node| !plain(node)).map_or(0, |at| at + 1);
    let selective = |node: &&LogicalPlan| matches!(node, LogicalPlan::Filter { condition, .. } if is_selective(condition));
    path[start..].iter().any(selective).then(|| path[start])
}

/// Whether a condition looks as if it keeps few rows.
pub(super) fn is_selective(condition: &Expr) -> bool {
    match condition {
        Expr::And(l, r) => is_selective(l) || is_selective(r),
        Expr::Or(l, r) => is_selective(l) && is_selective(r),
        Expr::Not(e) => is_selective(e),
        Expr::Comparison { .. } | Expr::In { .. } | Expr::Like { .. } => true,
        Expr::Function { function, .. } => {
            matches!(function, ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains | ScalarFunction::RLike)
        }
        _ => false,
    }
}

/// Whether the column is tested by a Bloom filter already.
fn has_bloom_filter(plan: &LogicalPlan, id: ExprId) -> bool {
    let tests = |e: &Expr| matches!(e, Expr::Function { function: ScalarFunction::MightContain, .. }) && e.references().contains(&id);
    plan.expressions().into_iter().any(|e| e.any(&mut |e| tests(e))) || plan.children().into_iter().any(|c| has_bloom_filter(c, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    const LARGE: u64 = 1 << 30;

    /// Filters made for `large JOIN small` on `a = a`, and whether the tree tests a side for membership.
    fn filters(large: &LogicalPlan, small: &LogicalPlan, join_type: JoinType, changes: &[(&str, &str)]) -> usize {
        let mut settings = Settings::new();
        settings.set("planner.profile", "cluster").unwrap();
        changes.iter().for_each(|(key, value)| settings.set(key, value).unwrap());
        let on = vec![equals(column(large, "a"), column(small, "a"))];
        let plan = support::join(large.clone(), small.clone(), join_type, on);
        let output = plan.output();
        let after = apply(BoundQuery { plan, subqueries: vec![] }, &settings).unwrap();
        assert_eq!(after.plan.output(), output);
        assert_eq!(after.plan.tree_string().matches("might_contain").count(), after.subqueries.len());
        assert!(after.subqueries.iter().all(|(_, plan)| plan.tree_string().starts_with("Aggregate [bloom_filter_agg(xxhash64(")));
        after.subqueries.len()
    }

    fn small(rows: u64, filtered_by_value: bool) -> LogicalPlan {
        let all = table("small", rows);
        let condition = if filtered_by_value { greater(column(&all, "b"), 1) } else { support::is_not_null(column(&all, "b")) };
        filtered(all, condition)
    }

    #[test]
    fn fires_for_a_large_table_and_a_small_filtered_one() {
        let (large, few) = (table("large", LARGE), small(100_000, true));
        let shuffled = ("sql.autoBroadcastJoinThreshold", "-1");
        for (join_type, expected) in [
            (JoinType::Inner, 1),
            (JoinType::LeftSemi, 1),
            (JoinType::RightOuter, 1),
            (JoinType::LeftOuter, 0),
            (JoinType::FullOuter, 0),
            (JoinType::LeftAnti, 0),
        ] {
            assert_eq!(filters(&large, &few, join_type.clone(), &[shuffled]), expected, "{join_type}");
        }
    }

    #[test]
    fn needs_sizes_a_shuffle_and_a_selective_condition() {
        let (large, few) = (table("large", LARGE), small(100_000, true));
        let shuffled = ("sql.autoBroadcastJoinThreshold", "-1");
        let inner = |large: &LogicalPlan, small: &LogicalPlan, changes: &[(&str, &str)]| filters(large, small, JoinType::Inner, changes);
        assert_eq!(inner(&large, &few, &[]), 0, "the small side is broadcast");
        assert_eq!(inner(&table("large", 1000), &few, &[shuffled]), 0);
        assert_eq!(inner(&large, &small(100_000_000, true), &[shuffled]), 0);
        assert_eq!(inner(&large, &small(100_000, false), &[shuffled]), 0);
        assert_eq!(inner(&large, &few, &[shuffled, ("sql.optimizer.runtime.bloomFilter.enabled", "false")]), 0);
        assert_eq!(inner(&large, &few, &[shuffled, ("planner.profile", "local")]), 0);
        assert_eq!(inner(&large, &few, &[shuffled, ("sql.optimizer.runtimeFilter.number.threshold", "0")]), 0);
    }
}
