//! RemoveRedundantAggregates: an aggregate that only removes duplicates does nothing to rows of which no two are equal.

use std::collections::BTreeSet;

use super::support::project;
use crate::base::{ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;
use crate::logical::statistics::is_unique;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Aggregate { grouping, list, input } if only_groups(&grouping, &list) && is_unique(&input, &ids(&grouping)) => {
                project(list, *input)
            }
            other => other,
        })
    })
}

fn only_groups(grouping: &[Expr], list: &[Expr]) -> bool {
    !grouping.is_empty() && list.iter().all(|e| grouping.contains(e.unaliased()))
}

/// Those of the expressions that are columns.
fn ids(exprs: &[Expr]) -> BTreeSet<ExprId> {
    exprs.iter().filter_map(|e| if let Expr::Attribute(a) = e { Some(a.id) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::JoinType;
    use crate::logical::optimizer::support::{attributes, join};
    use crate::logical::optimizer::testing::*;

    fn by(keys: &[&str], input: LogicalPlan) -> LogicalPlan {
        let keys: Vec<Expr> = keys.iter().map(|k| column(&input, k)).collect();
        grouped(keys.clone(), keys, input)
    }

    #[test]
    fn distinct_rows_stay_as_they_are() {
        let t = table("t", 10);
        let once = by(&["a"], t.clone());
        assert_rewrites(apply, by(&["a"], once.clone()), &project(attributes(&once), once.clone()));
        let u = table("u", 10);
        let matched = join(once.clone(), u.clone(), JoinType::LeftSemi, vec![equals(column(&once, "a"), column(&u, "a"))]);
        let plan = by(&["a"], filtered(matched.clone(), greater(column(&matched, "a"), 1)));
        assert!(matches!(applied(apply, plan), LogicalPlan::Project { .. }));
        // One row of each group meets at most one of the others.
        let other = by(&["a"], u.clone());
        let pairs = inner_join(once.clone(), other.clone(), equals(column(&once, "a"), column(&other, "a")));
        let list = column(&once, "a");
        assert!(matches!(applied(apply, grouped(vec![list.clone()], vec![list], pairs)), LogicalPlan::Project { .. }));
    }

    #[test]
    fn others_keep_their_aggregate() {
        let t = table("t", 10);
        let two = by(&["a", "b"], t.clone());
        assert_unchanged(apply, &by(&["a"], two.clone()));
        let a = column(&two, "a");
        assert_unchanged(apply, &grouped(vec![a.clone(), column(&two, "b")], vec![a, named(count_star(), "n")], two.clone()));
        let pairs = inner_join(two.clone(), t.clone(), equals(column(&two, "a"), column(&t, "b")));
        let keys: Vec<Expr> = ["a", "b"].map(|k| column(&two, k)).to_vec();
        assert_unchanged(apply, &grouped(keys.clone(), keys, pairs));
    }
}
