//! Generate: one output row per element that a generator function yields for an input row.

mod interpret;
#[cfg(test)]
mod tests;

use crate::base::Attribute;
use crate::expr::Expr;

use super::SparkPlan;

#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// An `Expr::Function` that is a generator (explode, posexplode, inline, stack).
    pub generator: Expr,
    /// Rows for which the generator yields nothing appear once, with NULLs.
    pub outer: bool,
    /// The generator's columns; the child's come before them in the output.
    pub generator_output: Vec<Attribute>,
}

impl Generate {
    pub fn output(&self, child: &SparkPlan) -> Vec<Attribute> {
        [child.output(), self.generator_output.clone()].concat()
    }
}
