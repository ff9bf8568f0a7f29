//! Which buckets of a table can hold rows that pass a filter.

use crate::base::Result;
use crate::datasource::BucketSpec;
use crate::expr::evaluate::{hash, scalar};
use crate::expr::{ComparisonOp, Expr};

/// The buckets that `filters` leave; `None` when all. Only tables bucketed by one column are pruned.
///
/// # Errors
/// `Internal` for values of types without a hash.
pub fn selected(spec: &BucketSpec, filters: &[Expr]) -> Result<Option<Vec<bool>>> {
    let [column] = spec.columns.as_slice() else { return Ok(None) };
    let pruning = Pruning { column, buckets: spec.buckets };
    let mut selected = vec![true; spec.buckets];
    for filter in filters {
        selected.iter_mut().zip(pruning.of(filter)?).for_each(|(s, f)| *s &= f);
    }
    Ok(selected.contains(&false).then_some(selected))
}

struct Pruning<'a> {
    column: &'a str,
    buckets: usize,
}

impl Pruning<'_> {
    fn is_column(&self, e: &Expr) -> bool {
        matches!(e, Expr::Attribute(a) if a.name.eq_ignore_ascii_case(self.column))
    }

    /// The buckets of these constants as values of the column; all where one is not a constant of the column's type.
    fn of_values<'a>(&self, column: &Expr, values: impl IntoIterator<Item = &'a Expr>) -> Result<Vec<bool>> {
        let mut out = vec![false; self.buckets];
        for value in values {
            let Expr::Literal(value) = value else { return Ok(vec![true; self.buckets]) };
            if value.data_type() != column.data_type() {
                return Ok(vec![true; self.buckets]);
            }
            let bucket = hash::places(&[scalar::to_array(value, 1)?], 1, self.buckets)?[0];
            out[bucket as usize] = true;
        }
        Ok(out)
    }

    fn of(&self, filter: &Expr) -> Result<Vec<bool>> {
        let both = |l: &Expr, r: &Expr, f: fn(bool, bool) -> bool| -> Result<Vec<bool>> {
            Ok(self.of(l)?.into_iter().zip(self.of(r)?).map(|(l, r)| f(l, r)).collect())
        };
        match filter {
            Expr::Comparison { op: ComparisonOp::Equal | ComparisonOp::EqualNullSafe, left, right } => {
                match (self.is_column(left), self.is_column(right)) {
                    (true, _) => self.of_values(left, [right.as_ref()]),
                    (_, true) => self.of_values(right, [left.as_ref()]),
                    _ => Ok(vec![true; self.buckets]),
                }
            }
            Expr::In { value, list } if self.is_column(value) => self.of_values(value, list),
            Expr::IsNull(e) if self.is_column(e) => {
                let null = Expr::Literal(crate::base::Scalar::Null(e.data_type()));
                self.of_values(e, [&null])
            }
            Expr::And(l, r) => both(l, r, |l, r| l && r),
            Expr::Or(l, r) => both(l, r, |l, r| l || r),
            _ => Ok(vec![true; self.buckets]),
        }
    }
}
