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
use crate::codegen::group::{KeyRanges, addressing, key_range};
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

impl Plan {
    /// Whether one field serves both.
    fn same(&self, other: &Plan) -> bool {
        let counts_rows = |p: &Plan| p.accumulate == Accumulate::Count && !p.input.nullable();
        self.accumulate == other.accumulate
            && (self.input == other.input || counts_rows(self) && counts_rows(other))
            && self.filter == other.filter
            && (self.kind, self.nullable, self.can_overflow) == (other.kind, other.nullable, other.can_overflow)
    }
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
        let by_key = by_key(&keys, region);
        let header = if by_key.as_ref().is_some_and(|k| !k.in_place) { 0 } else { ROW_HEADER };
        // The same buffer of several aggregates is kept once: the count and the sum of an average, say.
        let mut distinct: Vec<&Plan> = vec![];
        let mut place = vec![];
        for p in &plans {
            place.push(distinct.iter().position(|d| d.same(p)).unwrap_or_else(|| {
                distinct.push(p);
                distinct.len() - 1
            }));
        }
        let key_kinds = keys.iter().map(|k| Ok((kind(&k.data_type())?, k.nullable()))).collect::<Result<Vec<_>>>()?;
        let buffer_kinds = distinct.iter().map(|p| (p.kind, p.nullable));
        let layout = RowLayout::new(header, &key_kinds.into_iter().chain(buffer_kinds).collect::<Vec<_>>());
        let (key_fields, buffer_fields) = layout.fields.split_at(keys.len());
        let slot = region.layout.reserve();
        let sink = AggregateSink {
            table: slot,
            by_key,
            row_size: layout.size,
            keys: keys.iter().zip(key_fields).map(|(k, f)| (k.clone(), k.data_type(), *f)).collect(),
            buffers: distinct
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
        let buffer_columns = plans.iter().zip(&place).map(|(p, at)| RowColumn {
            field: buffer_fields[*at],
            data_type: p.attribute.data_type.clone(),
            unchecked: p.unchecked,
        });
        let columns: Vec<RowColumn> = key_columns.chain(buffer_columns).collect();
        let mut ranges: Vec<_> = keys.iter().map(|k| bounds(k, &region.bounds)).collect();
        ranges.resize(columns.len(), None);
        let attributes: Vec<Attribute> = key_attributes
            .iter()
            .zip(&keys)
            .map(|(a, k)| a.clone().with_nullable(k.nullable()))
            .chain(plans.iter().map(|p| p.attribute.clone().with_nullable(p.nullable)))
            .collect();
        let object = if keys.is_empty() {
            Object::Group { slot, layout: layout.clone() }
        } else {
            Object::Groups { slot, layout: layout.clone(), addressing: addressing(&sink) }
        };
        region.break_at(plan, sink, object, columns, attributes)?;
        region.bounds = ranges;
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

/// Most slots of a table addressed by key: 64 MB of addresses.
const MOST_SLOTS: usize = 1 << 23;
/// Most bytes of rows in slots that may remain empty.
const MOST_SPARSE_BYTES: usize = 1 << 21;

/// Ranges of the keys, if the groups that there can be are not many more than the rows.
fn by_key(keys: &[Expr], region: &Region) -> Option<KeyRanges> {
    let range = |key: &Expr| {
        let t = key.data_type();
        key_range(&t, kind_of(&t)?, bounds(key, &region.bounds)?)
    };
    let mut found = KeyRanges { ranges: keys.iter().map(range).collect::<Option<Vec<_>>>()?, in_place: false };
    let slots = found.slots(keys.iter().map(Expr::nullable)).filter(|_| !keys.is_empty())?;
    // Behind joins the rows are not known; most do not multiply them.
    let rows = region.most_rows.or(region.input_rows)?;
    if slots > MOST_SLOTS || slots as u64 > rows.saturating_mul(4) {
        return None;
    }
    let row_size = (keys.len() + 8) * 8;
    found.in_place = slots * row_size <= MOST_SPARSE_BYTES || slots as u64 <= rows / 8;
    Some(found)
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
