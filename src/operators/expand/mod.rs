//! Expand: each input row once per projection (grouping sets).

use crate::base::Attribute;
use crate::expr::Expr;

#[derive(Debug, Clone)]
pub struct Expand {
    pub projections: Vec<Vec<Expr>>,
    pub output: Vec<Attribute>,
}
