//! Functions that pick the value of another row: lead, lag, nth_value, and the aggregates first and last.

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;

use super::frames::Frames;
use super::groups::Chunk;
use crate::base::interrupt::polled;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::evaluate::evaluate;
use crate::expr::window::RankingFunction;
use crate::expr::{AggregateFunction, Expr};

/// # Errors
/// Those of evaluating the arguments; `InvalidParameter` for `nth_value` of a row before the first.
pub fn compute(
    function: RankingFunction,
    args: &[Expr],
    ignore_nulls: bool,
    chunk: &Chunk,
    frames: impl FnOnce() -> Result<Frames>,
) -> Result<ArrayRef> {
    let value = args.first().ok_or_else(|| Error::internal("an offset function without a value"))?;
    let values = evaluate(value, &chunk.rows)?;
    let seen = Seen::new(if ignore_nulls { valid_rows(&values) } else { None }, values.len());
    if function == RankingFunction::NthValue {
        let n = literal(args.get(1))?.unwrap_or(0);
        if n < 1 {
            return Err(Error::new(ErrorClass::InvalidParameter, format!("nth_value counts rows from 1, not {n}.")));
        }
        return pick(&values, &seen, &frames()?, |first, _| first as i64 + n - 1);
    }
    let distance = distance(function, args)?;
    let mut rows: Vec<Option<u32>> = Vec::with_capacity(values.len());
    for p in &chunk.partitions {
        let (first, end) = (seen.before(p.start), seen.before(p.end));
        for row in polled(p.clone()) {
            let place = match distance {
                0 => {
                    rows.push(Some(row as u32));
                    continue;
                }
                // Counted from the first row after this one, or from this one backwards.
                1.. => seen.before(row + 1) as i64 + distance - 1,
                _ => seen.before(row) as i64 + distance,
            };
            rows.push((place >= first as i64 && place < end as i64).then(|| seen.row(place as usize)));
        }
    }
    let rows = UInt32Array::from(rows);
    let picked = take(&values, &rows, None)?;
    match args.get(2) {
        Some(default) if rows.null_count() > 0 && !matches!(default, Expr::Literal(s) if s.is_null()) => {
            let default = evaluate(default, &chunk.rows)?;
            let inside: BooleanArray = (0..rows.len()).map(|r| Some(rows.is_valid(r))).collect();
            Ok(zip(&inside, &picked, &default)?)
        }
        _ => Ok(picked),
    }
}

/// How many rows after its own lead or lag looks; before it where negative.
///
/// # Errors
/// As for [`literal`].
pub fn distance(function: RankingFunction, args: &[Expr]) -> Result<i64> {
    let distance = literal(args.get(1))?.unwrap_or(1);
    Ok(if function == RankingFunction::Lag { -distance } else { distance })
}

/// First or last value of each frame among the rows that `filter` admits.
///
/// # Errors
/// `Internal` for other functions.
pub fn first_or_last(function: AggregateFunction, values: &ArrayRef, filter: Option<&BooleanArray>, frames: &Frames) -> Result<ArrayRef> {
    let ignore_nulls = matches!(function, AggregateFunction::FirstIgnoreNulls | AggregateFunction::LastIgnoreNulls);
    let valid = if ignore_nulls { valid_rows(values) } else { None };
    let admitted = match (valid, filter) {
        (Some(valid), Some(filter)) => Some(&valid & filter.values()),
        (valid, filter) => valid.or(filter.map(|f| f.values().clone())),
    };
    let seen = Seen::new(admitted, values.len());
    match function {
        AggregateFunction::First | AggregateFunction::FirstIgnoreNulls => pick(values, &seen, frames, |first, _| first as i64),
        _ => pick(values, &seen, frames, |_, end| end as i64 - 1),
    }
}

/// The value at a place chosen from the places of each frame; NULL where the place is outside.
fn pick(values: &ArrayRef, seen: &Seen, frames: &Frames, choose: impl Fn(usize, usize) -> i64) -> Result<ArrayRef> {
    let rows: UInt32Array = frames
        .ranges()
        .map(|(start, end)| {
            let (first, end) = (seen.before(start), seen.before(end));
            let place = choose(first, end);
            (place >= first as i64 && place < end as i64).then(|| seen.row(place as usize))
        })
        .collect();
    Ok(take(values, &rows, None)?)
}

fn valid_rows(values: &ArrayRef) -> Option<BooleanBuffer> {
    values.logical_nulls().filter(|n| n.null_count() > 0).map(|n| n.into_inner())
}

/// The rows that count, numbered; all of them in the simplest case.
pub struct Seen {
    /// Per row (and one more) how many counted rows come before it, and the counted rows.
    places: Option<(Vec<u32>, Vec<u32>)>,
}

impl Seen {
    pub fn new(mask: Option<BooleanBuffer>, rows: usize) -> Self {
        Self {
            places: mask.map(|mask| {
                let (mut before, mut counted) = (Vec::with_capacity(rows + 1), vec![]);
                for (row, counts) in polled(mask.iter().enumerate()) {
                    before.push(counted.len() as u32);
                    if counts {
                        counted.push(row as u32);
                    }
                }
                before.push(counted.len() as u32);
                (before, counted)
            }),
        }
    }

    /// How many counted rows come before `row`.
    pub fn before(&self, row: usize) -> usize {
        self.places.as_ref().map_or(row, |(before, _)| before[row] as usize)
    }

    /// The counted row of that number.
    pub fn row(&self, place: usize) -> u32 {
        self.places.as_ref().map_or(place as u32, |(_, counted)| counted[place])
    }
}

/// The value of a literal whole-number argument.
///
/// # Errors
/// `InvalidParameter` when it is not a literal.
pub fn literal(arg: Option<&Expr>) -> Result<Option<i64>> {
    let Some(arg) = arg else { return Ok(None) };
    let value = crate::expr::evaluate::fold(arg)?;
    let value = value.as_i128().and_then(|v| i64::try_from(v).ok());
    value.map(Some).ok_or_else(|| Error::new(ErrorClass::InvalidParameter, format!("`{arg}` must be a constant whole number.")))
}
