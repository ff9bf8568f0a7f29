//! Writing one pipeline function: hoisted loads, structured control flow, the error flag, and memory of what was computed.

use std::collections::HashMap;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, Block, BlockArg, FuncRef, InstBuilder, MemFlagsData, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::JITModule;

use super::module::import;
use super::scope::MemoKey;
use super::state::{Helper, Slot, StateLayout};
use super::value::{Value, clif_type};
use crate::base::{Result, Scalar};
use crate::runtime::batch::{COLUMN_VIEW_SIZE, VALUES};
use crate::runtime::{FieldKind, Status};

/// Writes the body of one pipeline function.
pub struct Emitter<'f> {
    pub b: FunctionBuilder<'f>,
    module: &'f mut JITModule,
    pub layout: &'f mut StateLayout,
    /// Whether columns may have NULLs in this variant.
    pub nulls: bool,
    state: ir::Value,
    /// The column views, or the row addresses.
    pub input: ir::Value,
    pub first: ir::Value,
    pub last: ir::Value,
    /// Hoisted loads are put before this jump at the end of the entry block.
    entry_jump: ir::Inst,
    /// Where `(base, offset)` was loaded to in the entry block.
    hoisted: HashMap<(ir::Value, i32, ir::Type), ir::Value>,
    functions: HashMap<&'static str, FuncRef>,
    error: Variable,
    /// Takes the status to return.
    exit: Block,
    memo: HashMap<MemoKey, Value>,
    /// Whether expressions over a row are computed once, wherever they occur.
    pub eliminate: bool,
    journal: Vec<MemoKey>,
    next_scope: u32,
    /// Columns of the input that the code reads.
    pub used_columns: Vec<bool>,
}

/// A place in the memory of computed values to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

/// Flags of loads and stores that never trap.
pub fn trusted() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// Flags of loads of what does not change during the call.
pub fn constant() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly()
}

/// Flags of loads of what does not change during the call, from an address that is valid wherever it is known: the load is made
/// where it is first needed, and not at all where it is not.
pub fn movable() -> MemFlagsData {
    constant().with_can_move()
}

impl<'f> Emitter<'f> {
    /// Begins the function; emission continues in the block after the entry.
    pub fn new(
        function: &'f mut ir::Function,
        context: &'f mut FunctionBuilderContext,
        module: &'f mut JITModule,
        layout: &'f mut StateLayout,
        input_columns: usize,
        nulls: bool,
    ) -> Self {
        let mut b = FunctionBuilder::new(function, context);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let params = b.block_params(entry).to_vec();
        let error = b.declare_var(types::I8);
        let zero = b.ins().iconst(types::I8, 0);
        b.def_var(error, zero);
        let body = b.create_block();
        let exit = b.create_block();
        b.append_block_param(exit, types::I64);
        let entry_jump = b.ins().jump(body, &[]);
        b.switch_to_block(body);
        Self {
            b,
            module,
            layout,
            nulls,
            state: params[0],
            input: params[1],
            first: params[2],
            last: params[3],
            entry_jump,
            hoisted: HashMap::new(),
            functions: HashMap::new(),
            error,
            exit,
            memo: HashMap::new(),
            eliminate: true,
            journal: vec![],
            next_scope: 0,
            used_columns: vec![false; input_columns],
        }
    }

    /// Ends the function: leaves by `Done` from here; `epilogue` is emitted once before the return, on every path.
    ///
    /// # Errors
    /// Those of `epilogue`.
    pub fn end(
        mut self,
        config: cranelift_codegen::isa::TargetFrontendConfig,
        epilogue: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Vec<bool>> {
        self.leave(Status::Done);
        self.b.switch_to_block(self.exit);
        epilogue(&mut self)?;
        let status = self.b.block_params(self.exit)[0];
        let error = self.b.use_var(self.error);
        let failed = self.b.ins().iconst(types::I64, Status::Error as i64);
        let result = self.b.ins().select(error, failed, status);
        self.b.ins().return_(&[result]);
        self.b.seal_all_blocks();
        let used = std::mem::take(&mut self.used_columns);
        self.b.finalize(config);
        Ok(used)
    }

    /// Jumps to the end of the function with a status. The current block is filled afterwards.
    pub fn leave(&mut self, status: Status) {
        let status = self.b.ins().iconst(types::I64, status as i64);
        self.b.ins().jump(self.exit, &[BlockArg::Value(status)]);
    }

    /// Loads once, in the entry block, what does not change during the call. `base` must be a parameter or itself hoisted.
    pub fn hoist(&mut self, base: ir::Value, offset: i32, t: ir::Type) -> ir::Value {
        if let Some(v) = self.hoisted.get(&(base, offset, t)) {
            return *v;
        }
        let mut cursor = FuncCursor::new(self.b.func).at_inst(self.entry_jump);
        let v = cursor.ins().load(t, constant(), base, offset);
        self.hoisted.insert((base, offset, t), v);
        v
    }

    /// The content of a slot that does not change during the call.
    pub fn slot(&mut self, slot: Slot) -> ir::Value {
        self.slot_as(slot, types::I64)
    }

    /// A slot read as a narrower or wider type.
    pub fn slot_as(&mut self, slot: Slot, t: ir::Type) -> ir::Value {
        self.hoist(self.state, (slot * 8) as i32, t)
    }

    /// The address of a slot.
    pub fn slot_address(&mut self, slot: Slot) -> ir::Value {
        self.b.ins().iadd_imm_s(self.state, (slot * 8) as i64)
    }

    /// Reads a slot that changes.
    pub fn load_slot(&mut self, slot: Slot, t: ir::Type) -> ir::Value {
        self.b.ins().load(t, trusted(), self.state, (slot * 8) as i32)
    }

    /// Writes a slot.
    pub fn store_slot(&mut self, slot: Slot, v: ir::Value) {
        self.b.ins().store(trusted(), v, self.state, (slot * 8) as i32);
    }

    /// The slot of a helper object, loaded.
    pub fn helper(&mut self, helper: Helper) -> ir::Value {
        let slot = self.layout.helper(helper);
        self.slot(slot)
    }

    /// A constant of the query, from its slot.
    pub fn constant(&mut self, value: &Scalar, kind: FieldKind) -> Value {
        let slot = self.layout.constant(value);
        let lo = self.slot_as(slot, clif_type(kind));
        if kind == FieldKind::Str {
            let hi = self.slot(slot + 1);
            let length = value.as_bytes().map(|b| (b.len() as i128, b.len() as i128));
            return Value::string(lo, hi).with_bounds(length);
        }
        Value::new(kind, lo).with_bounds(value.as_i128().map(|v| (v, v)))
    }

    /// The address of an array of the input column's view: values, validity or buffers.
    pub fn column_pointer(&mut self, column: usize, part: i32) -> ir::Value {
        self.used_columns[column] = true;
        debug_assert!(part >= VALUES);
        self.hoist(self.input, column as i32 * COLUMN_VIEW_SIZE + part, types::I64)
    }

    /// Calls a symbol.
    ///
    /// # Errors
    /// `Codegen` for a name that is not in the table.
    pub fn call(&mut self, name: &'static str, args: &[ir::Value]) -> Result<Option<ir::Value>> {
        let function = match self.functions.get(name) {
            Some(f) => *f,
            None => {
                let f = import(self.module, self.b.func, name)?;
                self.functions.insert(name, f);
                f
            }
        };
        let call = self.b.ins().call(function, args);
        Ok(self.b.inst_results(call).first().copied())
    }

    /// Calls a symbol that returns something.
    ///
    /// # Errors
    /// `Codegen` for a name that is not in the table or returns nothing.
    pub fn call_value(&mut self, name: &'static str, args: &[ir::Value]) -> Result<ir::Value> {
        self.call(name, args)?.ok_or_else(|| super::module::failure(format!("{name} returns nothing")))
    }

    /// Notes an error of this row if `condition` (0 or 1) holds and `null` does not.
    pub fn fail_if(&mut self, condition: ir::Value, null: Option<ir::Value>) {
        let condition = match null {
            Some(null) => self.b.ins().band_not(condition, null),
            None => condition,
        };
        let error = self.b.use_var(self.error);
        let error = self.b.ins().bor(error, condition);
        self.b.def_var(self.error, error);
    }

    /// A 128-bit or narrower integer constant of the code itself (scales, limits), not of the query.
    pub fn integer(&mut self, t: ir::Type, v: i128) -> ir::Value {
        if t == types::I128 {
            let lo = self.b.ins().iconst(types::I64, v as i64);
            if v == i128::from(v as i64) {
                return self.b.ins().sextend(types::I128, lo);
            }
            let hi = self.b.ins().iconst(types::I64, (v >> 64) as i64);
            return self.b.ins().iconcat(lo, hi);
        }
        let bits = t.bits();
        let v = if bits == 64 { v as i64 } else { (v as i64) & ((1i64 << bits) - 1) };
        self.b.ins().iconst(t, v)
    }

    pub fn compare(&mut self, condition: IntCC, a: ir::Value, b: ir::Value) -> ir::Value {
        self.b.ins().icmp(condition, a, b)
    }

    // Control flow -------------------------------------------------------------------------------------------------------

    /// Runs `then` only where `condition` holds.
    ///
    /// # Errors
    /// Those of `then`.
    pub fn when(&mut self, condition: ir::Value, then: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let (inside, after) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let mark = self.mark();
        then(self)?;
        self.back_to(mark);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
        Ok(())
    }

    /// One of two lists of values.
    ///
    /// # Errors
    /// Those of the closures.
    pub fn either(
        &mut self,
        condition: ir::Value,
        result_types: &[ir::Type],
        then: impl FnOnce(&mut Self) -> Result<Vec<ir::Value>>,
        otherwise: impl FnOnce(&mut Self) -> Result<Vec<ir::Value>>,
    ) -> Result<Vec<ir::Value>> {
        let (yes, no, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        for t in result_types {
            self.b.append_block_param(after, *t);
        }
        self.b.ins().brif(condition, yes, &[], no, &[]);
        for (block, branch) in [(yes, Branch::Then(then)), (no, Branch::Else(otherwise))] {
            self.b.switch_to_block(block);
            let mark = self.mark();
            let values = match branch {
                Branch::Then(f) => f(self)?,
                Branch::Else(f) => f(self)?,
            };
            self.back_to(mark);
            self.b.ins().jump(after, &block_args(&values));
        }
        self.b.switch_to_block(after);
        Ok(self.b.block_params(after).to_vec())
    }

    // Memory of computed values ------------------------------------------------------------------------------------------

    /// A fresh number for a scope.
    pub fn new_scope(&mut self) -> u32 {
        self.next_scope += 1;
        self.next_scope
    }

    /// What is remembered from here on can be forgotten by [`Self::back_to`]: values computed in one branch do not exist
    /// behind it.
    pub fn mark(&self) -> Mark {
        Mark(self.journal.len())
    }

    pub fn back_to(&mut self, mark: Mark) {
        for key in self.journal.drain(mark.0..) {
            self.memo.remove(&key);
        }
    }

    pub fn recall(&self, key: &MemoKey) -> Option<Value> {
        self.memo.get(key).copied()
    }

    pub fn remember(&mut self, key: MemoKey, value: Value) {
        if self.memo.insert(key.clone(), value).is_none() {
            self.journal.push(key);
        }
    }
}

enum Branch<T, E> {
    Then(T),
    Else(E),
}

/// Values as arguments of a jump.
pub fn block_args(values: &[ir::Value]) -> Vec<BlockArg> {
    values.iter().map(|v| BlockArg::Value(*v)).collect()
}
