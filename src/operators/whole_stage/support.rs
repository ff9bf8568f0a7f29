//! Which operators a compiled stage can hold.

use crate::base::{DataType, Settings, settings};
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
    match &plan.operator {
        Operator::Aggregate(a) if a.kind == AggregateKind::Hash => Ok(()),
        Operator::FileScan(_)
        | Operator::Range(_)
        | Operator::Filter(_)
        | Operator::Project(_)
        | Operator::BroadcastHashJoin(_)
        | Operator::ShuffledHashJoin(_)
        | Operator::SortMergeJoin(_)
        | Operator::Sort(_)
        | Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::Expand(_) => Ok(()),
        Operator::LocalTableScan(_)
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
