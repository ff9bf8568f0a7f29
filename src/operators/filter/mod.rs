//! Filter: keeps the rows for which its condition is true; NULL is not true.

mod interpret;
mod lower;

use crate::expr::Expr;

#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub condition: Expr,
}
