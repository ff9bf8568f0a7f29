//! Which operators a stage can hold.

use crate::base::{DataType, Settings, settings};
use crate::expr::Expr;
use crate::logical::JoinType;
use crate::operators::{AggregateKind, BuildSide, NestedLoopJoin, Operator, SparkPlan};

/// Whether the node may be part of a stage, which is where Spark has it; asked by CollapseCodegenStages. What of a stage is compiled
/// is another question, asked when it executes (`region::lowerable`).
pub fn supports_codegen(plan: &SparkPlan, settings: &Settings) -> bool {
    let most = settings.int(&settings::CODEGEN_MAX_FIELDS).max(0) as usize;
    let few_fields = |node: &SparkPlan| node.output().iter().map(|a| fields(&a.data_type)).sum::<usize>() <= most;
    // Spark has no code for functions that take functions.
    let lambdas = plan.expressions().into_iter().any(|e| e.any(&mut |e| matches!(e, Expr::Lambda { .. })));
    operator(plan) && !lambdas && few_fields(plan) && plan.children.iter().all(|c| few_fields(c))
}

fn operator(plan: &SparkPlan) -> bool {
    match &plan.operator {
        // Rows come in Arrow batches, which compiled loops read as they are.
        Operator::FileScan(_)
        | Operator::LocalTableScan(_)
        | Operator::OneRowScan
        | Operator::Range(_)
        | Operator::Filter(_)
        | Operator::Project(_)
        | Operator::Expand(_)
        | Operator::Generate(_)
        | Operator::Sample(_)
        | Operator::Sort(_)
        | Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::BroadcastHashJoin(_)
        | Operator::ShuffledHashJoin(_)
        | Operator::SortMergeJoin(_) => true,
        Operator::Aggregate(a) => match a.kind {
            AggregateKind::Hash => true,
            AggregateKind::ObjectHash => false,
            AggregateKind::Sort => a.grouping.is_empty(),
        },
        Operator::BroadcastNestedLoopJoin(j) => streams(j),
        // Spark reads a cached table outside the stage.
        Operator::InMemoryTableScan(_)
        | Operator::TakeOrderedAndProject(_)
        | Operator::CollectLimit(_)
        | Operator::Exchange(_)
        | Operator::BroadcastExchange(_)
        | Operator::ReusedExchange(_)
        | Operator::CartesianProduct(_)
        | Operator::Union(_)
        | Operator::Window(_)
        | Operator::WindowGroupLimit(_)
        | Operator::Coalesce(_)
        | Operator::WholeStageCodegen(_)
        | Operator::InputAdapter => false,
    }
}

/// Whether the join is done with a row of the streamed side before it sees the next.
fn streams(join: &NestedLoopJoin) -> bool {
    matches!(
        (&join.join_type, join.build),
        (JoinType::Inner | JoinType::Cross, _)
            | (JoinType::RightOuter, BuildSide::Left)
            | (JoinType::LeftOuter | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::Existence(_), BuildSide::Right)
    )
}

/// Columns of a type, those nested in it counted one by one.
fn fields(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fs) => fs.iter().map(|f| fields(&f.data_type)).sum(),
        DataType::Map(k, v) => fields(k) + fields(v),
        DataType::Array(e) => fields(e),
        _ => 1,
    }
}
