//! ROLLUP, CUBE and GROUPING SETS: each row once per set, with the columns outside of the set NULL and an id of the set.

use std::collections::BTreeSet;

use super::expr::GroupingCall;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::{Expr, coerce};
use crate::logical::LogicalPlan;

/// Most columns of a CUBE: it makes 2ⁿ sets.
const MAX_CUBE: usize = 12;
/// Most grouping columns: the id of a set is a bigint of one bit each.
const MAX_COLUMNS: usize = 63;

/// The prefixes, longest first.
pub(super) fn rollup(parts: &[Vec<usize>]) -> Vec<Vec<usize>> {
    (0..=parts.len()).rev().map(|n| parts[..n].concat()).collect()
}

/// All subsets, largest first as Spark lists them.
///
/// # Errors
/// `Unsupported` for too many columns.
pub(super) fn cube(parts: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
    if parts.len() > MAX_CUBE {
        return Err(Error::unsupported(format!("CUBE of more than {MAX_CUBE} columns is not supported.")));
    }
    Ok(match parts.split_first() {
        None => vec![vec![]],
        Some((first, rest)) => {
            let without = cube(rest)?;
            let with = without.iter().map(|set| [first.as_slice(), set].concat());
            with.collect::<Vec<_>>().into_iter().chain(without).collect()
        }
    })
}

/// Every set of `left` with every set of `right`.
pub(super) fn cross(left: &[Vec<usize>], right: &[Vec<usize>]) -> Vec<Vec<usize>> {
    left.iter().flat_map(|l| right.iter().map(move |r| [l.as_slice(), r].concat())).collect()
}

/// The expanded input, and what its columns stand for.
pub(super) struct Expanded {
    pub plan: LogicalPlan,
    /// Columns to group by: the expanded grouping columns, then the id of the set.
    pub grouping: Vec<Expr>,
    /// What is put in the place of grouping expressions and `grouping()` calls.
    replacements: Vec<(Expr, Expr)>,
}

impl Expanded {
    /// The expression with grouping expressions outside of aggregate calls replaced by the expanded columns.
    pub fn replace(&self, e: Expr) -> Expr {
        e.replace(&mut |node| match node {
            aggregate @ Expr::Aggregate(_) => Ok(aggregate),
            other => match self.replacements.iter().find(|(from, _)| *from == other) {
                Some((_, to)) => Ok(to.clone()),
                None => Err(other),
            },
        })
    }
}

/// # Errors
/// `InvalidGrouping` for a `grouping()` of what is not grouped by; `Unsupported` for too many columns.
pub(super) fn expand(
    mut input: LogicalPlan,
    exprs: Vec<Expr>,
    sets: Option<Vec<Vec<usize>>>,
    calls: Vec<GroupingCall>,
) -> Result<Expanded> {
    let Some(sets) = sets else {
        let message = "grouping() and grouping_id() need GROUP BY with ROLLUP, CUBE or GROUPING SETS.";
        return Err(Error::new(ErrorClass::InvalidGrouping, message));
    };
    if exprs.len() > MAX_COLUMNS {
        return Err(Error::unsupported(format!("Grouping sets of more than {MAX_COLUMNS} columns are not supported.")));
    }
    let child = input.output();
    // Computed grouping expressions become columns first, so that they are computed once per row.
    let columns: Vec<Expr> = exprs
        .iter()
        .map(|e| match e {
            Expr::Attribute(_) => e.clone(),
            computed => Expr::Alias { expr: Box::new(computed.clone()), name: computed.to_string().into(), id: ExprId::next() },
        })
        .collect();
    if columns.iter().any(|c| matches!(c, Expr::Alias { .. })) {
        let computed = columns.iter().filter(|c| matches!(c, Expr::Alias { .. })).cloned();
        let list = child.iter().cloned().map(Expr::Attribute).chain(computed).collect();
        input = LogicalPlan::Project { list, input: Box::new(input) };
    }
    let columns: Vec<Attribute> = columns.iter().map(Expr::to_attribute).collect();
    let expanded: Vec<Attribute> = columns.iter().map(|c| c.fresh().with_nullable(true)).collect();
    let id = Attribute::new("spark_grouping_id", DataType::Long, false);
    let distinct: BTreeSet<BTreeSet<usize>> = sets.iter().map(|s| s.iter().copied().collect()).collect();
    // Equal sets stay apart by their position.
    let position = (distinct.len() < sets.len()).then(|| Attribute::new("_gen_grouping_pos", DataType::Int, false));

    let projections = sets
        .iter()
        .enumerate()
        .map(|(n, set)| {
            let mut row: Vec<Expr> = child.iter().cloned().map(Expr::Attribute).collect();
            let mut bits = 0_i64;
            for (i, column) in columns.iter().enumerate() {
                bits <<= 1;
                if set.contains(&i) {
                    row.push(Expr::Attribute(column.clone()));
                } else {
                    row.push(Expr::Literal(Scalar::Null(column.data_type.clone())));
                    bits |= 1;
                }
            }
            row.push(Expr::Literal(Scalar::Long(bits)));
            if position.is_some() {
                row.push(Expr::Literal(Scalar::Int(n as i32)));
            }
            row
        })
        .collect();
    let output = child.into_iter().chain(expanded.iter().cloned()).chain([id.clone()]).chain(position.clone()).collect();
    let plan = LogicalPlan::Expand { projections, output, input: Box::new(input) };
    let grouping = expanded.iter().cloned().chain([id.clone()]).chain(position).map(Expr::Attribute).collect();

    let mut replacements: Vec<(Expr, Expr)> = vec![];
    for call in calls {
        let value = if call.id { grouping_id(&call, &exprs, &id)? } else { grouping_bit(&call.args[0], &exprs, &id)? };
        replacements.push((Expr::Attribute(call.placeholder), value));
    }
    replacements.extend(exprs.into_iter().zip(expanded.into_iter().map(Expr::Attribute)));
    Ok(Expanded { plan, grouping, replacements })
}

/// 1 where the column is outside of the row's set, else 0.
fn grouping_bit(column: &Expr, exprs: &[Expr], id: &Attribute) -> Result<Expr> {
    let position = exprs
        .iter()
        .position(|e| e == column)
        .ok_or_else(|| Error::new(ErrorClass::InvalidGrouping, format!("The column of grouping, `{column}`, is not a grouping column.")))?;
    let shift = Expr::Literal(Scalar::Int((exprs.len() - 1 - position) as i32));
    let shifted = coerce::function("shiftright", vec![Expr::Attribute(id.clone()), shift])?;
    let bit = coerce::function("&", vec![shifted, Expr::Literal(Scalar::Long(1))])?;
    coerce::explicit_cast(bit, &DataType::Byte, false)
}

fn grouping_id(call: &GroupingCall, exprs: &[Expr], id: &Attribute) -> Result<Expr> {
    if call.args.is_empty() || call.args == exprs {
        return Ok(Expr::Attribute(id.clone()));
    }
    let message = "The arguments of grouping_id must be all grouping columns, in their order.";
    Err(Error::new(ErrorClass::InvalidGrouping, message))
}
