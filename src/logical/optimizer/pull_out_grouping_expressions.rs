//! PullOutGroupingExpressions: aggregates group by columns; expressions to group by are computed in a Project below. Also
//! InsertMapSortInGroupingExpressions: so are maps with their entries in order.

use std::collections::HashMap;

use super::support::{alias, attributes, project};
use crate::base::{Result, Settings};
use crate::expr::{Expr, ScalarFunction};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Aggregate { grouping, list, input } if grouping.iter().any(is_computed) => pull_out(grouping, list, *input),
            other => other,
        })
    })
}

fn is_computed(key: &Expr) -> bool {
    !matches!(key, Expr::Attribute(_)) || !key.data_type().is_orderable()
}

fn pull_out(grouping: Vec<Expr>, list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    let mut below = attributes(&input);
    let mut columns: HashMap<Expr, Expr> = HashMap::new();
    for e in grouping.iter().filter(|e| is_computed(e)) {
        columns.entry(e.clone()).or_insert_with(|| {
            let key = e.unaliased().clone();
            let named = match key.data_type().is_orderable() {
                true => alias(key, "_groupingexpression"),
                false => alias(Expr::Function { function: ScalarFunction::MapSort, args: vec![key] }, "_groupingmapsort"),
            };
            let column = Expr::Attribute(named.to_attribute());
            below.push(named);
            column
        });
    }
    let replace = |e: Expr| e.replace(&mut |e| columns.get(&e).cloned().ok_or(e));
    // A column of the result stays the one that it was.
    let item = |e: Expr| match e {
        Expr::Attribute(a) if columns.contains_key(&Expr::Attribute(a.clone())) => {
            let (name, id) = (a.name.clone(), a.id);
            Expr::Alias { expr: Box::new(replace(Expr::Attribute(a))), name, id }
        }
        other => replace(other),
    };
    LogicalPlan::Aggregate {
        grouping: grouping.into_iter().map(replace).collect(),
        list: list.into_iter().map(item).collect(),
        input: Box::new(project(below, input)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let key = plus(column(&t, "a"), int(1));
        let list = vec![named(plus(key.clone(), int(2)), "x"), named(sum(column(&t, "b")), "s")];
        let after = applied(apply, grouped(vec![key.clone()], list, t));
        let LogicalPlan::Aggregate { grouping, list, input } = after else { panic!() };
        let LogicalPlan::Project { list: below, .. } = *input else { panic!() };
        assert_eq!(below.last().unwrap().unaliased(), &key);
        assert_eq!(grouping, [Expr::Attribute(below.last().unwrap().to_attribute())]);
        assert_eq!(list[0].unaliased(), &plus(grouping[0].clone(), int(2)));
    }

    #[test]
    fn leaves_columns() {
        let t = table("t", 10);
        let by = vec![column(&t, "a")];
        assert_unchanged(apply, &grouped(by.clone(), by, t));
    }
}
