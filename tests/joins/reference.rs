//! Joins by definition: nested loops over rows.

use crate::data::{Row, Value};
use crate::{Case, Kind, Output, Residual};

/// Whether the residual condition is true.
fn residual(case: &Case, left: &Row, right: &Row) -> bool {
    match (case.residual, left.number, right.number) {
        (Residual::None, ..) => true,
        (Residual::Below, Value::Whole(l), Value::Whole(r)) => l < r,
        (Residual::RightOnly, _, Value::Whole(r)) => r > 3,
        (Residual::LeftOnly, Value::Whole(l), _) => l > 3,
        _ => false,
    }
}

fn matches(case: &Case, left: &Row, right: &Row) -> bool {
    let equal = |i: usize| {
        let (l, r) = (left.keys[i], right.keys[i]);
        if case.keys[i].1 { l.same(r) } else { l.equals(r) == Some(true) }
    };
    (0..case.keys.len()).all(equal) && residual(case, left, right)
}

/// `left.keys IN (right rows that satisfy the residual condition)`, NULL as `None`.
fn is_in(case: &Case, left: &Row, right: &[Row]) -> Option<bool> {
    let mut answer = Some(false);
    for row in right.iter().filter(|r| residual(case, left, r)) {
        let equalities: Vec<_> = left.keys.iter().zip(&row.keys).map(|(l, r)| l.equals(*r)).collect();
        if equalities.contains(&Some(false)) {
            continue;
        }
        if !equalities.contains(&None) {
            return Some(true);
        }
        answer = None;
    }
    answer
}

/// The rows as the engine would show them; `None` where the query is an error.
pub fn expected(case: &Case, left: &[Row], right: &[Row]) -> Option<Vec<Vec<String>>> {
    let (left_columns, right_columns) = case.columns();
    let cells = |row: Option<&Row>, columns: &[usize]| -> Vec<String> {
        columns.iter().map(|&c| row.map_or("NULL".into(), |r| r.shown[c].clone())).collect()
    };
    let pair = |l: Option<&Row>, r: Option<&Row>| [cells(l, &left_columns), cells(r, &right_columns)].concat();
    let with = |l: &Row, value: String| [cells(Some(l), &left_columns), vec![value]].concat();
    let mut out = vec![];
    for l in left {
        let found: Vec<&Row> = right.iter().filter(|r| case.kind == Kind::Cross || matches(case, l, r)).collect();
        let exists = !found.is_empty();
        let keep = match case.kind {
            Kind::Inner | Kind::Cross | Kind::RightOuter | Kind::LeftOuter | Kind::FullOuter => {
                out.extend(found.iter().map(|r| pair(Some(l), Some(r))));
                !exists && matches!(case.kind, Kind::LeftOuter | Kind::FullOuter)
            }
            Kind::LeftSemi | Kind::Exists => exists,
            Kind::LeftAnti | Kind::NotExists => !exists,
            Kind::OrExists => exists || matches!(l.number, Value::Whole(n) if n > 5),
            Kind::In => is_in(case, l, right) == Some(true),
            Kind::NotIn => is_in(case, l, right) == Some(false),
            Kind::ExistsValue | Kind::InValue | Kind::Single => {
                out.push(with(
                    l,
                    match case.kind {
                        Kind::ExistsValue => exists.to_string(),
                        // As a value it is an existence join, which knows no NULL.
                        Kind::InValue => (is_in(case, l, right) == Some(true)).to_string(),
                        _ if found.len() > 1 => return None,
                        _ => found.first().map_or("NULL".into(), |r| r.shown[r.shown.len() - 1].clone()),
                    },
                ));
                false
            }
        };
        if keep {
            out.push(pair(Some(l), None));
        }
    }
    if matches!(case.kind, Kind::RightOuter | Kind::FullOuter) {
        out.extend(right.iter().filter(|r| !left.iter().any(|l| matches(case, l, r))).map(|r| pair(None, Some(r))));
    }
    if case.output == Output::Nothing {
        let mut counts = vec![out.len().to_string()];
        if matches!(case.kind, Kind::ExistsValue | Kind::InValue | Kind::Single) {
            counts.insert(0, out.iter().filter(|r| r[r.len() - 1] != "NULL").count().to_string());
        }
        return Some(vec![counts]);
    }
    Some(out)
}
