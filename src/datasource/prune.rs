//! Whether a filter can hold for any row of a block of which only bounds are known.

use std::cmp::Ordering;

use super::statistics::compare;
use crate::base::{DataType, Scalar};
use crate::expr::{ComparisonOp, Expr, ScalarFunction};

/// What is known of one column over a block of rows.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockColumn {
    pub min: Option<Scalar>,
    pub max: Option<Scalar>,
    pub null_count: Option<u64>,
    pub rows: u64,
}

impl BlockColumn {
    fn may_be_null(&self) -> bool {
        self.null_count != Some(0)
    }

    fn all_null(&self) -> bool {
        self.null_count == Some(self.rows)
    }
}

/// Whether `filter` may be true for some row, given what is known of each column by its position. Never wrongly `false`.
pub(super) fn may_match(filter: &Expr, column: &dyn Fn(usize) -> Option<BlockColumn>) -> bool {
    outcomes(filter, column).may_be_true
}

/// Which values a predicate can take over the block.
#[derive(Clone, Copy)]
struct Outcomes {
    may_be_true: bool,
    may_be_false: bool,
    may_be_null: bool,
}

impl Outcomes {
    const ANY: Self = Self { may_be_true: true, may_be_false: true, may_be_null: true };
    const NULL: Self = Self { may_be_true: false, may_be_false: false, may_be_null: true };

    fn not(self) -> Self {
        Self { may_be_true: self.may_be_false, may_be_false: self.may_be_true, ..self }
    }

    fn and(self, other: Self) -> Self {
        Self {
            may_be_true: self.may_be_true && other.may_be_true,
            may_be_false: self.may_be_false || other.may_be_false,
            may_be_null: self.may_be_null && (other.may_be_null || other.may_be_true) || other.may_be_null && self.may_be_true,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

fn outcomes(filter: &Expr, column: &dyn Fn(usize) -> Option<BlockColumn>) -> Outcomes {
    stacker::maybe_grow(64 << 10, 1 << 20, || match filter {
        Expr::Literal(Scalar::Boolean(b)) => Outcomes { may_be_true: *b, may_be_false: !*b, may_be_null: false },
        Expr::Literal(Scalar::Null(_)) => Outcomes::NULL,
        Expr::And(l, r) => outcomes(l, column).and(outcomes(r, column)),
        Expr::Or(l, r) => outcomes(l, column).or(outcomes(r, column)),
        Expr::Not(e) => outcomes(e, column).not(),
        Expr::IsNull(e) => is_null(e, column),
        Expr::IsNotNull(e) => is_null(e, column).not(),
        Expr::Comparison { op, left, right } => match (&**left, &**right) {
            (l, Expr::Literal(v)) => comparison(*op, block(l, column), v),
            (Expr::Literal(v), r) => comparison(op.swapped(), block(r, column), v),
            _ => Outcomes::ANY,
        },
        Expr::In { value, list } => in_list(block(value, column), list),
        Expr::Like { value, pattern, escape, case_insensitive: false } => match &**pattern {
            Expr::Literal(Scalar::String(pattern)) => starts_with(block(value, column), &like_prefix(pattern, *escape)),
            _ => Outcomes::ANY,
        },
        Expr::Function { function: ScalarFunction::StartsWith, args } => match args.as_slice() {
            [value, Expr::Literal(Scalar::String(prefix))] => starts_with(block(value, column), prefix),
            _ => Outcomes::ANY,
        },
        // A boolean column as a predicate is the comparison of it with true.
        e @ Expr::Column { data_type: DataType::Boolean, .. } => comparison(ComparisonOp::Equal, block(e, column), &Scalar::Boolean(true)),
        _ => Outcomes::ANY,
    })
}

/// The block's column under an expression that keeps values as they are.
fn block(e: &Expr, column: &dyn Fn(usize) -> Option<BlockColumn>) -> Option<BlockColumn> {
    match e {
        Expr::Column { index, .. } => column(*index),
        Expr::Alias { expr, .. } => block(expr, column),
        // Widening casts of integers keep their values, and `compare` does not mind the width.
        Expr::Cast { expr, to: DataType::Short | DataType::Int | DataType::Long, .. } if integer_column(expr) => block(expr, column),
        _ => None,
    }
}

fn integer_column(e: &Expr) -> bool {
    matches!(e, Expr::Column { data_type: DataType::Byte | DataType::Short | DataType::Int, .. })
}

fn is_null(e: &Expr, column: &dyn Fn(usize) -> Option<BlockColumn>) -> Outcomes {
    match block(e, column) {
        Some(c) => Outcomes { may_be_true: c.may_be_null(), may_be_false: !c.all_null(), may_be_null: false },
        None => Outcomes { may_be_null: false, ..Outcomes::ANY },
    }
}

fn comparison(op: ComparisonOp, column: Option<BlockColumn>, value: &Scalar) -> Outcomes {
    let Some(column) = column else { return Outcomes::ANY };
    if op == ComparisonOp::EqualNullSafe {
        if value.is_null() {
            return Outcomes { may_be_true: column.may_be_null(), may_be_false: !column.all_null(), may_be_null: false };
        }
        let equal = comparison(ComparisonOp::Equal, Some(column), value);
        return Outcomes { may_be_false: equal.may_be_false || equal.may_be_null, may_be_null: false, ..equal };
    }
    if value.is_null() || column.all_null() {
        return Outcomes::NULL;
    }
    // `Some(o)` is how the bound stands to the value; `None` leaves everything possible on that side.
    let low = column.min.as_ref().and_then(|m| compare(m, value));
    let high = column.max.as_ref().and_then(|m| compare(m, value));
    let some_less = low != Some(Ordering::Equal) && low != Some(Ordering::Greater);
    let some_greater = high != Some(Ordering::Equal) && high != Some(Ordering::Less);
    let some_equal = low != Some(Ordering::Greater) && high != Some(Ordering::Less);
    let (may_be_true, may_be_false) = match op {
        ComparisonOp::Equal | ComparisonOp::EqualNullSafe => (some_equal, some_less || some_greater),
        ComparisonOp::NotEqual => (some_less || some_greater, some_equal),
        ComparisonOp::Less => (some_less, some_equal || some_greater),
        ComparisonOp::LessOrEqual => (some_less || some_equal, some_greater),
        ComparisonOp::Greater => (some_greater, some_equal || some_less),
        ComparisonOp::GreaterOrEqual => (some_greater || some_equal, some_less),
    };
    Outcomes { may_be_true, may_be_false, may_be_null: column.may_be_null() }
}

fn in_list(column: Option<BlockColumn>, list: &[Expr]) -> Outcomes {
    let none = Outcomes { may_be_true: false, may_be_false: true, may_be_null: false };
    list.iter().fold(none, |found, item| match item {
        Expr::Literal(v) => found.or(comparison(ComparisonOp::Equal, column.clone(), v)),
        _ => Outcomes::ANY,
    })
}

/// The text that every match begins with.
fn like_prefix(pattern: &str, escape: char) -> String {
    let mut prefix = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => match chars.next() {
                Some(next) => prefix.push(next),
                None => break,
            },
            '%' | '_' => break,
            c => prefix.push(c),
        }
    }
    prefix
}

fn starts_with(column: Option<BlockColumn>, prefix: &str) -> Outcomes {
    let Some(column) = column else { return Outcomes::ANY };
    let above = matches!(&column.min, Some(Scalar::String(min)) if min.as_bytes() > prefix.as_bytes() && !min.starts_with(prefix));
    let below = matches!(&column.max, Some(Scalar::String(max)) if max.as_bytes() < prefix.as_bytes());
    Outcomes { may_be_true: !above && !below && !column.all_null(), may_be_false: true, may_be_null: column.may_be_null() }
}

/// The share of rows that a comparison with a literal keeps if values were spread evenly between the bounds, and 0.1 for
/// an equality; `None` where nothing is known.
pub(super) fn selectivity(filter: &Expr, column: &dyn Fn(usize) -> Option<BlockColumn>) -> Option<f64> {
    match filter {
        Expr::And(l, r) => match (selectivity(l, column), selectivity(r, column)) {
            (Some(a), Some(b)) => Some(a * b),
            (a, b) => a.or(b),
        },
        Expr::Or(l, r) => Some((selectivity(l, column)? + selectivity(r, column)?).min(1.0)),
        Expr::In { value, list } => {
            let item = Expr::Comparison { op: ComparisonOp::Equal, left: value.clone(), right: Box::new(list.first()?.clone()) };
            Some((selectivity(&item, column)? * list.len() as f64).min(1.0))
        }
        Expr::Comparison { op, left, right } => match (&**left, &**right) {
            (l, Expr::Literal(v)) => comparison_selectivity(*op, &block(l, column)?, v),
            (Expr::Literal(v), r) => comparison_selectivity(op.swapped(), &block(r, column)?, v),
            _ => None,
        },
        _ => None,
    }
}

fn comparison_selectivity(op: ComparisonOp, column: &BlockColumn, value: &Scalar) -> Option<f64> {
    let position = || {
        let (min, max, value) = (column.min.as_ref()?.as_i128()?, column.max.as_ref()?.as_i128()?, value.as_i128()?);
        (max > min).then(|| ((value - min) as f64 / (max - min) as f64).clamp(0.0, 1.0))
    };
    let width = || Some((column.max.as_ref()?.as_i128()? - column.min.as_ref()?.as_i128()? + 1) as f64);
    match op {
        ComparisonOp::Equal | ComparisonOp::EqualNullSafe => Some(width().map_or(0.1, |w| 1.0 / w.max(1.0))),
        ComparisonOp::NotEqual => Some(1.0),
        ComparisonOp::Less | ComparisonOp::LessOrEqual => position(),
        ComparisonOp::Greater | ComparisonOp::GreaterOrEqual => Some(1.0 - position()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &Expr, min: i32, max: i32, nulls: u64) -> bool {
        may_match(filter, &|_| {
            Some(BlockColumn { min: Some(Scalar::Int(min)), max: Some(Scalar::Int(max)), null_count: Some(nulls), rows: 10 })
        })
    }

    fn column() -> Box<Expr> {
        Box::new(Expr::Column { index: 0, data_type: DataType::Int, nullable: true })
    }

    fn compare_to(op: ComparisonOp, v: i32) -> Expr {
        Expr::Comparison { op, left: column(), right: Box::new(Expr::Literal(Scalar::Int(v))) }
    }

    #[test]
    fn comparisons() {
        use ComparisonOp::*;
        assert!(matches(&compare_to(Equal, 5), 1, 9, 0));
        assert!(!matches(&compare_to(Equal, 10), 1, 9, 0));
        assert!(!matches(&compare_to(Less, 1), 1, 9, 0));
        assert!(matches(&compare_to(LessOrEqual, 1), 1, 9, 0));
        assert!(!matches(&compare_to(Greater, 9), 1, 9, 0));
        assert!(matches(&compare_to(GreaterOrEqual, 9), 1, 9, 0));
        assert!(!matches(&compare_to(NotEqual, 4), 4, 4, 0));
        assert!(!matches(&Expr::Not(Box::new(compare_to(Equal, 4))), 4, 4, 3));
        assert!(!matches(&compare_to(Equal, 4), 4, 4, 10));
        let swapped = Expr::Comparison { op: Less, left: Box::new(Expr::Literal(Scalar::Int(9))), right: column() };
        assert!(!matches(&swapped, 1, 9, 0));
    }

    #[test]
    fn connectives_lists_and_nulls() {
        use ComparisonOp::*;
        let outside = Expr::Or(Box::new(compare_to(Less, 0)), Box::new(compare_to(Greater, 20)));
        assert!(!matches(&outside, 1, 9, 0));
        assert!(matches(&Expr::Not(Box::new(outside)), 1, 9, 0));
        let list = vec![Expr::Literal(Scalar::Int(0)), Expr::Literal(Scalar::Int(12))];
        assert!(!matches(&Expr::In { value: column(), list: list.clone() }, 1, 9, 0));
        assert!(matches(&Expr::In { value: column(), list }, 1, 12, 0));
        assert!(!matches(&Expr::IsNull(column()), 1, 9, 0));
        assert!(matches(&Expr::IsNull(column()), 1, 9, 1));
        assert!(!matches(&Expr::IsNotNull(column()), 1, 9, 10));
        // An expression that is not understood never prunes, negated or not.
        let odd = Expr::Comparison { op: Equal, left: Box::new(Expr::Negate(column())), right: Box::new(Expr::Literal(Scalar::Int(0))) };
        assert!(matches(&odd, 1, 9, 0) && matches(&Expr::Not(Box::new(odd)), 1, 9, 0));
    }

    #[test]
    fn prefixes() {
        let like = |pattern: &str, min: &str, max: &str| {
            let filter = Expr::Like {
                value: Box::new(Expr::Column { index: 0, data_type: DataType::String, nullable: true }),
                pattern: Box::new(Expr::Literal(Scalar::string(pattern))),
                escape: '\\',
                case_insensitive: false,
            };
            may_match(&filter, &|_| {
                Some(BlockColumn { min: Some(Scalar::string(min)), max: Some(Scalar::string(max)), null_count: Some(0), rows: 10 })
            })
        };
        assert!(like("green%", "blue", "red") && like("green%", "greener", "red") && like("%x", "blue", "red"));
        assert!(!like("green%", "grey", "red") && !like("green%", "blue", "gold"));
        assert!(!like("a\\%b%", "b", "c"));
    }
}
