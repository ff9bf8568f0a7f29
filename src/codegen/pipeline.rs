//! A pipeline: source, operators in a row, sink; and the loop that it becomes.
//!
//! ```text
//! for row in first..last {            source
//!     if !condition { continue }      filter
//!     for match in table[hash(key)] { probe
//!         aggregate or output         sink
//!     }
//! }
//! ```
//!
//! `produce` is the source's loop; `consume` emits operator `index` for one row and, inside, whatever comes after it.

use std::cell::RefCell;
use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};
use cranelift_frontend::{FunctionBuilderContext, Variable};
use cranelift_module::Module;

use super::aggregate::{Accumulators, AggregateSink};
use super::emitter::{Emitter, trusted};
use super::expr::lazy;
use super::module::{Code, Compiler, Dump};
use super::output::OutputSink;
use super::probe::Probe;
use super::scope::{Column, Row, Scope, input_column};
use super::selection::Selected;
use super::state::{SELECTION, Slot, StateLayout};
use super::value::{Bounds, clif_type, type_bounds};
use crate::base::settings::JIT_COUNT_ROWS;
use crate::base::settings::SUBEXPRESSION_ELIMINATION;
use crate::base::{DataType, Result, Settings};
use crate::expr::Expr;
use crate::runtime::row::RowField;
use crate::runtime::{Form, Status};

/// A column of the pipeline's input.
#[derive(Debug, Clone)]
pub struct InputColumn {
    pub data_type: DataType,
    pub nullable: bool,
    /// Hard bounds from statistics.
    pub bounds: Option<Bounds>,
}

/// Where a pipeline's rows come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Arrow batches.
    Batches(Vec<InputColumn>),
    /// Packed rows, given by their addresses.
    Rows(Vec<RowColumn>),
}

/// A field of a packed row as a column.
#[derive(Debug, Clone)]
pub struct RowColumn {
    pub field: RowField,
    pub data_type: DataType,
    /// The field may hold values beyond its type's precision (a sum of decimals): an error.
    pub unchecked: bool,
}

/// An operator of a pipeline; expressions are bound to the columns of what comes before it.
#[derive(Debug, Clone)]
pub enum Op {
    /// All conjuncts must be true.
    Filter(Vec<Expr>),
    Project(Vec<Expr>),
    Probe(Box<Probe>),
    /// Each row once per projection.
    Expand(Vec<Vec<Expr>>),
    /// The slot counts down the rows still wanted.
    Limit(Slot),
}

#[derive(Debug, Clone)]
pub enum Sink {
    Output(OutputSink),
    Aggregate(Box<AggregateSink>),
}

/// A pipeline, ready to be compiled. Operators carry the name under which dumps show them.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub name: String,
    pub source: (String, Source),
    pub ops: Vec<(String, Op)>,
    /// For each operator the slot to which the rows that come out of it are added, if they are to be counted.
    pub counts: Vec<Option<Slot>>,
    pub sink: (String, Sink),
}

/// What the emission of a pipeline carries along.
pub struct Emission<'p> {
    pub pipeline: &'p Pipeline,
    /// The forms of the tables that it probes.
    pub forms: &'p [(Slot, Form)],
    /// Of an aggregate without keys.
    pub accumulators: Option<Accumulators>,
    /// The operators' rows, in registers.
    counts: Vec<Option<Variable>>,
    /// Operators whose rows are not counted one by one: those that a block of rows has passed whole, and those that rows do not
    /// reach since a later operator has dropped them early, whose rows are not known.
    passed: RefCell<Vec<usize>>,
    unknown: RefCell<Vec<usize>>,
}

/// A pipeline as CLIF, not yet machine code.
pub struct Emitted<'p> {
    compiler: Compiler,
    pipeline: &'p Pipeline,
    nulls: bool,
    /// The input columns that the code reads.
    pub used: Vec<bool>,
    /// Operators whose rows this code does not know.
    pub unknown: Vec<usize>,
}

impl Emitted<'_> {
    /// # Errors
    /// `Codegen`: the stage must run interpreted.
    pub fn finish(self) -> Result<Arc<Code>> {
        let Pipeline { name, source, ops, sink, .. } = self.pipeline;
        let name = format!("{name}{}", if self.nulls { "_nulls" } else { "" });
        let names: Vec<&str> = std::iter::once(&source.0).chain(ops.iter().map(|o| &o.0)).chain([&sink.0]).map(String::as_str).collect();
        self.compiler.finish(&name, &names)
    }
}

/// Emits the variant of a pipeline for batches without NULLs, or for all, and for join tables of these forms.
///
/// # Errors
/// `Codegen`: the stage must run interpreted.
pub fn emit<'p>(
    pipeline: &'p Pipeline,
    layout: &mut StateLayout,
    settings: &Settings,
    nulls: bool,
    forms: &[(Slot, Form)],
    dump: Dump,
) -> Result<Emitted<'p>> {
    let mut compiler = Compiler::new(settings, dump)?;
    let mut context = FunctionBuilderContext::new();
    let columns = match &pipeline.source.1 {
        Source::Batches(columns) => columns.len(),
        Source::Rows(_) => 0,
    };
    let (function, module) = compiler.parts();
    let config = module.isa().frontend_config();
    let mut e = Emitter::new(function, &mut context, module, layout, columns, nulls);
    e.eliminate = settings.bool(&SUBEXPRESSION_ELIMINATION);
    let counts =
        if settings.bool(&JIT_COUNT_ROWS) { pipeline.counts.iter().map(|slot| slot.map(|_| e.counter())).collect() } else { vec![] };
    let mut emission = Emission { pipeline, forms, accumulators: None, counts, passed: RefCell::default(), unknown: RefCell::default() };
    e.mark_operator(0);
    if let Sink::Aggregate(sink) = &pipeline.sink.1 {
        emission.accumulators = e.begin_accumulators(sink);
    }
    e.produce(&emission)?;
    let unknown = emission.unknown.take();
    let used = e.end(config, |e| {
        for (index, (slot, count)) in pipeline.counts.iter().zip(&emission.counts).enumerate() {
            if let (Some(slot), Some(count)) = (slot, count)
                && !unknown.contains(&index)
            {
                e.add_count(*slot, *count);
            }
        }
        match (&pipeline.sink.1, &emission.accumulators) {
            (Sink::Aggregate(sink), Some(accumulators)) => e.store_accumulators(sink, accumulators),
            _ => Ok(()),
        }
    })?;
    Ok(Emitted { compiler, pipeline, nulls, used, unknown })
}

impl Emitter<'_> {
    /// The operator that the following instructions belong to, for dumps.
    pub fn mark_operator(&mut self, index: usize) {
        self.b.set_srcloc(ir::SourceLoc::new(index as u32 + 1));
    }

    /// `for i in from..to { body(i) }`
    ///
    /// # Errors
    /// Those of `body`.
    pub fn counted_loop(&mut self, from: ir::Value, to: ir::Value, body: impl FnOnce(&mut Self, ir::Value) -> Result<()>) -> Result<()> {
        let (inside, after) = (self.b.create_block(), self.b.create_block());
        self.b.append_block_param(inside, types::I64);
        let any = self.compare(IntCC::SignedLessThan, from, to);
        self.b.ins().brif(any, inside, &[BlockArg::Value(from)], after, &[]);
        self.b.switch_to_block(inside);
        let i = self.b.block_params(inside)[0];
        let mark = self.mark();
        body(self, i)?;
        self.back_to(mark);
        let next = self.b.ins().iadd_imm_s(i, 1);
        let more = self.compare(IntCC::SignedLessThan, next, to);
        self.b.ins().brif(more, inside, &[BlockArg::Value(next)], after, &[]);
        self.b.switch_to_block(after);
        Ok(())
    }

    /// A register that counts rows, from 0.
    fn counter(&mut self) -> Variable {
        let count = self.b.declare_var(types::I64);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(count, zero);
        count
    }

    fn add_count(&mut self, slot: Slot, count: Variable) {
        let before = self.load_slot(slot, types::I64);
        let count = self.b.use_var(count);
        let sum = self.b.ins().iadd(before, count);
        self.store_slot(slot, sum);
    }

    /// A row comes out of operator `index`.
    fn count_row(&mut self, emission: &Emission, index: usize) {
        let counted = emission.counts.get(index).copied().flatten();
        let skipped = |of: &RefCell<Vec<usize>>| of.borrow().contains(&index);
        if let Some(count) = counted.filter(|_| !skipped(&emission.passed) && !skipped(&emission.unknown)) {
            let before = self.b.use_var(count);
            let more = self.b.ins().iadd_imm_s(before, 1);
            self.b.def_var(count, more);
        }
    }

    /// Adds the rows of a block that the first operator, a filter, has let through, where they are known, and notes of which operators
    /// the rows are not.
    fn count_selected(&mut self, emission: &Emission, selected: &Selected) {
        let filters = matches!(emission.pipeline.ops.first(), Some((_, Op::Filter(_))));
        let known = selected.filtered.filter(|_| filters);
        if let (Some(rows), Some(Some(count))) = (known, emission.counts.first()) {
            let before = self.b.use_var(*count);
            let sum = self.b.ins().iadd(before, rows);
            self.b.def_var(*count, sum);
            emission.passed.borrow_mut().push(0);
        }
        let first = usize::from(known.is_some());
        emission.unknown.borrow_mut().extend(first..selected.early.max(first));
    }

    fn produce(&mut self, emission: &Emission) -> Result<()> {
        let (first, last) = (self.first, self.last);
        match &emission.pipeline.source.1 {
            Source::Batches(columns) => {
                let Some(selected) = self.select_rows(emission, columns)? else {
                    return self.counted_loop(first, last, |e, i| {
                        let row = e.batch_row(columns, i);
                        e.consume(emission, 0, &row)
                    });
                };
                self.mark_operator(0);
                self.count_selected(emission, &selected);
                let selection = self.slot(SELECTION);
                let zero = self.b.ins().iconst(types::I64, 0);
                self.counted_loop(zero, selected.rows, |e, k| {
                    let i = e.selected_row(selection, k);
                    let row = e.batch_row(columns, i);
                    if let Some((_, Op::Filter(_))) = emission.pipeline.ops.first() {
                        e.mark_operator(1);
                        return e.filter(&selected.rest, &row, &mut |e| e.consume(emission, 1, &row));
                    }
                    e.consume(emission, 0, &row)
                })
            }
            Source::Rows(columns) => {
                let base = self.input;
                self.counted_loop(first, last, |e, i| {
                    let offset = e.b.ins().ishl_imm_u(i, 3);
                    let address = e.b.ins().iadd(base, offset);
                    let row = e.b.ins().load(types::I64, trusted(), address, 0);
                    let mut fields = vec![];
                    for c in columns {
                        let mut bounds = None;
                        if c.unchecked {
                            let value = e.load_field(row, &c.field);
                            if let Some((least, most)) = type_bounds(&c.data_type) {
                                let t = clif_type(value.kind);
                                if value.kind.size() == 16 || most < i128::from(i64::MAX) {
                                    let failed = e.outside(value.lo, t, least, most);
                                    e.fail_if(failed, value.null);
                                }
                            }
                            bounds = type_bounds(&c.data_type);
                        }
                        fields.push(Column::Field { address: row, field: c.field, data_type: c.data_type.clone(), absent: None, bounds });
                    }
                    let scope = Row::new(e, fields);
                    e.consume(emission, 0, &scope)
                })
            }
        }
    }

    /// Row `row` of the input batch.
    pub fn batch_row(&mut self, columns: &[InputColumn], row: ir::Value) -> Scope {
        let columns = columns
            .iter()
            .enumerate()
            .map(|(index, c)| Column::Input { index, row, data_type: c.data_type.clone(), nullable: c.nullable, bounds: c.bounds })
            .collect();
        Row::new(self, columns)
    }

    /// Whether a conjunct is a test for NULL that every row of this variant passes; `input` tells which input column a column is.
    /// A variant for batches without NULLs relies on there being none, so the column counts as used even if nothing reads it.
    pub fn trivial(&mut self, conjunct: &Expr, input: impl Fn(usize) -> Option<usize>) -> bool {
        let Expr::IsNotNull(inner) = conjunct else { return false };
        let Expr::Column { index, nullable, .. } = inner.as_ref() else { return false };
        if !nullable {
            return true;
        }
        match input(*index) {
            Some(column) if !self.nulls => {
                self.used_columns[column] = true;
                true
            }
            _ => false,
        }
    }

    /// Cheap conjuncts together behind one branch, each dear or failing one behind its own.
    fn filter(&mut self, conjuncts: &[Expr], row: &Scope, then: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let conjuncts: Vec<&Expr> = conjuncts.iter().filter(|c| !self.trivial(c, |column| input_column(row, column))).collect();
        let cheap = conjuncts.iter().take_while(|c| !lazy(c)).count();
        let Some(first) = conjuncts.first() else { return then(self) };
        let mut pass = self.predicate(first, row)?;
        let together = cheap.max(1);
        for c in &conjuncts[1..together] {
            let holds = self.predicate(c, row)?;
            pass = self.b.ins().band(pass, holds);
        }
        let rest: Vec<Expr> = conjuncts[together..].iter().map(|c| (*c).clone()).collect();
        self.when(pass, |e| e.filter(&rest, row, then))
    }

    /// Emits operator `index` (or, past the last, the sink) for one row.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn consume(&mut self, emission: &Emission, index: usize, row: &Scope) -> Result<()> {
        if let Some(before) = index.checked_sub(1) {
            self.count_row(emission, before);
        }
        self.mark_operator(index + 1);
        let Some((_, op)) = emission.pipeline.ops.get(index) else {
            return match &emission.pipeline.sink.1 {
                Sink::Output(sink) => self.output(sink, row),
                Sink::Aggregate(sink) => self.aggregate(sink, emission.accumulators.as_ref(), row),
            };
        };
        match op {
            Op::Filter(conjuncts) => self.filter(conjuncts, row, &mut |e| e.consume(emission, index + 1, row)),
            Op::Project(list) => {
                let columns = list.iter().map(|x| Column::Computed { expr: std::rc::Rc::new(x.clone()), scope: row.clone() }).collect();
                let projected = Row::new(self, columns);
                self.consume(emission, index + 1, &projected)
            }
            Op::Probe(probe) => self.probe(probe, emission.form(probe), row, &mut |e, joined| e.consume(emission, index + 1, joined)),
            Op::Expand(projections) => self.expand(projections, row, emission, index),
            Op::Limit(slot) => self.limit(*slot, |e| e.consume(emission, index + 1, row)),
        }
    }

    /// ```text
    /// for p in 0..projections { match p { 0 => columns = …, 1 => columns = …, … }; consume }
    /// ```
    fn expand(&mut self, projections: &[Vec<Expr>], row: &Scope, emission: &Emission, index: usize) -> Result<()> {
        for projection in projections {
            let mark = self.mark();
            let columns = projection.iter().map(|x| Column::Computed { expr: std::rc::Rc::new(x.clone()), scope: row.clone() }).collect();
            let projected = Row::new(self, columns);
            self.consume(emission, index + 1, &projected)?;
            self.back_to(mark);
        }
        Ok(())
    }

    /// ```text
    /// if wanted == 0 { return Stop }
    /// wanted -= 1; consume
    /// ```
    fn limit(&mut self, slot: Slot, then: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let wanted = self.load_slot(slot, types::I64);
        let (go_on, stop) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(wanted, go_on, &[], stop, &[]);
        self.b.switch_to_block(stop);
        self.leave(Status::Stop);
        self.b.switch_to_block(go_on);
        let left = self.b.ins().iadd_imm_s(wanted, -1);
        self.store_slot(slot, left);
        then(self)
    }
}

impl Emission<'_> {
    /// The form of a probe's table.
    pub fn form(&self, probe: &Probe) -> Form {
        self.forms.iter().find(|(table, _)| *table == probe.table).map_or(Form::Hashed { filter: None }, |(_, form)| *form)
    }
}
