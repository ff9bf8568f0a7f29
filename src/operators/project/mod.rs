//! Project: computes one output column per expression.

mod interpret;
mod lower;
pub(super) use interpret::projected;
pub use lower::project;

use crate::base::Attribute;
use crate::expr::Expr;

#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// `Attribute`s and `Alias`es.
    pub list: Vec<Expr>,
}

impl Project {
    pub fn output(&self) -> Vec<Attribute> {
        self.list.iter().map(Expr::to_attribute).collect()
    }
}
