//! PropagateEmptyRelation: what operators make of inputs without rows.

use super::support::{alias_as, attribute, attributes, boolean, empty_relation, is_empty_relation, project, substitute};
use crate::base::{Attribute, Result, Scalar, Settings};
use crate::expr::Expr;
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Join(j) if is_empty_relation(&j.left) || is_empty_relation(&j.right) => join(j),
            LogicalPlan::Union { inputs, output } if inputs.iter().any(is_empty_relation) => union(inputs, output),
            // A global aggregate has a row of its own.
            LogicalPlan::Aggregate { ref grouping, ref input, .. } if !grouping.is_empty() && is_empty_relation(input) => {
                empty_relation(node.output())
            }
            LogicalPlan::Project { ref input, .. }
            | LogicalPlan::Filter { ref input, .. }
            | LogicalPlan::Window { ref input, .. }
            | LogicalPlan::WindowGroupLimit { ref input, .. }
            | LogicalPlan::Sort { ref input, .. }
            | LogicalPlan::Limit { ref input, .. }
            | LogicalPlan::Distinct { ref input }
            | LogicalPlan::Expand { ref input, .. }
            | LogicalPlan::Generate { ref input, .. }
            | LogicalPlan::Sample { ref input, .. }
                if is_empty_relation(input) =>
            {
                empty_relation(node.output())
            }
            other => other,
        })
    })
}

fn nulls(columns: &[Attribute]) -> impl Iterator<Item = Expr> {
    columns.iter().map(|a| alias_as(Expr::Literal(Scalar::Null(a.data_type.clone())), a))
}

fn join(j: Join) -> LogicalPlan {
    let (left_empty, right_empty) = (is_empty_relation(&j.left), is_empty_relation(&j.right));
    let plan = LogicalPlan::Join(j);
    let none = |plan: &LogicalPlan| empty_relation(plan.output());
    let LogicalPlan::Join(j) = &plan else { return plan };
    let left_with_nulls = || project(attributes(&j.left).into_iter().chain(nulls(&j.right.output())).collect(), (*j.left).clone());
    let right_with_nulls = || project(nulls(&j.left.output()).chain(attributes(&j.right)).collect(), (*j.right).clone());
    match &j.join_type {
        JoinType::Inner | JoinType::Cross | JoinType::LeftSemi => none(&plan),
        JoinType::LeftOuter | JoinType::LeftSingle if left_empty => none(&plan),
        JoinType::LeftOuter | JoinType::LeftSingle => left_with_nulls(),
        JoinType::RightOuter if right_empty => none(&plan),
        JoinType::RightOuter => right_with_nulls(),
        JoinType::FullOuter if left_empty && right_empty => none(&plan),
        JoinType::FullOuter if left_empty => right_with_nulls(),
        JoinType::FullOuter => left_with_nulls(),
        JoinType::LeftAnti | JoinType::NullAwareAnti if left_empty => none(&plan),
        JoinType::LeftAnti | JoinType::NullAwareAnti => (*j.left).clone(),
        JoinType::Existence(_) if left_empty => none(&plan),
        JoinType::Existence(a) => {
            project(attributes(&j.left).into_iter().chain([alias_as(boolean(false), a)]).collect(), (*j.left).clone())
        }
    }
}

fn union(inputs: Vec<LogicalPlan>, output: Vec<Attribute>) -> LogicalPlan {
    let mut inputs: Vec<LogicalPlan> = inputs.into_iter().filter(|p| !is_empty_relation(p)).collect();
    match inputs.len() {
        0 => empty_relation(output),
        1 => {
            let only = inputs.swap_remove(0);
            let names = only.output().into_iter().zip(output).collect::<Vec<_>>();
            renamed(only, &names)
        }
        _ => LogicalPlan::Union { inputs, output },
    }
}

/// A plan whose columns are called otherwise: where they are computed, if nothing but filters is above.
fn renamed(plan: LogicalPlan, names: &[(Attribute, Attribute)]) -> LogicalPlan {
    let list = |items: &[Expr]| items.iter().zip(names).map(|(e, (_, to))| alias_as(e.unaliased().clone(), to)).collect();
    match plan {
        LogicalPlan::Filter { condition, input } if renamable(&input) => {
            let map = names.iter().map(|(from, to)| (from.id, attribute(to))).collect();
            LogicalPlan::Filter { condition: substitute(condition, &map), input: Box::new(renamed(*input, names)) }
        }
        LogicalPlan::Project { list: items, input } => LogicalPlan::Project { list: list(&items), input },
        LogicalPlan::Aggregate { grouping, list: items, input } => LogicalPlan::Aggregate { grouping, list: list(&items), input },
        other => project(names.iter().map(|(from, to)| alias_as(attribute(from), to)).collect(), other),
    }
}

fn renamable(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter { input, .. } => renamable(input),
        other => matches!(other, LogicalPlan::Project { .. } | LogicalPlan::Aggregate { .. }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn joins_by_type() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = vec![equals(column(&t, "a"), column(&u, "a"))];
        let none = empty_relation(u.output());
        let join = |l: &LogicalPlan, j| support::join(l.clone(), none.clone(), j, on.clone());
        assert_rewrites(apply, join(&t, JoinType::Inner), &empty_relation([t.output(), u.output()].concat()));
        assert_rewrites(apply, join(&t, JoinType::LeftAnti), &t);
        assert_rewrites(apply, join(&t, JoinType::NullAwareAnti), &t);
        assert!(matches!(applied(apply, join(&t, JoinType::LeftOuter)), LogicalPlan::Project { list, .. } if list.len() == 8));
    }

    #[test]
    fn unions_lose_empty_branches() {
        let (t, u) = (table("t", 10), table("u", 10));
        let output: Vec<_> = t.output().iter().map(|a| a.fresh()).collect();
        let plan = LogicalPlan::Union { inputs: vec![t, empty_relation(u.output())], output: output.clone() };
        let after = applied(apply, plan);
        assert!(matches!(&after, LogicalPlan::Project { .. }));
        assert_eq!(after.output(), output);
    }

    #[test]
    fn what_is_left_of_a_union_is_renamed_where_it_is_computed() {
        let (t, u) = (table("t", 10), table("u", 10));
        let a = column(&t, "a");
        let total = named(sum(column(&t, "b")), "total");
        let groups = filtered(grouped(vec![a.clone()], vec![a.clone(), total.clone()], t.clone()), greater(a.clone(), 1));
        let output: Vec<_> = groups.output().iter().map(|a| a.fresh()).collect();
        let plan = LogicalPlan::Union { inputs: vec![groups, empty_relation(u.output()[..2].to_vec())], output: output.clone() };
        let list = vec![alias_as(a.clone(), &output[0]), alias_as(total.unaliased().clone(), &output[1])];
        assert_rewrites(apply, plan, &filtered(grouped(vec![a], list, t), greater(attribute(&output[0]), 1)));
    }

    #[test]
    fn a_global_aggregate_keeps_its_row() {
        let none = empty_relation(table("t", 10).output());
        assert_unchanged(apply, &grouped(vec![], vec![named(count_star(), "n")], none.clone()));
        let by = attributes(&none)[..1].to_vec();
        assert!(is_empty_relation(&applied(apply, grouped(by.clone(), by, none))));
    }
}
