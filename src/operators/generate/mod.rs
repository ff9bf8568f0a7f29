//! Generate: one output row per element that a generator function yields for an input row.

mod interpret;
#[cfg(test)]
mod tests;

use crate::base::Attribute;
use crate::expr::Expr;

#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// An `Expr::Function` that is a generator (explode, posexplode, inline, stack).
    pub generator: Expr,
    /// The child's columns that are passed on.
    pub required: Vec<Attribute>,
    /// Rows for which the generator yields nothing appear once, with NULLs.
    pub outer: bool,
    /// The generator's columns; those of the child come before them in the output.
    pub generator_output: Vec<Attribute>,
}

impl Generate {
    pub fn output(&self) -> Vec<Attribute> {
        [self.required.clone(), self.generator_output.clone()].concat()
    }
}
