//! The probe of a join table, inline.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};

use super::emitter::{Emitter, trusted};
use super::expr::boolean;
use super::scope::{Column, Row, Scope};
use super::state::Slot;
use super::value::{Bounds, Value};
use crate::base::{DataType, Result};
use crate::expr::Expr;
use crate::runtime::join_table::{BLOCKS, DIRECTORY, LEAST, LIMIT, ROWS, SHIFT};
use crate::runtime::row::RowField;
use crate::runtime::{Form, Status};

/// Which rows a probe passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Each match, with the build row's columns.
    Inner,
    /// Each match; a row without one once, with NULLs.
    Outer,
    /// A row with a match, once.
    Semi,
    /// A row without a match.
    Anti,
    /// NOT IN: nothing if the build side has a NULL key; a NULL key only if the build side is empty.
    NullAwareAnti,
    /// Every row, with whether there is a match.
    Existence,
}

/// A column of the build side as a field of the table's rows.
#[derive(Debug, Clone)]
pub struct BuildColumn {
    pub field: RowField,
    pub data_type: DataType,
    pub bounds: Option<Bounds>,
}

/// Slots of a probe's early pass: before the fused loop, rows without a match are taken out of the selection vector by a loop
/// without branches. Tasks see how many it takes out, and do without it where it does not pay.
#[derive(Debug, Clone, Copy)]
pub struct EarlyPass {
    /// Not 0: the pass is wanted.
    pub wanted: Slot,
    /// Rows before the pass, so far.
    pub seen: Slot,
    /// Rows after it.
    pub kept: Slot,
}

/// Looks up each row in a join table.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Slot with the table's address.
    pub table: Slot,
    /// Slot with the address of a row of zeros, for outer joins.
    pub null_row: Slot,
    /// Slot with bit 0: the build side has a NULL key; bit 1: it has no rows.
    pub flags: Slot,
    pub early: EarlyPass,
    pub kind: ProbeKind,
    /// Over the probing rows; paired with the fields of the build keys.
    pub keys: Vec<(Expr, DataType, RowField)>,
    pub build: Vec<BuildColumn>,
    /// Bytes of a build row.
    pub row_size: usize,
    /// The build side's columns come first in the output (and in `condition`).
    pub build_first: bool,
    /// Over both sides' columns; decides what is a match besides the keys.
    pub condition: Option<Expr>,
}

type Then<'a> = &'a mut dyn FnMut(&mut Emitter, &Scope) -> Result<()>;

impl Emitter<'_> {
    /// ```text
    /// by key: offset = min(key - least, limit); if blocks[offset / 64] has bit offset % 64 {
    ///     row = rows[rank] (unique keys), or for row in directory[rank - 1] .. directory[rank]
    ///     if condition { consume }
    /// }
    /// hashed: hash = hash(keys); word = directory[hash >> shift]; if word has the hash's filter bits {
    ///     for row in directory[(hash >> shift) - 1].end .. word.end { if row.keys == keys && condition { consume } }
    /// }
    /// ```
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn probe(&mut self, probe: &Probe, form: Form, row: &Scope, then: Then) -> Result<()> {
        let keys: Vec<&Expr> = probe.keys.iter().map(|(k, ..)| k).collect();
        let found = self.look_up(probe, form, &keys, row)?;
        match probe.kind {
            ProbeKind::Inner => self.each_match(probe, &found, row, then),
            ProbeKind::Outer if form == Form::Unique => self.outer_unique(probe, &found, row, then),
            ProbeKind::Outer => self.outer(probe, &found, row, then),
            ProbeKind::Semi => {
                let any = self.any_match(probe, &found, row)?;
                self.when(any, |e| then(e, row))
            }
            ProbeKind::Anti => {
                let any = self.any_match(probe, &found, row)?;
                let none = self.b.ins().bxor_imm_u(any, 1);
                self.when(none, |e| then(e, row))
            }
            ProbeKind::NullAwareAnti => {
                let any = self.any_match(probe, &found, row)?;
                let none = self.b.ins().bxor_imm_u(any, 1);
                let flags = self.slot_as(probe.flags, types::I8);
                let build_null = self.b.ins().band_imm_u(flags, 1);
                let empty = self.b.ins().ushr_imm_u(flags, 1);
                let mut pass = self.b.ins().band_not(none, build_null);
                if let Some(null) = found.null_key {
                    pass = self.b.ins().band_not(pass, null);
                }
                let pass = self.b.ins().bor(pass, empty);
                self.when(pass, |e| then(e, row))
            }
            ProbeKind::Existence => {
                let any = self.any_match(probe, &found, row)?;
                let mut columns = row_columns(row);
                columns.push(Column::Known(boolean(any)));
                let scope = Row::new(self, columns);
                then(self, &scope)
            }
        }
    }

    /// Whether a row may have what the probe wants, as far as that is seen without a branch (0 or 1); `keys` stand for the
    /// probe's keys.
    ///
    /// # Errors
    /// As for [`Self::probe`].
    pub fn early_test(&mut self, probe: &Probe, form: Form, keys: &[&Expr], row: &Scope) -> Result<ir::Value> {
        let form = if matches!(form, Form::Hashed { filter: Some(_) }) { Form::Set } else { form };
        let likely = self.look_up(probe, form, keys, row)?.likely;
        Ok(if probe.kind == ProbeKind::Anti { self.b.ins().bxor_imm_u(likely, 1) } else { likely })
    }

    fn look_up(&mut self, probe: &Probe, form: Form, keys: &[&Expr], row: &Scope) -> Result<Found> {
        let mut values = vec![];
        let mut null_key = None;
        for key in keys {
            let value = self.expr(key, row)?;
            null_key = self.either_null(null_key, value.null);
            values.push(value);
        }
        let table = self.slot(probe.table);
        let (place, mut likely) = match values.as_slice() {
            [key] if form.by_key() => self.block_of(key, table),
            _ => self.bucket_of(probe, &values, table)?,
        };
        if let Some(null) = null_key {
            likely = self.b.ins().band_not(likely, null);
        }
        Ok(Found { form, table, place, keys: values.iter().map(|k| k.with_null(None)).collect(), likely, null_key })
    }

    /// The block of a key, and whether the key is there.
    fn block_of(&mut self, key: &Value, table: ir::Value) -> (Place, ir::Value) {
        let least = self.hoist(table, LEAST, types::I64);
        let limit = self.hoist(table, LIMIT, types::I64);
        let blocks = self.hoist(table, BLOCKS, types::I64);
        let key = self.as_i64(key);
        let offset = self.b.ins().isub(key, least);
        let offset = self.b.ins().umin(offset, limit);
        let block = self.b.ins().ushr_imm_u(offset, 6);
        let block = self.b.ins().ishl_imm_u(block, 4);
        let block = self.b.ins().iadd(blocks, block);
        let bits = self.b.ins().load(types::I64, trusted(), block, 0);
        let bit = self.b.ins().ushr(bits, offset);
        let bit = self.b.ins().band_imm_u(bit, 1);
        let there = self.b.ins().ireduce(types::I8, bit);
        (Place::Block { block, bits, offset }, there)
    }

    /// The bucket of keys, and whether its filter has their bits.
    fn bucket_of(&mut self, probe: &Probe, keys: &[Value], table: ir::Value) -> Result<(Place, ir::Value)> {
        let directory = self.hoist(table, DIRECTORY, types::I64);
        let shift = self.hoist(table, SHIFT, types::I64);
        // A NULL key's bytes may be anything, but hashing a long string reads memory: the null bit keeps it from that.
        let guarded: Vec<_> =
            keys.iter().zip(&probe.keys).map(|(k, (_, t, _))| (if k.hi.is_some() { *k } else { k.with_null(None) }, t)).collect();
        let hash = self.hash(&guarded)?;
        let bits = self.filter_bits(hash);
        let bucket = self.b.ins().ushr(hash, shift);
        let offset = self.b.ins().ishl_imm_u(bucket, 3);
        let address = self.b.ins().iadd(directory, offset);
        let word = self.b.ins().load(types::I64, trusted(), address, 0);
        let there = self.b.ins().band(word, bits);
        let likely = self.compare(IntCC::Equal, there, bits);
        Ok((Place::Bucket { address, word }, likely))
    }

    /// How many keys of the table are less than the one looked up.
    fn rank(&mut self, block: ir::Value, bits: ir::Value, offset: ir::Value) -> ir::Value {
        let before = self.b.ins().load(types::I64, trusted(), block, 8);
        let one = self.b.ins().iconst(types::I64, 1);
        let bit = self.b.ins().ishl(one, offset);
        let mask = self.b.ins().iadd_imm_s(bit, -1);
        let smaller = self.b.ins().band(bits, mask);
        let smaller = self.b.ins().popcnt(smaller);
        self.b.ins().iadd(before, smaller)
    }

    /// The one row of a key that is there.
    fn unique_row(&mut self, probe: &Probe, found: &Found) -> ir::Value {
        let Place::Block { block, bits, offset } = found.place else { return self.slot(probe.null_row) };
        let rank = self.rank(block, bits, offset);
        let rows = self.hoist(found.table, ROWS, types::I64);
        let scaled = self.b.ins().imul_imm_s(rank, probe.row_size as i64);
        self.b.ins().iadd(rows, scaled)
    }

    /// Two bits of sixteen, as `crate::runtime::join_table::filter_bits`.
    fn filter_bits(&mut self, hash: ir::Value) -> ir::Value {
        let one = self.b.ins().iconst(types::I64, 1);
        let low = self.b.ins().band_imm_u(hash, 15);
        let second = self.b.ins().ushr_imm_u(hash, 4);
        let second = self.b.ins().band_imm_u(second, 15);
        let (a, b) = (self.b.ins().ishl(one, low), self.b.ins().ishl(one, second));
        self.b.ins().bor(a, b)
    }

    /// The addresses between which the rows of the key (or bucket) are.
    fn range(&mut self, found: &Found) -> (ir::Value, ir::Value) {
        match found.place {
            Place::Block { block, bits, offset } => {
                let rank = self.rank(block, bits, offset);
                let directory = self.hoist(found.table, DIRECTORY, types::I64);
                let scaled = self.b.ins().ishl_imm_u(rank, 3);
                let address = self.b.ins().iadd(directory, scaled);
                let start = self.b.ins().load(types::I64, trusted(), address, -8);
                (start, self.b.ins().load(types::I64, trusted(), address, 0))
            }
            Place::Bucket { address, word } => {
                let before = self.b.ins().load(types::I64, trusted(), address, -8);
                let start = self.b.ins().ushr_imm_u(before, 16);
                (start, self.b.ins().ushr_imm_u(word, 16))
            }
        }
    }

    /// Whether a candidate row has the key: of a bucket, not all need.
    fn keys_equal(&mut self, probe: &Probe, found: &Found, build_row: ir::Value) -> Result<ir::Value> {
        if found.form.by_key() {
            return Ok(self.b.ins().iconst(types::I8, 1));
        }
        let mut all: Option<ir::Value> = None;
        for ((_, _, field), key) in probe.keys.iter().zip(&found.keys) {
            let stored = self.load_field(build_row, &RowField { null: None, ..*field });
            let equal = self.equal(key, &stored)?;
            all = Some(match all {
                Some(a) => self.b.ins().band(a, equal),
                None => equal,
            });
        }
        Ok(all.unwrap_or_else(|| self.b.ins().iconst(types::I8, 1)))
    }

    /// The probing row with the columns of a build row (`absent`: all NULL where it holds).
    fn joined(&mut self, probe: &Probe, row: &Scope, build_row: ir::Value, absent: Option<ir::Value>) -> Scope {
        let build = probe.build.iter().map(|c| Column::Field {
            address: build_row,
            field: c.field,
            data_type: c.data_type.clone(),
            absent,
            bounds: c.bounds,
        });
        let stream = row_columns(row);
        let columns = if probe.build_first { build.chain(stream).collect() } else { stream.into_iter().chain(build).collect() };
        Row::new(self, columns)
    }

    /// Runs `then` for each match.
    fn each_match(&mut self, probe: &Probe, found: &Found, row: &Scope, then: Then) -> Result<()> {
        self.when(found.likely, |e| {
            if found.form == Form::Unique {
                let build_row = e.unique_row(probe, found);
                return e.matched(probe, row, build_row, then);
            }
            let (start, end) = e.range(found);
            e.rows(start, end, probe.row_size, |e, build_row| {
                if found.form.by_key() {
                    return e.matched(probe, row, build_row, then);
                }
                let equal = e.keys_equal(probe, found, build_row)?;
                e.when(equal, |e| e.matched(probe, row, build_row, then))
            })
        })
    }

    /// Runs `then` for a build row with the row's keys, if the condition holds.
    fn matched(&mut self, probe: &Probe, row: &Scope, build_row: ir::Value, then: Then) -> Result<()> {
        let joined = self.joined(probe, row, build_row, None);
        match &probe.condition {
            Some(condition) => {
                let holds = self.predicate(condition, &joined)?;
                self.when(holds, |e| then(e, &joined))
            }
            None => then(self, &joined),
        }
    }

    /// `for row in start..end step size { body }` over addresses.
    fn rows(&mut self, start: ir::Value, end: ir::Value, size: usize, body: impl FnOnce(&mut Self, ir::Value) -> Result<()>) -> Result<()> {
        let (inside, after) = (self.b.create_block(), self.b.create_block());
        self.b.append_block_param(inside, types::I64);
        let any = self.compare(IntCC::UnsignedLessThan, start, end);
        self.b.ins().brif(any, inside, &[BlockArg::Value(start)], after, &[]);
        self.b.switch_to_block(inside);
        let at = self.b.block_params(inside)[0];
        let mark = self.mark();
        body(self, at)?;
        self.back_to(mark);
        let next = self.b.ins().iadd_imm_s(at, size as i64);
        let more = self.compare(IntCC::UnsignedLessThan, next, end);
        let again = self.b.create_block();
        self.b.ins().brif(more, again, &[], after, &[]);
        self.b.switch_to_block(again);
        self.unless_stopped(inside, &[BlockArg::Value(next)]);
        self.b.switch_to_block(after);
        Ok(())
    }

    /// Goes on to a further candidate of a row, of which there may be millions, unless the task is to stop.
    fn unless_stopped(&mut self, next: ir::Block, arguments: &[BlockArg]) {
        let slot = self.layout.stop_flag();
        let flag = self.slot(slot);
        // Atomic: it changes during the call.
        let stopped = self.b.ins().atomic_load(types::I8, trusted(), flag);
        let stop = self.b.create_block();
        self.b.ins().brif(stopped, stop, &[], next, arguments);
        self.b.switch_to_block(stop);
        self.leave(Status::Stop);
    }

    /// Whether there is a match (0 or 1); stops at the first.
    fn any_match(&mut self, probe: &Probe, found: &Found, row: &Scope) -> Result<ir::Value> {
        if found.form == Form::Set {
            return Ok(found.likely);
        }
        if found.form == Form::Unique {
            return Ok(self.unique_match(probe, found, row)?.0);
        }
        let (search, inside, next_block, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.append_block_param(inside, types::I64);
        self.b.append_block_param(after, types::I8);
        let (no, yes) = (self.b.ins().iconst(types::I8, 0), self.b.ins().iconst(types::I8, 1));
        let (no, yes) = (BlockArg::Value(no), BlockArg::Value(yes));
        self.b.ins().brif(found.likely, search, &[], after, &[no]);
        self.b.switch_to_block(search);
        let mark = self.mark();
        let (start, end) = self.range(found);
        let any = self.compare(IntCC::UnsignedLessThan, start, end);
        self.b.ins().brif(any, inside, &[BlockArg::Value(start)], after, &[no]);
        self.b.switch_to_block(inside);
        let at = self.b.block_params(inside)[0];
        let equal = self.keys_equal(probe, found, at)?;
        match &probe.condition {
            Some(condition) => {
                let check = self.b.create_block();
                self.b.ins().brif(equal, check, &[], next_block, &[]);
                self.b.switch_to_block(check);
                let joined = self.joined(probe, row, at, None);
                let holds = self.predicate(condition, &joined)?;
                self.b.ins().brif(holds, after, &[yes], next_block, &[]);
            }
            None => {
                self.b.ins().brif(equal, after, &[yes], next_block, &[]);
            }
        }
        self.back_to(mark);
        self.b.switch_to_block(next_block);
        let next = self.b.ins().iadd_imm_s(at, probe.row_size as i64);
        let more = self.compare(IntCC::UnsignedLessThan, next, end);
        let again = self.b.create_block();
        self.b.ins().brif(more, again, &[], after, &[no]);
        self.b.switch_to_block(again);
        self.unless_stopped(inside, &[BlockArg::Value(next)]);
        self.b.switch_to_block(after);
        Ok(self.b.block_params(after)[0])
    }

    /// Whether the one candidate there can be matches (0 or 1), and its address, if it is there.
    fn unique_match(&mut self, probe: &Probe, found: &Found, row: &Scope) -> Result<(ir::Value, ir::Value)> {
        let build_row = self.unique_row(probe, found);
        let Some(condition) = &probe.condition else { return Ok((found.likely, build_row)) };
        let holds = self.either(
            found.likely,
            &[types::I8],
            |e| {
                let joined = e.joined(probe, row, build_row, None);
                Ok(vec![e.predicate(condition, &joined)?])
            },
            |e| Ok(vec![e.b.ins().iconst(types::I8, 0)]),
        )?;
        Ok((holds[0], build_row))
    }

    /// The match there is, or the row of zeros.
    fn outer_unique(&mut self, probe: &Probe, found: &Found, row: &Scope, then: Then) -> Result<()> {
        let (matches, build_row) = self.unique_match(probe, found, row)?;
        let zeros = self.slot(probe.null_row);
        let build_row = self.b.ins().select(matches, build_row, zeros);
        let absent = self.b.ins().bxor_imm_u(matches, 1);
        let joined = self.joined(probe, row, build_row, Some(absent));
        then(self, &joined)
    }

    /// As [`Self::each_match`]; after the last match, or at once without candidates, the row of zeros stands for no match. One
    /// copy of what follows serves both.
    ///
    /// ```text
    /// at = start; matched = false
    /// loop {
    ///     if at < end { row = at; at += size; if !match(row) { continue }; matched = true; absent = false }
    ///     else if matched { break } else { row = zeros; absent = true; matched = true }
    ///     consume
    /// }
    /// ```
    fn outer(&mut self, probe: &Probe, found: &Found, row: &Scope, then: Then) -> Result<()> {
        let zeros = self.slot(probe.null_row);
        let (zero, one) = (self.b.ins().iconst(types::I8, 0), self.b.ins().iconst(types::I8, 1));
        let nowhere = self.b.ins().iconst(types::I64, 0);
        let range = self.either(
            found.likely,
            &[types::I64, types::I64],
            |e| {
                let (start, end) = e.range(found);
                Ok(vec![start, end])
            },
            |_| Ok(vec![nowhere, nowhere]),
        )?;
        let (header, compare, none, body, after) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.append_block_param(header, types::I64);
        self.b.append_block_param(header, types::I8);
        for t in [types::I64, types::I64, types::I8] {
            self.b.append_block_param(body, t);
        }
        self.b.ins().jump(header, &[BlockArg::Value(range[0]), BlockArg::Value(zero)]);
        self.b.switch_to_block(header);
        let (at, matched) = (self.b.block_params(header)[0], self.b.block_params(header)[1]);
        let mark = self.mark();
        let more = self.compare(IntCC::UnsignedLessThan, at, range[1]);
        self.b.ins().brif(more, compare, &[], none, &[]);
        self.b.switch_to_block(none);
        let end = range[1];
        self.b.ins().brif(matched, after, &[], body, &[BlockArg::Value(zeros), BlockArg::Value(end), BlockArg::Value(one)]);
        self.b.switch_to_block(compare);
        let go_on = self.b.create_block();
        self.unless_stopped(go_on, &[]);
        self.b.switch_to_block(go_on);
        let next = self.b.ins().iadd_imm_s(at, probe.row_size as i64);
        let equal = self.keys_equal(probe, found, at)?;
        let mut holds = equal;
        if let Some(condition) = &probe.condition {
            let out = self.either(
                equal,
                &[types::I8],
                |e| {
                    let joined = e.joined(probe, row, at, None);
                    Ok(vec![e.predicate(condition, &joined)?])
                },
                |_| Ok(vec![zero]),
            )?;
            holds = out[0];
        }
        self.back_to(mark);
        self.b.ins().brif(
            holds,
            body,
            &[BlockArg::Value(at), BlockArg::Value(next), BlockArg::Value(zero)],
            header,
            &[BlockArg::Value(next), BlockArg::Value(matched)],
        );
        self.b.switch_to_block(body);
        let params = self.b.block_params(body).to_vec();
        let joined = self.joined(probe, row, params[0], Some(params[2]));
        then(self, &joined)?;
        self.back_to(mark);
        self.b.ins().jump(header, &[BlockArg::Value(params[1]), BlockArg::Value(one)]);
        self.b.switch_to_block(after);
        Ok(())
    }
}

/// Where the rows of a probing row's keys are, if there are any.
struct Found {
    form: Form,
    table: ir::Value,
    place: Place,
    keys: Vec<Value>,
    /// Whether the key is there (by key), or may be (hashed).
    likely: ir::Value,
    /// Whether a key is NULL, where one can be.
    null_key: Option<ir::Value>,
}

#[derive(Clone, Copy)]
enum Place {
    Block { block: ir::Value, bits: ir::Value, offset: ir::Value },
    Bucket { address: ir::Value, word: ir::Value },
}

fn row_columns(row: &Scope) -> Vec<Column> {
    (0..row.columns().len()).map(|i| Column::Same { scope: row.clone(), index: i }).collect()
}
