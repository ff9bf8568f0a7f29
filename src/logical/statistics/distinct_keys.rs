//! In which columns no two rows of a plan agree.

use std::collections::BTreeSet;

use crate::base::ExprId;
use crate::expr::{ComparisonOp, Expr};
use crate::logical::{Join, JoinType, LogicalPlan};

/// Whether no two rows agree in all columns of `ids`.
pub fn is_unique(plan: &LogicalPlan, ids: &BTreeSet<ExprId>) -> bool {
    distinct_keys(plan).iter().any(|key| key.is_subset(ids))
}

/// Whether a row of the left side meets at most one of the right, and a row of the right at most one of the left, by columns that
/// must be equal.
pub fn meets_once(j: &Join) -> (bool, bool) {
    let (left, right) = (j.left.output_set(), j.right.output_set());
    let mut used: BTreeSet<ExprId> = BTreeSet::new();
    for conjunct in j.condition.clone().map(Expr::split_conjunction).unwrap_or_default() {
        let Expr::Comparison { op: ComparisonOp::Equal, left: l, right: r } = conjunct else { continue };
        let over = |e: &Expr, side: &BTreeSet<ExprId>| {
            let ids = e.references();
            !ids.is_empty() && ids.is_subset(side)
        };
        if over(&l, &left) && over(&r, &right) || over(&l, &right) && over(&r, &left) {
            used.extend([*l, *r].iter().filter_map(|e| if let Expr::Attribute(a) = e { Some(a.id) } else { None }));
        }
    }
    (is_unique(&j.right, &used), is_unique(&j.left, &used))
}

/// Sets of columns in which no two rows agree.
fn distinct_keys(plan: &LogicalPlan) -> Vec<BTreeSet<ExprId>> {
    match plan {
        LogicalPlan::Aggregate { grouping, list, .. } => {
            let column = |g: &Expr| list.iter().find(|e| e.unaliased() == g).map(|e| e.to_attribute().id);
            grouping.iter().map(column).collect::<Option<BTreeSet<_>>>().into_iter().collect()
        }
        LogicalPlan::Distinct { input } => [vec![input.output_set()], distinct_keys(input)].concat(),
        LogicalPlan::Limit { limit: Some(1), .. } | LogicalPlan::OneRowRelation => vec![BTreeSet::new()],
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Window { input, .. }
        | LogicalPlan::WindowGroupLimit { input, .. } => distinct_keys(input),
        LogicalPlan::Project { list, input } => {
            let renamed = |id: &ExprId| {
                let passes = |e: &&Expr| matches!(e.unaliased(), Expr::Attribute(a) if a.id == *id);
                list.iter().find(passes).map(|e| e.to_attribute().id)
            };
            distinct_keys(input).iter().filter_map(|key| key.iter().map(renamed).collect()).collect()
        }
        // A side that meets at most one row of the other keeps its keys.
        LogicalPlan::Join(j) => match (&j.join_type, meets_once(j)) {
            (JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti | JoinType::Existence(_), _) => distinct_keys(&j.left),
            (JoinType::Inner, (true, true)) => [distinct_keys(&j.left), distinct_keys(&j.right)].concat(),
            (JoinType::Inner | JoinType::LeftOuter, (true, _)) => distinct_keys(&j.left),
            (JoinType::Inner | JoinType::RightOuter, (_, true)) => distinct_keys(&j.right),
            _ => vec![],
        },
        _ => vec![],
    }
}
