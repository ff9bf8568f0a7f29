//! Part of EnsureRequirements: the key pairs of a shuffled join, in the order in which a side is partitioned already.

use std::sync::Arc;

use crate::expr::Expr;
use crate::operators::{Operator, Partitioning, SparkPlan};

/// The join with its key pairs permuted where a child's hash partitioning is a permutation of that side's keys (left first).
pub fn reorder(plan: Arc<SparkPlan>) -> Arc<SparkPlan> {
    let (left, right) = match &plan.operator {
        Operator::SortMergeJoin(j) => (&j.left_keys, &j.right_keys),
        Operator::ShuffledHashJoin(j) => (&j.left_keys, &j.right_keys),
        _ => return plan,
    };
    if !left.iter().chain(right).all(Expr::is_deterministic) {
        return plan;
    }
    let wanted = [(0, left), (1, right)].into_iter().find_map(|(i, keys)| {
        let partitionings = plan.children[i].output_partitioning().flatten();
        partitionings.iter().find_map(|p| match p {
            Partitioning::Hash { exprs, .. } => permutation(keys, exprs),
            _ => None,
        })
    });
    let Some(positions) = wanted.filter(|p| !p.is_sorted()) else { return plan };
    let permuted = |keys: &[Expr]| positions.iter().map(|i| keys[*i].clone()).collect::<Vec<_>>();
    let (left_keys, right_keys) = (permuted(left), permuted(right));
    let operator = match plan.operator.clone() {
        Operator::SortMergeJoin(j) => Operator::SortMergeJoin(crate::operators::SortMergeJoin { left_keys, right_keys, ..j }),
        Operator::ShuffledHashJoin(j) => Operator::ShuffledHashJoin(crate::operators::HashJoin { left_keys, right_keys, ..j }),
        other => other,
    };
    SparkPlan::new(operator, plan.children.clone())
}

/// For each wanted expression the position of its key, every key used once.
fn permutation(keys: &[Expr], wanted: &[Expr]) -> Option<Vec<usize>> {
    if keys.len() != wanted.len() {
        return None;
    }
    let mut free = vec![true; keys.len()];
    wanted
        .iter()
        .map(|w| {
            let i = (0..keys.len()).find(|i| free[*i] && keys[*i] == *w)?;
            free[i] = false;
            Some(i)
        })
        .collect()
}
