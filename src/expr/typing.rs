//! Types and nullability of expressions.

use super::Expr;
use crate::base::{Attribute, DataType};

impl Expr {
    /// The type of the value; operands are already coerced.
    pub fn data_type(&self) -> DataType {
        todo!()
    }

    /// Whether the value can be NULL.
    pub fn nullable(&self) -> bool {
        todo!()
    }

    /// The output column of an `Attribute` or `Alias`.
    pub fn to_attribute(&self) -> Attribute {
        todo!()
    }
}
