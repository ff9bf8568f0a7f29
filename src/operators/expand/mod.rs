//! Expand: each input row once per projection (grouping sets).

mod interpret;
mod lower;

use crate::base::Attribute;
use crate::expr::Expr;

#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    pub projections: Vec<Vec<Expr>>,
    pub output: Vec<Attribute>,
}
