//! How many rows a join yields.
//!
//! `|L| |R| / d`, where `d` is the number of values of the key in the larger of both domains (the smaller is taken to be contained
//! in it) and only rows count whose keys lie within the bounds of the other side's. Where one side's key is unique in its table, it is taken for the primary key that the other refers to, and `d` is its
//! number of values: that keeps estimates right for keys of several columns, whose distinct counts cannot be multiplied.

use std::collections::{HashMap, HashSet};

use super::{ColumnStatistics, Statistics, TableRows, equi_keys, expression, selectivity};
use crate::base::ExprId;
use crate::expr::Expr;
use crate::logical::{Join, JoinType};

/// What an equi-join's key column (or expression) on one side can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyColumn {
    /// Values in its domain; at least 1.
    pub distinct: f64,
    /// Least and greatest value on a numeric scale.
    bounds: Option<(f64, f64)>,
    table: Option<TableRows>,
}

/// The values that a key of one or more columns can take.
#[derive(Debug, Clone, Copy, PartialEq)]
struct KeyDomain {
    distinct: f64,
    /// As many values as its table has rows.
    unique: bool,
}

/// Part of a table's rows that distinct values must reach for a key to be taken as unique.
const NEARLY_UNIQUE: f64 = 0.9;

/// What is known of a key over the output that `side` describes; as many values as rows if nothing is.
pub fn key_column(side: &Statistics, key: &Expr) -> KeyColumn {
    let known = expression(key, side);
    let distinct = known.as_ref().and_then(|c| c.distinct_count).unwrap_or_else(|| side.rows()).max(1.0);
    let bounds = known.as_ref().and_then(|c| Some((selectivity::position(c.min.as_ref()?)?, selectivity::position(c.max.as_ref()?)?)));
    KeyColumn { distinct, bounds, table: known.and_then(|c| c.table) }
}

/// An equi-join on pairs of keys (left, right).
#[derive(Debug, Clone, Copy)]
pub struct EquiJoin {
    left: KeyDomain,
    right: KeyDomain,
    /// Parts of the left and right rows whose keys lie within the bounds of the other side's.
    left_part: f64,
    right_part: f64,
}

impl EquiJoin {
    pub fn new(pairs: &[(KeyColumn, KeyColumn)]) -> Self {
        let (mut left_part, mut right_part) = (1.0, 1.0);
        for (l, r) in pairs {
            let (of_left, of_right) = overlap(l, r);
            left_part *= of_left;
            right_part *= of_right;
        }
        let (l, r): (Vec<KeyColumn>, Vec<KeyColumn>) = pairs.iter().copied().unzip();
        Self { left: domain(&l, left_part), right: domain(&r, right_part), left_part, right_part }
    }

    /// The `d` of the module's formula.
    fn matching_values(&self) -> f64 {
        let (l, r) = (self.left, self.right);
        match (l.unique, r.unique) {
            (true, true) => l.distinct.min(r.distinct),
            (true, false) => l.distinct,
            (false, true) => r.distinct,
            (false, false) => l.distinct.max(r.distinct),
        }
        .max(1.0)
    }

    /// Part of all pairs of rows that match.
    pub fn selectivity(&self) -> f64 {
        self.left_part * self.right_part / self.matching_values()
    }

    /// Part of the left rows with a match among `right_rows` rows, and how many values those have.
    fn semi(&self, right_rows: f64) -> (f64, f64) {
        let partners = self.right.distinct.min(right_rows * self.right_part);
        (self.left_part * (partners / self.matching_values()).min(1.0), partners)
    }
}

/// Parts of both ranges of values that they have in common.
fn overlap(l: &KeyColumn, r: &KeyColumn) -> (f64, f64) {
    let (Some((l_min, l_max)), Some((r_min, r_max))) = (l.bounds, r.bounds) else { return (1.0, 1.0) };
    let common = l_max.min(r_max) - l_min.max(r_min);
    let part = |(min, max): (f64, f64)| {
        if common < 0.0 {
            0.0
        } else if max > min {
            ((common + 1.0) / (max - min + 1.0)).min(1.0)
        } else {
            1.0
        }
    };
    (part((l_min, l_max)), part((r_min, r_max)))
}

fn domain(keys: &[KeyColumn], part: f64) -> KeyDomain {
    let distinct: f64 = keys.iter().map(|k| k.distinct).product();
    let tables: Option<Vec<TableRows>> = keys.iter().map(|k| k.table).collect();
    match tables.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|t| t.id == first.id) => {
            let capped = distinct.min(first.rows.max(1.0));
            KeyDomain { distinct: (capped * part).max(1.0), unique: distinct >= NEARLY_UNIQUE * first.rows }
        }
        _ => KeyDomain { distinct: (distinct * part).max(1.0), unique: false },
    }
}

/// Rows of the join; `None` where those of an input are unknown.
pub fn join_rows(j: &Join, left: &Statistics, right: &Statistics) -> Option<f64> {
    let (l_rows, r_rows) = (left.row_count?, right.row_count?);
    let (keys, rest) = keys_of(j);
    // Two equalities with one and the same column say little more than one.
    let mut seen = HashSet::new();
    let keys: Vec<(&Expr, &Expr)> = keys.into_iter().filter(|(l, r)| seen.insert(*l) & seen.insert(*r)).collect();
    let pairs: Vec<(KeyColumn, KeyColumn)> = keys.into_iter().map(|(l, r)| (key_column(left, l), key_column(right, r))).collect();
    let equi = EquiJoin::new(&pairs);
    let rest_part: f64 = rest.iter().map(|c| selectivity::over_both(c)).product();
    let inner = l_rows * r_rows * rest_part * if pairs.is_empty() { 1.0 } else { equi.selectivity() };
    let semi = || {
        if pairs.is_empty() {
            return l_rows * r_rows.min(1.0);
        }
        let (part, partners) = equi.semi(r_rows);
        // A condition on top of the keys has as many chances to hold as a value has rows.
        let chances = (r_rows / partners.max(1.0)).max(1.0);
        l_rows * part * (1.0 - (1.0 - rest_part).powf(chances))
    };
    Some(match j.join_type {
        JoinType::Inner | JoinType::Cross => inner,
        JoinType::LeftOuter => inner.max(l_rows),
        JoinType::RightOuter => inner.max(r_rows),
        JoinType::FullOuter => inner.max(l_rows).max(r_rows).max(l_rows + r_rows - inner),
        JoinType::LeftSemi => semi(),
        // Never next to nothing: an underestimate here is dearer than an overestimate.
        JoinType::LeftAnti | JoinType::NullAwareAnti => (l_rows - semi()).max(l_rows * 0.1),
        JoinType::Existence(_) | JoinType::LeftSingle => l_rows,
    })
}

/// Key pairs (left, right) of a join's condition, and its other conjuncts.
fn keys_of(j: &Join) -> (Vec<(&Expr, &Expr)>, Vec<&Expr>) {
    let ids = |p: &crate::logical::LogicalPlan| p.output().iter().map(|a| a.id).collect::<HashSet<ExprId>>();
    j.condition.as_ref().map_or((vec![], vec![]), |c| equi_keys(c, &ids(&j.left), &ids(&j.right)))
}

/// Columns of the join's output. Matching rows lie within the bounds of both keys.
pub fn join_columns(j: &Join, left: &Statistics, right: &Statistics) -> HashMap<ExprId, ColumnStatistics> {
    let mut columns = left.columns.clone();
    if j.join_type.keeps_right() {
        columns.extend(right.columns.clone());
    }
    let (narrow_left, narrow_right) = match j.join_type {
        JoinType::Inner | JoinType::Cross => (true, true),
        JoinType::LeftSemi => (true, false),
        // NULLs aside, the padded side has only values of matching rows.
        JoinType::LeftOuter | JoinType::LeftSingle => (false, true),
        JoinType::RightOuter => (true, false),
        JoinType::FullOuter | JoinType::LeftAnti | JoinType::NullAwareAnti | JoinType::Existence(_) => (false, false),
    };
    for (l, r) in keys_of(j).0 {
        let (Expr::Attribute(l), Expr::Attribute(r)) = (l, r) else { continue };
        let (Some(lc), Some(rc)) = (left.columns.get(&l.id), right.columns.get(&r.id)) else { continue };
        let (mut narrowed_l, mut narrowed_r) = (lc.clone(), rc.clone());
        selectivity::intersect(&mut narrowed_l, rc);
        selectivity::intersect(&mut narrowed_r, lc);
        if narrow_left {
            columns.insert(l.id, narrowed_l);
        }
        if narrow_right && j.join_type.keeps_right() {
            columns.insert(r.id, narrowed_r);
        }
    }
    columns
}
