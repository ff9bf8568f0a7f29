//! What a region may rely on about the rows that it reads: facts of scans, carried up to where the rows are.

use crate::base::Attribute;
use crate::codegen::bounds::bounds;
use crate::codegen::value::Bounds;
use crate::expr::Expr;
use crate::expr::aggregate::{Accumulate, Buffer, describe};
use crate::operators::aggregate::{Aggregate, AggregateMode};
use crate::operators::plan::deep;
use crate::operators::scan::lower::InputFacts;
use crate::operators::{Operator, SparkPlan};

/// Facts about the output of a plan.
pub fn facts(plan: &SparkPlan) -> InputFacts {
    deep(|| match &plan.operator {
        Operator::FileScan(scan) => scan.facts(),
        Operator::InMemoryTableScan(scan) => scan.facts(),
        // The child's rows, or some of them.
        Operator::Filter(_)
        | Operator::Sort(_)
        | Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::CollectLimit(_)
        | Operator::Coalesce(_)
        | Operator::Exchange(_)
        | Operator::BroadcastExchange(_)
        | Operator::ReusedExchange(_)
        | Operator::WholeStageCodegen(_)
        | Operator::InputAdapter => facts(plan.child()),
        Operator::Project(p) => of_list(&p.list, &plan.child().output(), &facts(plan.child())),
        Operator::Aggregate(a) => {
            let (columns, input) = (plan.child().output(), facts(plan.child()));
            let mut known = of_list(&a.grouping, &columns, &input);
            let mut attributes = a.keys();
            for (attribute, buffer) in buffers(a) {
                known.columns.push((buffer_bounds(&buffer, &columns, &input), false));
                attributes.push(attribute);
            }
            let most_rows = input.most_rows.filter(|_| !a.grouping.is_empty());
            InputFacts { most_rows, ..of_list(&a.result, &attributes, &known) }
        }
        Operator::BroadcastHashJoin(_) | Operator::ShuffledHashJoin(_) | Operator::SortMergeJoin(_) => {
            let sides: Vec<_> = plan.children.iter().map(|c| (c.output(), facts(c))).collect();
            let column = |a: &Attribute| {
                let (output, facts) = sides.iter().find(|(output, _)| output.iter().any(|o| o.id == a.id))?;
                facts.columns.get(output.iter().position(|o| o.id == a.id)?)
            };
            // Of an outer join NULLs may have come in.
            let columns = plan.output().iter().map(|a| (column(a).and_then(|c| c.0), false)).collect();
            InputFacts { columns, most_rows: None }
        }
        _ => InputFacts::default(),
    })
}

/// The buffers that an aggregate makes of rows, as columns.
fn buffers(aggregate: &Aggregate) -> Vec<(Attribute, Buffer)> {
    let calls = aggregate.calls.iter().filter(|c| c.mode == AggregateMode::Partial);
    calls.flat_map(|c| c.buffers.iter().cloned().zip(describe(&c.expr).map(|d| d.buffers).unwrap_or_default())).collect()
}

/// Bounds of sums and counts over all rows.
fn buffer_bounds(buffer: &Buffer, columns: &[Attribute], input: &InputFacts) -> Option<Bounds> {
    let rows = i128::from(input.most_rows?);
    match buffer.update {
        Accumulate::Count => Some((0, rows)),
        Accumulate::Sum => {
            let (least, most) = of_list(std::slice::from_ref(&buffer.input), columns, input).columns.first()?.0?;
            Some((least.min(0).checked_mul(rows)?, most.max(0).checked_mul(rows)?))
        }
        _ => None,
    }
}

/// Facts about expressions over columns of which `input` is known.
fn of_list(list: &[Expr], columns: &[Attribute], input: &InputFacts) -> InputFacts {
    let ranges: Vec<_> = (0..columns.len()).map(|i| input.columns.get(i).and_then(|c| c.0)).collect();
    let known = |expr: &Expr| {
        if let Expr::Attribute(a) = expr.unaliased() {
            let at = columns.iter().position(|c| c.id == a.id)?;
            return input.columns.get(at).copied();
        }
        Some((bounds(&expr.clone().bind(columns).ok()?, &ranges), false))
    };
    InputFacts { columns: list.iter().map(|e| known(e).unwrap_or_default()).collect(), most_rows: input.most_rows }
}
