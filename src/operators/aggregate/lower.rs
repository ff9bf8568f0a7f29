//! Compiled face of HashAggregate: the end of one pipeline and the source of the next.
//!
//! ```text
//! for row in input { group = table[hash(keys)]; group.buffer = update(group.buffer, input) … }
//! for group in table { emit result(keys, finish(buffers)) }
//! ```

use std::sync::Arc;

use super::{Aggregate, AggregateKind, AggregateMode};
use crate::base::{Attribute, DataType, Error, Result};
use crate::codegen::aggregate::{AggregateSink, BufferSpec};
use crate::codegen::bounds::bounds;
use crate::codegen::pipeline::RowColumn;
use crate::codegen::support;
use crate::codegen::value::{Bounds, kind_of};
use crate::expr::Expr;
use crate::expr::aggregate::{Accumulate, describe};
use crate::operators::SparkPlan;
use crate::operators::project::project;
use crate::operators::whole_stage::{Object, Region};
use crate::runtime::aggregate_table::ROW_HEADER;
use crate::runtime::{FieldKind, RowLayout};

/// What is known of a buffer before its field has a place.
struct Plan {
    accumulate: Accumulate,
    input: Expr,
    filter: Option<Expr>,
    attribute: Attribute,
    kind: FieldKind,
    nullable: bool,
    can_overflow: bool,
    unchecked: bool,
}

impl Aggregate {
    /// Whether generated code has every function and type of it.
    pub fn lowerable(&self) -> bool {
        self.kind == AggregateKind::Hash && self.unsupported().is_ok()
    }

    /// # Errors
    /// Says what cannot be compiled.
    pub fn unsupported(&self) -> Result<(), String> {
        self.grouping.iter().chain(&self.result).try_for_each(support::expression)?;
        for call in &self.calls {
            let description = describe(&call.expr).map_err(|e| e.message)?;
            support::expression(&description.finish)?;
            if let Some(filter) = &call.expr.filter {
                support::expression(filter)?;
            }
            for buffer in &description.buffers {
                support::data_type(&buffer.data_type)?;
                support::expression(&buffer.input)?;
                let primitive = if call.mode.reads_rows() { buffer.update } else { buffer.merge };
                let simple = matches!(primitive, Accumulate::Sum | Accumulate::Count | Accumulate::Min | Accumulate::Max);
                let string = matches!(buffer.data_type, DataType::String | DataType::Binary);
                if !simple || (string && self.grouping.is_empty()) {
                    return Err(format!("the aggregate {} is not compiled", call.expr));
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, region: &mut Region) -> Result<()> {
        region.add(plan.child())?;
        let keys = self.grouping.iter().map(|g| region.bind(g)).collect::<Result<Vec<_>>>()?;
        let key_attributes = self.keys();
        let mut plans = vec![];
        let mut finishes = vec![];
        for call in &self.calls {
            let description = describe(&call.expr)?;
            for (i, buffer) in description.buffers.iter().enumerate() {
                let (accumulate, input, filter) = if call.mode.reads_rows() {
                    let filter = call.expr.filter.as_ref().map(|f| region.bind(f)).transpose()?;
                    (buffer.update, region.bind(&buffer.input)?, filter)
                } else {
                    let merged = call.buffers.get(i).ok_or_else(|| Error::internal("an aggregate call lacks a buffer"))?;
                    (buffer.merge, region.bind(&Expr::Attribute(merged.clone()))?, None)
                };
                let attribute = if call.mode.gives_results() { &description.attributes[i] } else { &call.buffers[i] };
                plans.push(self.plan_buffer(accumulate, input, filter, attribute.clone(), buffer.nullable, region)?);
            }
            finishes.push((call, description));
        }
        let key_kinds = keys.iter().map(|k| Ok((kind(&k.data_type())?, k.nullable()))).collect::<Result<Vec<_>>>()?;
        let buffer_kinds = plans.iter().map(|p| (p.kind, p.nullable));
        let layout = RowLayout::new(ROW_HEADER, &key_kinds.into_iter().chain(buffer_kinds).collect::<Vec<_>>());
        let (key_fields, buffer_fields) = layout.fields.split_at(keys.len());
        let slot = region.layout.reserve();
        let by_key = by_key(&keys, region);
        let sink = AggregateSink {
            table: slot,
            by_key,
            keys: keys.iter().zip(key_fields).map(|(k, f)| (k.clone(), k.data_type(), *f)).collect(),
            buffers: plans
                .iter()
                .zip(buffer_fields)
                .map(|(p, f)| BufferSpec {
                    accumulate: p.accumulate,
                    input: p.input.clone(),
                    filter: p.filter.clone(),
                    field: *f,
                    can_overflow: p.can_overflow,
                })
                .collect(),
        };
        let key_columns = keys.iter().zip(key_fields).map(|(k, f)| RowColumn { field: *f, data_type: k.data_type(), unchecked: false });
        let buffer_columns = plans.iter().zip(buffer_fields).map(|(p, f)| RowColumn {
            field: *f,
            data_type: p.attribute.data_type.clone(),
            unchecked: p.unchecked,
        });
        let columns = key_columns.chain(buffer_columns).collect();
        let attributes: Vec<Attribute> = key_attributes
            .iter()
            .zip(&keys)
            .map(|(a, k)| a.clone().with_nullable(k.nullable()))
            .chain(plans.iter().map(|p| p.attribute.clone().with_nullable(p.nullable)))
            .collect();
        let object = if keys.is_empty() {
            Object::Group { slot, layout: layout.clone() }
        } else {
            Object::Groups { slot, layout: layout.clone(), by_key }
        };
        region.break_at(plan, sink, object, columns, attributes)?;
        if self.calls.iter().any(|c| c.mode.gives_results()) {
            let results = finishes.iter().map(|(call, description)| match call.mode {
                AggregateMode::Final | AggregateMode::Complete => vec![alias(&call.result, description.finish.clone())],
                AggregateMode::Partial | AggregateMode::PartialMerge => call.buffers.iter().cloned().map(Expr::Attribute).collect(),
            });
            let list: Vec<Expr> = key_attributes.into_iter().map(Expr::Attribute).chain(results.flatten()).collect();
            project(&list, plan, region)?;
        }
        project(&self.result, plan, region)
    }

    fn plan_buffer(
        &self,
        accumulate: Accumulate,
        input: Expr,
        filter: Option<Expr>,
        attribute: Attribute,
        nullable: bool,
        region: &Region,
    ) -> Result<Plan> {
        let declared = kind(&attribute.data_type)?;
        let mut out = Plan { accumulate, input, filter, attribute, kind: declared, nullable, can_overflow: false, unchecked: false };
        if accumulate == Accumulate::Sum {
            // With keys, a group's first row makes its sum not NULL, if the input never is.
            out.nullable = nullable && (self.grouping.is_empty() || out.filter.is_some() || out.input.nullable());
            let largest = bounds(&out.input, &region.bounds).map(magnitude);
            let total = largest.zip(region.most_rows).and_then(|(v, n)| v.checked_mul(u128::from(n)));
            let fits = |limit: u128| total.is_some_and(|t| t <= limit);
            if out.attribute.data_type.is_decimal() {
                if fits(i64::MAX as u128) {
                    out.kind = FieldKind::I64;
                } else {
                    out.kind = FieldKind::I128;
                    out.can_overflow = largest.is_none_or(|v| v >= 1 << 63);
                }
                let DataType::Decimal { precision, .. } = out.attribute.data_type else { return Ok(out) };
                out.unchecked = !fits(10u128.pow(u32::from(precision)) - 1);
            } else {
                out.can_overflow = declared == FieldKind::I64 && !fits(i64::MAX as u128);
            }
        }
        Ok(out)
    }
}

/// Most slots of a table addressed by key: 64 MB of them.
const MOST_SLOTS: i128 = 1 << 23;

/// Bounds of the one key, if it is an integer whose values lie densely.
fn by_key(keys: &[Expr], region: &Region) -> Option<(i64, i64)> {
    let [key] = keys else { return None };
    let integer = matches!(kind_of(&key.data_type())?, FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64);
    if !integer || key.nullable() || key.data_type() == DataType::Boolean {
        return None;
    }
    let (least, most) = bounds(key, &region.bounds)?;
    let slots = most.checked_sub(least)?.checked_add(1)?;
    let dense = slots > 0 && slots <= MOST_SLOTS && slots <= i128::from(region.most_rows?).saturating_mul(4);
    if dense { Some((i64::try_from(least).ok()?, i64::try_from(most).ok()?)) } else { None }
}

fn magnitude((least, most): Bounds) -> u128 {
    least.unsigned_abs().max(most.unsigned_abs())
}

fn kind(t: &DataType) -> Result<FieldKind> {
    kind_of(t).ok_or_else(|| crate::codegen::module::failure(format!("values of type {t}")))
}

fn alias(attribute: &Attribute, expr: Expr) -> Expr {
    Expr::Alias { expr: Box::new(expr), name: attribute.name.clone(), id: attribute.id }
}
