//! BooleanSimplification: constants, repetitions and double negations in conditions; common conjuncts of an OR factored out.
//!
//! `(k = j AND a) OR (k = j AND b)` becomes `k = j AND (a OR b)`, which makes an equi-join of TPC-H's Q19.

use super::support::{boolean, is_false, is_true, unique};
use crate::base::{Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| node.map_expressions(&mut simplify))
}

/// Most alternatives that are searched for common parts, which takes quadratic time.
const MAX_SEARCHED: usize = 200;

fn simplify(e: Expr) -> Result<Expr> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match e {
        // Chains are taken apart as a whole, so that each is looked at once however deep it is.
        Expr::And(..) => {
            let parts = e.split_conjunction().into_iter().map(simplify).collect::<Result<Vec<_>>>()?;
            Ok(conjunction(parts.into_iter().flat_map(Expr::split_conjunction).collect()))
        }
        Expr::Or(..) => {
            let parts = e.split_disjunction().into_iter().map(simplify).collect::<Result<Vec<_>>>()?;
            Ok(disjunction(parts.into_iter().flat_map(Expr::split_disjunction).collect()))
        }
        Expr::Not(inner) => negation(*inner),
        other => other.map_children(&mut simplify),
    })
}

fn conjunction(mut parts: Vec<Expr>) -> Expr {
    if parts.iter().any(is_false) {
        return boolean(false);
    }
    parts.retain(|p| !is_true(p));
    Expr::conjunction(unique(parts)).unwrap_or_else(|| boolean(true))
}

fn disjunction(mut parts: Vec<Expr>) -> Expr {
    if parts.iter().any(is_true) {
        return boolean(true);
    }
    parts.retain(|p| !is_false(p));
    let parts = unique(parts);
    match parts.len() {
        0 => boolean(false),
        2..=MAX_SEARCHED => factored(parts),
        _ => joined_by_or(parts),
    }
}

fn joined_by_or(parts: Vec<Expr>) -> Expr {
    Expr::disjunction(parts).unwrap_or_else(|| boolean(false))
}

/// The disjuncts with the conjuncts that all of them have in front.
fn factored(parts: Vec<Expr>) -> Expr {
    let mut branches: Vec<Vec<Expr>> = parts.into_iter().map(Expr::split_conjunction).collect();
    let common: Vec<Expr> =
        branches[0].iter().filter(|c| c.is_deterministic() && branches[1..].iter().all(|b| b.contains(c))).cloned().collect();
    for b in &mut branches {
        b.retain(|c| !common.contains(c));
    }
    // A branch that is nothing but the common part makes the others superfluous.
    let rest = if branches.iter().any(Vec::is_empty) {
        vec![]
    } else {
        vec![joined_by_or(branches.into_iter().filter_map(Expr::conjunction).collect())]
    };
    conjunction(common.into_iter().chain(rest).collect())
}

fn negation(inner: Expr) -> Result<Expr> {
    Ok(match inner {
        Expr::Not(e) => simplify(*e)?,
        Expr::IsNull(e) => simplify(Expr::IsNotNull(e))?,
        Expr::IsNotNull(e) => simplify(Expr::IsNull(e))?,
        // De Morgan holds for three values too.
        Expr::And(..) => {
            let parts = inner.split_conjunction().into_iter().map(negation).collect::<Result<Vec<_>>>()?;
            disjunction(parts.into_iter().flat_map(Expr::split_disjunction).collect())
        }
        Expr::Or(..) => {
            let parts = inner.split_disjunction().into_iter().map(negation).collect::<Result<Vec<_>>>()?;
            conjunction(parts.into_iter().flat_map(Expr::split_conjunction).collect())
        }
        Expr::Comparison { op, left, right } if op != ComparisonOp::EqualNullSafe => {
            Expr::Comparison { op: opposite(op), left, right }.map_children(&mut simplify)?
        }
        other => match simplify(other)? {
            e if is_true(&e) => boolean(false),
            e if is_false(&e) => boolean(true),
            e => super::support::not(e),
        },
    })
}

/// The comparison that is true where `op` is false; NULL where it is NULL.
fn opposite(op: ComparisonOp) -> ComparisonOp {
    use ComparisonOp::*;
    match op {
        Equal => NotEqual,
        NotEqual => Equal,
        Less => GreaterOrEqual,
        GreaterOrEqual => Less,
        Greater => LessOrEqual,
        LessOrEqual => Greater,
        EqualNullSafe => EqualNullSafe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::{not, or};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let [a, b, c] = ["a", "b", "c"].map(|n| greater(column(&t, n), 1));
        for (condition, expected) in [
            (and(a.clone(), boolean(true)), a.clone()),
            (and(a.clone(), boolean(false)), boolean(false)),
            (or(a.clone(), boolean(true)), boolean(true)),
            (and(a.clone(), a.clone()), a.clone()),
            (not(not(a.clone())), a.clone()),
            (not(boolean(true)), boolean(false)),
            (or(and(a.clone(), b.clone()), and(a.clone(), c.clone())), and(a.clone(), or(b.clone(), c.clone()))),
            (or(a.clone(), and(a.clone(), b.clone())), a.clone()),
            (not(a.clone()), comparison_of(&t, ComparisonOp::LessOrEqual)),
        ] {
            assert_rewrites(apply, filtered(t.clone(), condition), &filtered(t.clone(), expected));
        }
    }

    fn comparison_of(t: &LogicalPlan, op: ComparisonOp) -> Expr {
        super::super::support::comparison(op, column(t, "a"), int(1))
    }

    #[test]
    fn leaves_different_conditions() {
        let t = table("t", 10);
        let [a, b, c] = ["a", "b", "c"].map(|n| greater(column(&t, n), 1));
        assert_unchanged(apply, &filtered(t.clone(), or(and(a.clone(), b.clone()), c)));
        assert_unchanged(apply, &filtered(t, and(a, b)));
    }

    #[test]
    fn deep_chains_take_linear_time() {
        let t = table("t", 10);
        let deep = (0..10_000).map(|i| greater(column(&t, "a"), i)).reduce(and).unwrap();
        stacker::maybe_grow(64 << 20, 128 << 20, || {
            assert!(apply(filtered(t, deep), &Settings::new()).is_ok());
        });
    }
}
