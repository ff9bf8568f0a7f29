//! Compiled face of the hash joins: a probe inline in the streamed side's pipeline.
//!
//! ```text
//! for match in table[hash(keys)] { if condition { … } }
//! ```

use std::sync::Arc;

use super::{BuildSide, HashJoin, output};
use crate::base::{DataType, Result};
use crate::codegen::probe::{BuildColumn, EarlyPass, Probe, ProbeKind};
use crate::codegen::value::kind_of;
use crate::codegen::{Op, module::failure, support};
use crate::expr::Expr;
use crate::logical::JoinType;
use crate::operators::SparkPlan;
use crate::operators::whole_stage::{JoinObject, Object, Region, facts};
use crate::runtime::{FieldKind, RowLayout};

impl HashJoin {
    /// Whether generated code has this type of join with these expressions.
    pub fn lowerable(&self) -> bool {
        self.probe_kind().is_some() && self.expressions().into_iter().all(|e| support::expression(e).is_ok())
    }

    /// How the streamed side probes; `None` where unmatched build rows are wanted too.
    fn probe_kind(&self) -> Option<ProbeKind> {
        match (&self.join_type, self.build) {
            (JoinType::Inner | JoinType::Cross, _) => Some(ProbeKind::Inner),
            (JoinType::LeftOuter, BuildSide::Right) | (JoinType::RightOuter, BuildSide::Left) => Some(ProbeKind::Outer),
            (JoinType::LeftSemi, BuildSide::Right) => Some(ProbeKind::Semi),
            (JoinType::LeftAnti, BuildSide::Right) => Some(ProbeKind::Anti),
            (JoinType::NullAwareAnti, BuildSide::Right) if self.condition.is_none() => Some(ProbeKind::NullAwareAnti),
            (JoinType::Existence(_), BuildSide::Right) => Some(ProbeKind::Existence),
            _ => None,
        }
    }

    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, broadcast: bool, region: &mut Region) -> Result<()> {
        let kind = self.probe_kind().ok_or_else(|| failure("this type of join"))?;
        region.add(&plan.children[self.build.stream().index()])?;
        let build = &plan.children[self.build.index()];
        let build_columns = build.output();
        let build_keys = self.keys(self.build).iter().map(|k| region.bind_to(k, &build_columns)).collect::<Result<Vec<_>>>()?;
        let set = !matches!(kind, ProbeKind::Inner | ProbeKind::Outer) && self.condition.is_none();
        let mut fields = vec![];
        if !set {
            for c in &build_columns {
                fields.push((held(&c.data_type)?, c.nullable));
            }
        }
        let mut key_fields = vec![];
        for key in &build_keys {
            match key {
                Expr::Column { index, .. } if !set => key_fields.push(*index),
                other => {
                    key_fields.push(fields.len());
                    fields.push((held(&other.data_type())?, false));
                }
            }
        }
        let layout = RowLayout::new(0, &fields);
        let stream_keys = self.keys(self.build.stream()).iter().map(|k| region.bind(k)).collect::<Result<Vec<_>>>()?;
        let integer_keys = stream_keys.iter().map(|key| is_integer(&key.data_type())).collect();
        let keys = stream_keys
            .into_iter()
            .zip(&key_fields)
            .map(|(k, f)| {
                let t = k.data_type();
                (k, t, layout.fields[*f])
            })
            .collect();
        let build_first = self.build == BuildSide::Left;
        let both = if build_first {
            [build_columns.clone(), region.attributes.clone()]
        } else {
            [region.attributes.clone(), build_columns.clone()]
        };
        let condition = self.condition.as_ref().map(|c| region.bind_to(c, &both.concat())).transpose()?;
        let (table, null_row, flags) = (region.layout.reserve(), region.layout.reserve(), region.layout.reserve());
        let early = EarlyPass { wanted: region.layout.reserve(), seen: region.layout.reserve(), kept: region.layout.reserve() };
        let columns = if set { &[][..] } else { &build_columns[..] };
        let columns = columns
            .iter()
            .zip(&layout.fields)
            .map(|(c, f)| BuildColumn { field: *f, data_type: c.data_type.clone(), bounds: None })
            .collect();
        let probe = Probe { table, null_row, flags, early, kind, keys, build: columns, row_size: layout.size, build_first, condition };
        let stream_bounds = region.bounds.clone();
        let mut build_bounds: Vec<_> = facts(build).columns.into_iter().map(|c| c.0).collect();
        build_bounds.resize(build_columns.len(), None);
        let bounds = match kind {
            ProbeKind::Inner | ProbeKind::Outer => {
                region.most_rows = None;
                if build_first { [build_bounds, stream_bounds].concat() } else { [stream_bounds, build_bounds].concat() }
            }
            ProbeKind::Semi | ProbeKind::Anti | ProbeKind::NullAwareAnti => stream_bounds,
            ProbeKind::Existence => [stream_bounds, vec![None]].concat(),
        };
        let known = region.attributes.clone();
        let attributes = output(&self.join_type, &plan.children)
            .into_iter()
            .map(|a| match known.iter().find(|k| k.id == a.id) {
                Some(k) => a.with_nullable(k.nullable),
                None => a,
            })
            .collect();
        region.objects.push(Object::Join(Box::new(JoinObject {
            node: plan.id,
            table,
            null_row,
            flags,
            build: build.clone(),
            broadcast,
            early,
            keys: build_keys,
            integer_keys,
            set,
            layout,
            key_fields,
        })));
        region.push(plan, Op::Probe(Box::new(probe)), attributes, bounds);
        Ok(())
    }
}

fn held(t: &DataType) -> Result<FieldKind> {
    kind_of(t).ok_or_else(|| failure(format!("values of type {t}")))
}

/// Whether generated code holds values of a type as integers of up to 64 bits whose order means something.
fn is_integer(t: &DataType) -> bool {
    *t != DataType::Boolean && matches!(kind_of(t), Some(FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64))
}
