//! Where the columns of a row come from; each is loaded or computed where it is first used, and at most once.

use std::rc::Rc;

use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::{Emitter, constant, movable, trusted};
use super::value::{Bounds, Value, clif_type, fits_i64, intersect, kind_of, type_bounds};
use crate::base::{DataType, Error, Result};
use crate::expr::Expr;
use crate::runtime::FieldKind;
use crate::runtime::batch::{BUFFERS, VALIDITY, VALUES};
use crate::runtime::row::RowField;
use crate::runtime::string::INLINE;

/// A row during emission: its columns by position.
pub type Scope = Rc<Row>;

/// See [`Scope`].
pub struct Row {
    id: u32,
    columns: Vec<Column>,
}

/// Where a column comes from.
#[derive(Clone)]
pub enum Column {
    /// Row `row` of column `index` of the input batch.
    Input { index: usize, row: ir::Value, data_type: DataType, nullable: bool, bounds: Option<Bounds> },
    /// An expression over another row (a projection not needed so far).
    Computed { expr: Rc<Expr>, scope: Scope },
    /// A field of the packed row at `address`; NULL as a whole where `absent` (the unmatched side of an outer join).
    Field { address: ir::Value, field: RowField, data_type: DataType, absent: Option<ir::Value>, bounds: Option<Bounds> },
    /// A column of another row.
    Same { scope: Scope, index: usize },
    /// A value there is already.
    Known(Value),
}

/// What was computed of which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MemoKey {
    Column(u32, usize),
    Expr(u32, Rc<Expr>),
}

impl Row {
    pub fn new(e: &mut Emitter, columns: Vec<Column>) -> Scope {
        Rc::new(Row { id: e.new_scope(), columns })
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

/// The column of the input batch that a column of a row is, if it is one unchanged.
pub fn input_column(row: &Scope, column: usize) -> Option<usize> {
    match row.columns.get(column)? {
        Column::Input { index, .. } => Some(*index),
        Column::Same { scope, index } => input_column(scope, *index),
        Column::Computed { expr, scope } => match expr.unaliased() {
            Expr::Column { index, .. } => input_column(scope, *index),
            _ => None,
        },
        Column::Field { .. } | Column::Known(_) => None,
    }
}

/// What loading checks or the type promises of a column's bounds: of a string's length, that it is inline.
fn proven(bounds: Option<Bounds>, data_type: &DataType) -> Option<Bounds> {
    match data_type {
        DataType::String | DataType::Binary => bounds.filter(|(_, most)| *most <= INLINE as i128).map(|(_, most)| (0, most)),
        _ => intersect(bounds, type_bounds(data_type)),
    }
}

impl Emitter<'_> {
    /// The value of a column of a row.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn column(&mut self, scope: &Scope, index: usize) -> Result<Value> {
        let key = MemoKey::Column(scope.id, index);
        if let Some(v) = self.recall(&key) {
            return Ok(v);
        }
        let column = scope.columns.get(index).ok_or_else(|| Error::internal(format!("no column {index} in a compiled row")))?;
        let value = match column {
            Column::Known(v) => *v,
            Column::Same { scope, index } => return self.column(scope, *index),
            Column::Input { index, row, data_type, nullable, bounds } => {
                let bounds = proven(*bounds, data_type);
                self.load_input(*index, *row, data_type, *nullable, bounds)?.with_bounds(bounds)
            }
            Column::Computed { expr, scope } => self.expr(expr, scope)?,
            Column::Field { address, field, data_type, absent, bounds } => {
                let value = self.load_field(*address, field);
                let null = self.either_null(value.null, *absent);
                value.with_null(null).with_bounds(proven(*bounds, data_type))
            }
        };
        self.remember(key, value);
        Ok(value)
    }

    /// Row `row` of input column `column`.
    fn load_input(&mut self, column: usize, row: ir::Value, data_type: &DataType, nullable: bool, bounds: Option<Bounds>) -> Result<Value> {
        let kind = kind_of(data_type).ok_or_else(|| super::module::failure(format!("values of type {data_type}")))?;
        let values = self.column_pointer(column, VALUES);
        let scaled = self.b.ins().imul_imm_s(row, kind.size() as i64);
        let address = self.b.ins().iadd(values, scaled);
        let (mut promised, mut wide) = (None, None);
        let mut value = if kind == FieldKind::Str {
            let lo = self.b.ins().load(types::I64, movable(), address, 0);
            let raw = self.b.ins().load(types::I64, movable(), address, 8);
            match bounds {
                Some((_, most)) if most <= INLINE as i128 => {
                    promised = Some(lo);
                    Value::string(lo, raw)
                }
                _ => Value { tail: Some(raw), ..Value::string(lo, self.string_address(column, lo, raw)) },
            }
        } else if kind == FieldKind::I128 && fits_i64(bounds) {
            let lo = self.b.ins().load(types::I64, constant(), address, 0);
            let hi = self.b.ins().load(types::I64, constant(), address, 8);
            let sign = self.b.ins().sshr_imm_u(lo, 63);
            wide = Some(self.b.ins().icmp(ir::condcodes::IntCC::NotEqual, hi, sign));
            Value::new(FieldKind::I64, lo)
        } else {
            let lo = self.b.ins().load(clif_type(kind), constant(), address, 0);
            Value::new(kind, lo)
        };
        if nullable && self.nulls {
            let validity = self.column_pointer(column, VALIDITY);
            let address = self.b.ins().iadd(validity, row);
            let valid = self.b.ins().load(types::I8, constant(), address, 0);
            value.null = Some(self.b.ins().bxor_imm_u(valid, 1));
        }
        // Statistics of a file may lie; the interpreter then takes over.
        if let Some(beyond) = wide {
            self.fail_if(beyond, value.null);
        }
        if let Some((lo, (_, most))) = promised.zip(bounds) {
            // Until then, and for NULL, there is no address to read.
            let length = self.b.ins().ireduce(types::I32, lo);
            let beyond = self.b.ins().icmp_imm_u(ir::condcodes::IntCC::UnsignedGreaterThan, length, most as i64);
            self.fail_if(beyond, value.null);
            let empty = self.b.ins().iconst(types::I64, 0);
            value.lo = self.b.ins().select(beyond, empty, lo);
        }
        Ok(value)
    }

    /// The high word of a string, where it is long with the address in place of the view's buffer and offset. It is computed only
    /// where it is used: comparisons with short constants get by without.
    fn string_address(&mut self, column: usize, lo: ir::Value, raw: ir::Value) -> ir::Value {
        let table = self.column_pointer(column, BUFFERS);
        // Short strings read the table's first entry for nothing, which is cheaper than a branch.
        let length = self.b.ins().ireduce(types::I32, lo);
        let long = self.b.ins().icmp_imm_u(ir::condcodes::IntCC::UnsignedGreaterThan, length, INLINE as i64);
        let zero = self.b.ins().iconst(types::I64, 0);
        let index = self.b.ins().band_imm_u(raw, 0xFFFF_FFFF);
        let index = self.b.ins().select(long, index, zero);
        let entry = self.b.ins().ishl_imm_u(index, 3);
        let entry = self.b.ins().iadd(table, entry);
        let base = self.b.ins().load(types::I64, movable(), entry, 0);
        let offset = self.b.ins().ushr_imm_u(raw, 32);
        let pointer = self.b.ins().iadd(base, offset);
        self.b.ins().select(long, pointer, raw)
    }

    /// A field of a packed row.
    pub fn load_field(&mut self, address: ir::Value, field: &RowField) -> Value {
        let offset = field.offset as i32;
        let lo = self.b.ins().load(clif_type(field.kind), trusted(), address, offset);
        let mut value = Value::new(field.kind, lo);
        if field.kind == FieldKind::Str {
            value.hi = Some(self.b.ins().load(types::I64, trusted(), address, offset + 8));
            value.tail = value.hi;
        }
        value.null = field.null.map(|at| self.b.ins().load(types::I8, trusted(), address, at as i32));
        value
    }

    /// Writes a value to a field of a packed row; the null byte too, where there is one.
    pub fn store_field(&mut self, address: ir::Value, field: &RowField, value: &Value) {
        let offset = field.offset as i32;
        let value = self.widen(value, field.kind);
        self.b.ins().store(trusted(), value.lo, address, offset);
        if let Some(hi) = value.hi {
            self.b.ins().store(trusted(), hi, address, offset + 8);
        }
        if let Some(at) = field.null {
            let null = value.null.unwrap_or_else(|| self.b.ins().iconst(types::I8, 0));
            self.b.ins().store(trusted(), null, address, at as i32);
        }
    }

    /// NULL if either is.
    pub fn either_null(&mut self, a: Option<ir::Value>, b: Option<ir::Value>) -> Option<ir::Value> {
        match (a, b) {
            (Some(a), Some(b)) if a == b => Some(a),
            (Some(a), Some(b)) => Some(self.b.ins().bor(a, b)),
            (some, None) | (None, some) => some,
        }
    }

    /// The same integer held in `kind` (64 or 128 bits where they differ).
    pub fn widen(&mut self, value: &Value, kind: FieldKind) -> Value {
        let lo = match (value.kind, kind) {
            (FieldKind::I64, FieldKind::I128) => self.b.ins().sextend(types::I128, value.lo),
            (FieldKind::I128, FieldKind::I64) => self.b.ins().ireduce(types::I64, value.lo),
            _ => value.lo,
        };
        Value { kind, lo, ..*value }
    }
}
