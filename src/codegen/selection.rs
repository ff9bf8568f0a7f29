//! Which rows of a block go on: filters on the input's columns, and joins that drop rows, tried without a branch before the fused
//! loop.
//!
//! ```text
//! n = rows whose date is between (a call for a block: eight rows at a time)
//! n = those whose key is in the join table (as well)
//! n = 0; for i in selection { selection[n] = i; n += other conjuncts(i) & what the first words of strings tell(i) }
//! ```

use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::{Emitter, trusted};
use super::expr::lazy;
use super::pipeline::{Emission, InputColumn, Op};
use super::probe::{Probe, ProbeKind};
use super::scope::Scope;
use super::state::SELECTION;
use super::strings::head_tests;
use super::value::{Bounds, kind_of};
use crate::base::{DataType, Result, Scalar};
use crate::expr::{ComparisonOp, Expr};
use crate::runtime::batch::VALUES;
use crate::runtime::symbols::selecting;
use crate::runtime::{FieldKind, Form};

/// A selection vector that is filled.
pub struct Selected {
    /// How many rows are in it.
    pub rows: ir::Value,
    /// Conjuncts of the filter at the start of the pipeline that are still to be tested.
    pub rest: Vec<Expr>,
    /// How many rows pass all conjuncts of that filter, where it is known.
    pub filtered: Option<ir::Value>,
    /// Of operators before this one the rows that come out are not known, as it may have dropped some before they got there.
    pub early: usize,
}

/// A column of integers between constants.
#[derive(Debug)]
struct Between {
    column: usize,
    wide: bool,
    low: Option<Limit>,
    high: Option<Limit>,
}

/// A constant that a column is compared with.
#[derive(Debug)]
struct Limit {
    value: Scalar,
    /// The constant itself does not pass.
    strict: bool,
}

impl Between {
    /// A guess of the share of rows that pass, by the column's bounds.
    fn share(&self, bounds: Option<Bounds>) -> f64 {
        let Some((least, most)) = bounds else { return 0.5 };
        let at = |limit: &Option<Limit>| limit.as_ref().and_then(|l| l.value.as_i128());
        let (low, high) = (at(&self.low).unwrap_or(least).max(least), at(&self.high).unwrap_or(most).min(most));
        (high - low + 1).max(0) as f64 / (most - least + 1).max(1) as f64
    }
}

impl Emitter<'_> {
    /// Fills the selection vector with the rows of the block that pass what can be tested without a branch; `None`: nothing can.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn select_rows(&mut self, emission: &Emission, columns: &[InputColumn]) -> Result<Option<Selected>> {
        let conjuncts = match emission.pipeline.ops.first() {
            Some((_, Op::Filter(conjuncts))) => conjuncts.as_slice(),
            _ => &[],
        };
        // What stands behind a conjunct that can fail must not spare it a row.
        let (sure, behind) = conjuncts.split_at(conjuncts.iter().take_while(|c| !c.can_fail()).count());
        let (tested, mut rest): (Vec<&Expr>, Vec<&Expr>) = sure.iter().partition(|c| !lazy(c) && !self.trivial(c, Some));
        let heads: Vec<_> = rest.iter().filter_map(|c| head_tests(c)).collect();
        rest.extend(behind);
        let whole = rest.iter().all(|c| self.trivial(c, Some));
        let early = early_probes(emission, columns);
        if tested.is_empty() && heads.is_empty() && early.is_empty() {
            return Ok(None);
        }
        let selection = self.slot(SELECTION);
        let (mut ranges, others) = self.ranges(&tested, columns);
        ranges.sort_by(|a, b| a.share(columns[a.column].bounds).total_cmp(&b.share(columns[b.column].bounds)));
        let mut rows = None;
        self.mark_operator(1);
        for range in &ranges {
            rows = Some(self.select_between(range, selection, rows)?);
        }
        let in_ranges = others.is_empty() && heads.is_empty();
        let (first, last) = (self.first, self.last);
        let mut filtered = in_ranges.then(|| rows.unwrap_or_else(|| self.b.ins().isub(last, first)));
        // What is tested eight rows at a time goes before what is not.
        let (by_block, by_row): (Vec<_>, Vec<_>) = early.iter().partition(|probe| self.block_key(probe, columns).is_some());
        let first_early = !by_block.is_empty();
        for probe in by_block {
            rows = Some(self.select_matching(columns, probe, selection, rows)?);
        }
        self.mark_operator(1);
        if !others.is_empty() || !heads.is_empty() {
            rows = Some(self.select_where(columns, selection, rows, |e, row| {
                let mut pass: Option<ir::Value> = None;
                for c in &others {
                    let holds = e.predicate(c, row)?;
                    pass = Some(pass.map_or(holds, |p| e.b.ins().band(p, holds)));
                }
                for (string, tests) in &heads {
                    let holds = e.any_head(string, tests, row)?;
                    pass = Some(pass.map_or(holds, |p| e.b.ins().band(p, holds)));
                }
                Ok(pass)
            })?);
        }
        if !in_ranges && !first_early {
            filtered = rows;
        }
        for probe in by_row {
            rows = Some(self.select_matching(columns, probe, selection, rows)?);
        }
        let rest = rest.into_iter().cloned().collect();
        let early = early.iter().map(|probe| probe.index).max().unwrap_or(0);
        Ok(rows.map(|rows| Selected { rows, rest, filtered: filtered.filter(|_| whole), early }))
    }

    /// Row `k` of the selection vector.
    pub fn selected_row(&mut self, selection: ir::Value, k: ir::Value) -> ir::Value {
        let offset = self.b.ins().ishl_imm_u(k, 2);
        let address = self.b.ins().iadd(selection, offset);
        self.b.ins().uload32(trusted(), address, 0)
    }

    /// The conjuncts that compare a column of integers with a constant, by column; and the others.
    fn ranges<'c>(&self, conjuncts: &[&'c Expr], columns: &[InputColumn]) -> (Vec<Between>, Vec<&'c Expr>) {
        let mut ranges: Vec<Between> = vec![];
        let mut others = vec![];
        for conjunct in conjuncts {
            let Some((column, wide, low, high)) = self.limits(conjunct, columns) else {
                others.push(*conjunct);
                continue;
            };
            let fits = |r: &&mut Between| r.column == column && (r.low.is_none() || low.is_none()) && (r.high.is_none() || high.is_none());
            match ranges.iter_mut().find(fits) {
                Some(range) => {
                    range.low = range.low.take().or(low);
                    range.high = range.high.take().or(high);
                }
                None => ranges.push(Between { column, wide, low, high }),
            }
        }
        (ranges, others)
    }

    /// Column, width and limits of a comparison with a constant.
    fn limits(&self, conjunct: &Expr, columns: &[InputColumn]) -> Option<(usize, bool, Option<Limit>, Option<Limit>)> {
        let Expr::Comparison { op, left, right } = conjunct else { return None };
        let (op, index, value) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column { index, .. }, Expr::Literal(value)) => (*op, *index, value),
            (Expr::Literal(value), Expr::Column { index, .. }) => (op.swapped(), *index, value),
            _ => return None,
        };
        let (wide, data_type) = (self.integer_width(index, columns)?, &columns[index].data_type);
        let scale = |t: &DataType| if let DataType::Decimal { scale, .. } = t { Some(*scale) } else { None };
        let same = value.data_type() == *data_type || (data_type.is_decimal() && scale(&value.data_type()) == scale(data_type));
        let number = value.as_i128().filter(|v| same && i64::try_from(*v).is_ok());
        number?;
        let limit = |strict| Some(Limit { value: value.clone(), strict });
        let (low, high) = match op {
            ComparisonOp::Equal => (limit(false), limit(false)),
            ComparisonOp::Less => (None, limit(true)),
            ComparisonOp::LessOrEqual => (None, limit(false)),
            ComparisonOp::Greater => (limit(true), None),
            ComparisonOp::GreaterOrEqual => (limit(false), None),
            ComparisonOp::EqualNullSafe | ComparisonOp::NotEqual => return None,
        };
        Some((index, wide, low, high))
    }

    /// Whether a column of the input holds integers of 64 bits (or of 32, `false`) and no NULLs in this variant.
    fn integer_width(&self, column: usize, columns: &[InputColumn]) -> Option<bool> {
        let input = &columns[column];
        if input.nullable && self.nulls {
            return None;
        }
        match kind_of(&input.data_type)? {
            FieldKind::I32 => Some(false),
            FieldKind::I64 => Some(true),
            _ => None,
        }
    }

    /// The column of the input that is the one key of a probe whose keys are marked in blocks.
    fn block_key(&self, early: &EarlyProbe, columns: &[InputColumn]) -> Option<usize> {
        let marked = early.form.by_key() || matches!(early.form, Form::Hashed { filter: Some(_) });
        match early.keys.as_slice() {
            [Expr::Column { index, .. }] if marked && self.integer_width(*index, columns).is_some() => Some(*index),
            _ => None,
        }
    }

    /// The rows to select from: all of the block, or those selected so far.
    fn candidates(&mut self, selected: Option<ir::Value>) -> (ir::Value, ir::Value, i64) {
        match selected {
            Some(n) => (self.b.ins().iconst(types::I64, 0), n, selecting::SELECTED),
            None => (self.first, self.last, 0),
        }
    }

    fn select_between(&mut self, range: &Between, selection: ir::Value, selected: Option<ir::Value>) -> Result<ir::Value> {
        let values = self.column_pointer(range.column, VALUES);
        let (first, last, mut how) = self.candidates(selected);
        let mut limit = |e: &mut Self, limit: &Option<Limit>, strict: i64, open: i64| match limit {
            Some(limit) => {
                how |= if limit.strict { strict } else { 0 };
                e.constant(&limit.value, FieldKind::I64).lo
            }
            None => e.b.ins().iconst(types::I64, open),
        };
        let low = limit(self, &range.low, selecting::ABOVE, i64::MIN);
        let high = limit(self, &range.high, selecting::BELOW, i64::MAX);
        let how = self.b.ins().iconst(types::I64, how | if range.wide { selecting::WIDE } else { 0 });
        self.call_value("ws_select_between", &[values, selection, first, last, low, high, how])
    }

    /// Selects the rows for which `test` gives 1 (or nothing: all); returns how many.
    fn select_where(
        &mut self,
        columns: &[InputColumn],
        selection: ir::Value,
        selected: Option<ir::Value>,
        test: impl FnOnce(&mut Self, &Scope) -> Result<Option<ir::Value>>,
    ) -> Result<ir::Value> {
        let count = self.b.declare_var(types::I64);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(count, zero);
        let (first, last, _) = self.candidates(selected);
        self.counted_loop(first, last, |e, k| {
            let i = if selected.is_some() { e.selected_row(selection, k) } else { k };
            let n = e.b.use_var(count);
            let offset = e.b.ins().ishl_imm_u(n, 2);
            let address = e.b.ins().iadd(selection, offset);
            e.b.ins().istore32(trusted(), i, address, 0);
            let row = e.batch_row(columns, i);
            let n = match test(e, &row)? {
                Some(pass) => {
                    let pass = e.b.ins().uextend(types::I64, pass);
                    e.b.ins().iadd(n, pass)
                }
                None => e.b.ins().iadd_imm_s(n, 1),
            };
            e.b.def_var(count, n);
            Ok(())
        })?;
        Ok(self.b.use_var(count))
    }

    /// Takes out the rows that a probe would drop, as long as that is wanted.
    fn select_matching(
        &mut self,
        columns: &[InputColumn],
        early: &EarlyProbe,
        selection: ir::Value,
        selected: Option<ir::Value>,
    ) -> Result<ir::Value> {
        self.mark_operator(early.index + 1);
        let slots = early.probe.early;
        let wanted = self.load_slot(slots.wanted, types::I64);
        let rows = self.either(
            wanted,
            &[types::I64],
            |e| {
                let left = match e.block_key(early, columns) {
                    Some(column) => e.select_present(early, column, columns, selection, selected)?,
                    None => e.select_where(columns, selection, selected, |e, row| {
                        let keys: Vec<&Expr> = early.keys.iter().collect();
                        e.early_test(early.probe, early.form, &keys, row).map(Some)
                    })?,
                };
                let (first, last, _) = e.candidates(selected);
                let seen = e.b.ins().isub(last, first);
                for (slot, more) in [(slots.seen, seen), (slots.kept, left)] {
                    let sum = e.load_slot(slot, types::I64);
                    let sum = e.b.ins().iadd(sum, more);
                    e.store_slot(slot, sum);
                }
                Ok(vec![left])
            },
            |e| match selected {
                Some(rows) => Ok(vec![rows]),
                None => Ok(vec![e.select_where(columns, selection, None, |_, _| Ok(None))?]),
            },
        )?;
        Ok(rows[0])
    }

    fn select_present(
        &mut self,
        early: &EarlyProbe,
        column: usize,
        columns: &[InputColumn],
        selection: ir::Value,
        selected: Option<ir::Value>,
    ) -> Result<ir::Value> {
        let values = self.column_pointer(column, VALUES);
        let table = self.slot(early.probe.table);
        let (first, last, mut how) = self.candidates(selected);
        if self.integer_width(column, columns) == Some(true) {
            how |= selecting::WIDE;
        }
        if early.probe.kind == ProbeKind::Anti {
            how |= selecting::ABSENT;
        }
        let how = self.b.ins().iconst(types::I64, how);
        self.call_value("ws_select_present", &[values, selection, first, last, table, how])
    }
}

/// A probe of which the input's columns alone tell which rows it drops.
struct EarlyProbe<'p> {
    index: usize,
    probe: &'p Probe,
    form: Form,
    /// The keys tested, over the pipeline's input.
    keys: Vec<Expr>,
}

/// The probes that may drop rows before any operator sees them: no error of an operator before them can get lost so, and no
/// operator counts the rows.
fn early_probes<'p>(emission: &Emission<'p>, input: &[InputColumn]) -> Vec<EarlyProbe<'p>> {
    let mut found = vec![];
    // Columns as expressions over the input, where they are that.
    let column = |(index, c): (usize, &InputColumn)| Some(Expr::Column { index, data_type: c.data_type.clone(), nullable: c.nullable });
    let mut columns: Vec<Option<Expr>> = input.iter().enumerate().map(column).collect();
    let over_input = |e: &Expr, columns: &[Option<Expr>]| {
        let mut known = true;
        let out = e.clone().transform_up(&mut |e| match e {
            Expr::Column { index, .. } => Ok(columns[index].clone().unwrap_or_else(|| {
                known = false;
                e
            })),
            other => Ok(other),
        });
        out.ok().filter(|_| known)
    };
    for (index, (_, op)) in emission.pipeline.ops.iter().enumerate() {
        match op {
            Op::Filter(conjuncts) => {
                if conjuncts.iter().any(Expr::can_fail) {
                    break;
                }
            }
            Op::Project(list) => columns = list.iter().map(|e| over_input(e, &columns)).collect(),
            Op::Probe(probe) => {
                let form = emission.form(probe);
                let drops = match probe.kind {
                    ProbeKind::Inner | ProbeKind::Semi => true,
                    ProbeKind::Anti => form == Form::Set,
                    ProbeKind::Outer | ProbeKind::NullAwareAnti | ProbeKind::Existence => false,
                };
                let tested = match form {
                    Form::Hashed { filter: Some(key) } => &probe.keys[usize::from(key)..=usize::from(key)],
                    _ => probe.keys.as_slice(),
                };
                let keys: Option<Vec<Expr>> = tested.iter().map(|(k, ..)| over_input(k, &columns)).collect();
                let cheap = |k: &Expr| !lazy(k) && !matches!(k.data_type(), DataType::String | DataType::Binary);
                if let Some(keys) = keys.filter(|keys| drops && keys.iter().all(cheap)) {
                    found.push(EarlyProbe { index, probe, form, keys });
                }
                if probe.condition.as_ref().is_some_and(Expr::can_fail) {
                    break;
                }
                let build = vec![None; probe.build.len()];
                match probe.kind {
                    ProbeKind::Inner | ProbeKind::Outer if probe.build_first => columns = [build, columns].concat(),
                    ProbeKind::Inner | ProbeKind::Outer => columns = [columns, build].concat(),
                    ProbeKind::Existence => columns.push(None),
                    ProbeKind::Semi | ProbeKind::Anti | ProbeKind::NullAwareAnti => {}
                }
            }
            Op::Expand(_) | Op::Limit(_) => break,
        }
    }
    found
}
