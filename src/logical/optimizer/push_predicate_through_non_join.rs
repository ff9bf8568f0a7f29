//! PushPredicateThroughNonJoin: a filter moves below operators of one input and unions.
//!
//! Not below limits and samples, which it would let see other rows.

use std::collections::{BTreeSet, HashMap};

use super::support::{by_position, definitions, filter, refers_only_to, substitute};
use crate::base::ExprId;
use crate::expr::Expr;
use crate::logical::plan::{Apply as DependentJoin, LogicalPlan};

/// A filter with this condition over `input`, as far below it as one step allows.
pub fn push(condition: Expr, input: LogicalPlan) -> LogicalPlan {
    use LogicalPlan::*;
    match input {
        Project { list, input } if list.iter().all(Expr::is_deterministic) => {
            let condition = substitute(condition, &definitions(&list));
            Project { list, input: Box::new(Filter { condition, input }) }
        }
        Aggregate { grouping, list, input } if !grouping.is_empty() => {
            // Columns made of grouping keys alone have the same value in all rows of a group.
            let mut keys: HashMap<ExprId, Expr> = definitions(&list);
            keys.retain(|_, e| !e.has_aggregate() && e.is_deterministic());
            let ids = keys.keys().copied().collect();
            push_some(condition, &ids, &keys, input, |input| Aggregate { grouping, list, input })
        }
        Window { calls, partition_by, order_by, input } => {
            let ids = partition_by.iter().filter(|e| matches!(e, Expr::Attribute(_))).flat_map(Expr::references).collect();
            push_some(condition, &ids, &HashMap::new(), input, |input| Window { calls, partition_by, order_by, input })
        }
        Generate { generator, outer, dropped, output, input } if generator.is_deterministic() => {
            let ids = input.output_set();
            push_some(condition, &ids, &HashMap::new(), input, |input| Generate { generator, outer, dropped, output, input })
        }
        Apply(a) => {
            let ids = a.input.output_set();
            let DependentJoin { input, subquery, kind, outer } = a;
            push_some(condition, &ids, &HashMap::new(), input, |input| Apply(DependentJoin { input, subquery, kind, outer }))
        }
        Sort { order, global, input } if condition.is_deterministic() => {
            Sort { order, global, input: Box::new(Filter { condition, input }) }
        }
        Distinct { input } if condition.is_deterministic() => Distinct { input: Box::new(Filter { condition, input }) },
        Repartition { partitions, by, kind, input } if condition.is_deterministic() => {
            Repartition { partitions, by, kind, input: Box::new(Filter { condition, input }) }
        }
        Coalesce { partitions, input } if condition.is_deterministic() => {
            Coalesce { partitions, input: Box::new(Filter { condition, input }) }
        }
        Union { inputs, output } if condition.is_deterministic() => {
            let inputs = inputs
                .into_iter()
                .map(|input| {
                    let condition = substitute(condition.clone(), &by_position(&output, &input.output()));
                    Filter { condition, input: Box::new(input) }
                })
                .collect();
            Union { inputs, output }
        }
        other => Filter { condition, input: Box::new(other) },
    }
}

/// Moves the deterministic conjuncts over `ids` (as `map` says they are called below) under the operator that `rebuild` makes.
fn push_some(
    condition: Expr,
    ids: &BTreeSet<ExprId>,
    map: &HashMap<ExprId, Expr>,
    input: Box<LogicalPlan>,
    rebuild: impl FnOnce(Box<LogicalPlan>) -> LogicalPlan,
) -> LogicalPlan {
    let (down, stay): (Vec<_>, Vec<_>) =
        condition.split_conjunction().into_iter().partition(|c| c.is_deterministic() && refers_only_to(c, ids));
    let down = down.into_iter().map(|c| substitute(c, map)).collect();
    filter(stay, rebuild(Box::new(filter(down, *input))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::push_down_predicates::apply;
    use crate::logical::optimizer::support::project;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn below_a_project_by_definition() {
        let t = table("t", 10);
        let x = named(plus(column(&t, "a"), column(&t, "b")), "x");
        let plan = filtered(project(vec![x.clone()], t.clone()), greater(Expr::Attribute(x.to_attribute()), 3));
        let expected = project(vec![x], filtered(t.clone(), greater(plus(column(&t, "a"), column(&t, "b")), 3)));
        assert_rewrites(apply, plan, &expected);
    }

    #[test]
    fn below_an_aggregate_on_its_keys_only() {
        let t = table("t", 10);
        let a = column(&t, "a");
        let total = named(sum(column(&t, "b")), "total");
        let total_column = Expr::Attribute(total.to_attribute());
        let aggregate = |input| grouped(vec![a.clone()], vec![a.clone(), total.clone()], input);
        let plan = filtered(aggregate(t.clone()), and(greater(a.clone(), 3), greater(total_column.clone(), 5)));
        let expected = filtered(aggregate(filtered(t.clone(), greater(a.clone(), 3))), greater(total_column, 5));
        assert_rewrites(apply, plan, &expected);
    }

    #[test]
    fn into_every_branch_of_a_union() {
        let (t, u) = (table("t", 10), table("u", 10));
        let output: Vec<_> = t.output().iter().map(|a| a.fresh()).collect();
        let union = |inputs| LogicalPlan::Union { inputs, output: output.clone() };
        let plan = filtered(union(vec![t.clone(), u.clone()]), greater(Expr::Attribute(output[0].clone()), 3));
        let branches = [t, u].map(|p| filtered(p.clone(), greater(column(&p, "a"), 3)));
        assert_rewrites(apply, plan, &union(branches.to_vec()));
    }

    #[test]
    fn not_below_a_limit_or_a_global_aggregate() {
        let t = table("t", 10);
        let limit = LogicalPlan::Limit { limit: Some(3), offset: 0, input: Box::new(t.clone()) };
        assert_unchanged(apply, &filtered(limit, greater(column(&t, "a"), 3)));
        let total = named(sum(column(&t, "b")), "total");
        let global = grouped(vec![], vec![total.clone()], t);
        assert_unchanged(apply, &filtered(global, greater(Expr::Attribute(total.to_attribute()), 3)));
    }
}
