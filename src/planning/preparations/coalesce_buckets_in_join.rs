//! CoalesceBucketsInJoin: where both sides of a shuffled join are tables bucketed by the join keys and one number of buckets divides
//! the other, the larger is read as the smaller, so that neither side is shuffled.
//!
//! Of a shuffled hash join only the streamed side is read so: its table of build rows per partition would grow.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::expr::Expr;
use crate::operators::{BucketUse, FileScan, Operator, Partitioning, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if !settings.bool(&settings::COALESCE_BUCKETS_IN_JOIN) {
        return Ok(plan);
    }
    let most = settings.int(&settings::COALESCE_BUCKETS_MAX_RATIO).max(1) as usize;
    plan.transform_up(&mut |node| {
        let (left_keys, right_keys, streamed) = match &node.operator {
            Operator::SortMergeJoin(j) => (&j.left_keys, &j.right_keys, None),
            Operator::ShuffledHashJoin(j) => (&j.left_keys, &j.right_keys, Some(j.build.stream().index())),
            _ => return Ok(node),
        };
        let (Some(left), Some(right)) = (buckets(&node.children[0], left_keys), buckets(&node.children[1], right_keys)) else {
            return Ok(node);
        };
        let (fewer, more, larger) = if left < right { (left, right, 1) } else { (right, left, 0) };
        if fewer == more || more % fewer != 0 || more / fewer > most || streamed.is_some_and(|s| s != larger) {
            return Ok(node);
        }
        let mut children = node.children.clone();
        children[larger] = children[larger].transform_up(&mut |scan| Ok(coalesced(scan, fewer)))?;
        Ok(node.with_children(children))
    })
}

/// The number of buckets of a scan, with filters and projections above it, that is bucketed by just these keys.
fn buckets(plan: &Arc<SparkPlan>, keys: &[Expr]) -> Option<usize> {
    let mut scan = plan;
    while matches!(scan.operator, Operator::Filter(_) | Operator::Project(_)) {
        scan = scan.child();
    }
    let Operator::FileScan(scan) = &scan.operator else { return None };
    let (uses, spec) = scan.bucketed()?;
    let by_keys = plan.output_partitioning().flatten().iter().any(|p| match p {
        Partitioning::Hash { exprs, .. } => exprs.len() == keys.len() && exprs.iter().all(|e| keys.contains(e)),
        _ => false,
    });
    (by_keys && uses.coalesced.is_none()).then_some(spec.buckets)
}

fn coalesced(node: Arc<SparkPlan>, buckets: usize) -> Arc<SparkPlan> {
    with_buckets(node, |scan| scan.coalesced = Some(buckets))
}

/// A bucketed scan that goes about its buckets in another way.
pub(super) fn with_buckets(node: Arc<SparkPlan>, change: impl FnOnce(&mut crate::operators::BucketScan)) -> Arc<SparkPlan> {
    let Operator::FileScan(scan @ FileScan { buckets: Some(buckets), .. }) = &node.operator else { return node };
    if buckets.usage != BucketUse::Bucketed {
        return node;
    }
    let mut buckets = buckets.clone();
    change(&mut buckets);
    SparkPlan::new(Operator::FileScan(FileScan { buckets: Some(buckets), ..scan.clone() }), vec![])
}
