//! Project: computes one output column per expression.

mod interpret;

use crate::expr::Expr;

#[derive(Debug, Clone)]
pub struct Project {
    /// `Attribute`s and `Alias`es.
    pub list: Vec<Expr>,
}
