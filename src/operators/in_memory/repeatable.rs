//! Whether a partition that is computed again, when others are not, fits them.

use std::sync::Arc;

use crate::base::DataType;
use crate::expr::Expr;
use crate::expr::aggregate::{AggregateExpr, AggregateFunction};
use crate::operators::{Operator, Partitioning, SparkPlan};

/// Whether each partition of the plans, those of a query and its subqueries, has the same rows each time. Without a shuffle each is
/// computed from input of its own. Else the order in which rows come to it depends on what was spilled, so nothing may depend on that:
/// neither which rows there are nor where they go.
pub fn is_repeatable(plans: &[Arc<SparkPlan>]) -> bool {
    let any = |test: fn(&SparkPlan) -> bool| {
        let mut found = false;
        plans.iter().for_each(|plan| plan.visit(&mut |node| found |= test(node)));
        found
    };
    !any(shuffles) || !any(heeds_order)
}

fn shuffles(plan: &SparkPlan) -> bool {
    use Operator::*;
    matches!(plan.operator, Exchange(_) | GlobalLimit(_) | CollectLimit(_) | TakeOrderedAndProject(_))
}

fn heeds_order(plan: &SparkPlan) -> bool {
    let here = match &plan.operator {
        Operator::Exchange(e) => !matches!(e.partitioning, Partitioning::Hash { .. } | Partitioning::Single),
        Operator::Aggregate(a) => a.calls.iter().any(|call| !any_order(&call.expr)),
        Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::CollectLimit(_)
        | Operator::TakeOrderedAndProject(_)
        | Operator::Window(_)
        | Operator::WindowGroupLimit(_)
        | Operator::Sample(_) => true,
        _ => false,
    };
    here || !plan.expressions().into_iter().all(Expr::is_deterministic)
}

/// Whether the aggregate of the same rows in another order is the same to the last bit.
fn any_order(call: &AggregateExpr) -> bool {
    use AggregateFunction::*;
    match call.function {
        Sum | Avg | TrySum => call.args.iter().all(|a| !matches!(a.data_type(), DataType::Float | DataType::Double)),
        Count | Min | Max | BoolAnd | BoolOr | BitAnd | BitOr | BitXor => true,
        _ => false,
    }
}
