//! Which operators a compiled stage can hold.

use crate::base::{DataType, Settings, settings};
use crate::codegen::support;
use crate::expr::Expr;
use crate::operators::{AggregateKind, Operator, SparkPlan};

/// Whether the node may be part of a compiled stage; asked by CollapseCodegenStages.
///
/// # Errors
/// Why it may not, for EXPLAIN.
pub fn supports_codegen(plan: &SparkPlan, settings: &Settings) -> Result<(), String> {
    operator(plan)?;
    let most = settings.int(&settings::CODEGEN_MAX_FIELDS).max(0) as usize;
    for node in std::iter::once(plan).chain(plan.children.iter().map(AsRef::as_ref)) {
        let fields: usize = node.output().iter().map(|a| fields(&a.data_type)).sum();
        if fields > most {
            return Err(format!("{} has {fields} fields, more than {}", node.name(), settings::CODEGEN_MAX_FIELDS.key));
        }
    }
    Ok(())
}

fn operator(plan: &SparkPlan) -> Result<(), String> {
    let expressions = |list: Vec<&Expr>| list.into_iter().try_for_each(support::expression);
    match &plan.operator {
        // Rows come in Arrow batches, which compiled loops read as they are.
        Operator::FileScan(_) => Ok(()),
        Operator::Filter(o) => expressions(vec![&o.condition]),
        Operator::Project(o) => expressions(o.list.iter().collect()),
        Operator::Expand(o) => expressions(o.projections.iter().flatten().collect()),
        Operator::Aggregate(o) if o.kind == AggregateKind::Hash => o.unsupported(),
        Operator::BroadcastHashJoin(o) | Operator::ShuffledHashJoin(o) => expressions(o.expressions()),
        // These are part of a stage as Spark has it, but run interpreted between its compiled loops.
        Operator::Range(_) | Operator::SortMergeJoin(_) | Operator::Sort(_) | Operator::LocalLimit(_) | Operator::GlobalLimit(_) => Ok(()),
        // Spark reads a cached table outside the stage.
        Operator::InMemoryTableScan(_)
        | Operator::LocalTableScan(_)
        | Operator::OneRowScan
        | Operator::Aggregate(_)
        | Operator::TakeOrderedAndProject(_)
        | Operator::CollectLimit(_)
        | Operator::Exchange(_)
        | Operator::BroadcastExchange(_)
        | Operator::ReusedExchange(_)
        | Operator::BroadcastNestedLoopJoin(_)
        | Operator::CartesianProduct(_)
        | Operator::Union(_)
        | Operator::Generate(_)
        | Operator::Window(_)
        | Operator::WindowGroupLimit(_)
        | Operator::Sample(_)
        | Operator::Coalesce(_)
        | Operator::WholeStageCodegen(_)
        | Operator::InputAdapter => Err(format!("{} is not compiled", plan.name())),
    }
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
