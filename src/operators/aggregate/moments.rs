//! Central moments of one column, and those of two columns together: counts, means and sums of products of differences from the
//! mean, kept up to date value by value. Sums of squares would lose all digits where values are large and close together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Fields, Float64Type};

use super::accumulators::{Accumulator, Rows, mismatch};
use crate::base::interrupt::Ticks;
use crate::base::{Error, Result};

/// Of one column x: n, mean, Σ(x - mean)², Σ(x - mean)³, Σ(x - mean)⁴. Of two columns: n, the means of x and y, Σ(x - mean)(y - mean),
/// Σ(x - mean)², Σ(y - mean)². As many as the buffer has fields.
#[derive(Clone, Copy, Default)]
struct State([f64; 6]);

impl State {
    /// Takes in a value of one column, for the moments up to the fourth where `higher`, else the second.
    fn push(&mut self, x: f64, higher: bool) {
        let [n, mean, m2, m3, m4, _] = &mut self.0;
        *n += 1.0;
        let delta = x - *mean;
        let step = delta / *n;
        *mean += step;
        *m2 += delta * (delta - step);
        if higher {
            let (delta2, step2) = (delta * delta, step * step);
            *m3 += -3.0 * step * *m2 + delta * (delta2 - step2);
            *m4 += -4.0 * step * *m3 - 6.0 * step2 * *m2 + delta * (delta * delta2 - step * step2);
        }
    }

    fn merge(&mut self, other: &State, higher: bool) {
        let [n1, mean1, m2, m3, m4, _] = self.0;
        let [n2, mean2, o2, o3, o4, _] = other.0;
        let n = n1 + n2;
        if n == 0.0 {
            return;
        }
        let delta = mean2 - mean1;
        let step = delta / n;
        let mut out = [n, mean1 + step * n2, m2 + o2 + delta * step * n1 * n2, 0.0, 0.0, 0.0];
        if higher {
            out[3] = m3 + o3 + step * step * delta * n1 * n2 * (n1 - n2) + 3.0 * step * (n1 * o2 - n2 * m2);
            out[4] = m4
                + o4
                + step * step * step * delta * n1 * n2 * (n1 * n1 - n1 * n2 + n2 * n2)
                + 6.0 * step * step * (n1 * n1 * o2 + n2 * n2 * m2)
                + 4.0 * step * (n1 * o3 - n2 * m3);
        }
        self.0 = out;
    }

    /// Takes in values of two columns.
    fn push_pair(&mut self, x: f64, y: f64) {
        let [n, x_mean, y_mean, products, x_squares, y_squares] = &mut self.0;
        *n += 1.0;
        let (dx, dy) = (x - *x_mean, y - *y_mean);
        *x_mean += dx / *n;
        *y_mean += dy / *n;
        *products += dx * (y - *y_mean);
        *x_squares += dx * (x - *x_mean);
        *y_squares += dy * (y - *y_mean);
    }

    fn merge_pair(&mut self, other: &State) {
        let [n1, x1, y1, products, x_squares, y_squares] = self.0;
        let [n2, x2, y2, other_products, other_x, other_y] = other.0;
        let n = n1 + n2;
        if n == 0.0 {
            return;
        }
        let (dx, dy) = (x2 - x1, y2 - y1);
        self.0 = [
            n,
            x1 + dx / n * n2,
            y1 + dy / n * n2,
            products + other_products + dx * (dy / n) * n1 * n2,
            x_squares + other_x + dx * (dx / n) * n1 * n2,
            y_squares + other_y + dy * (dy / n) * n1 * n2,
        ];
    }
}

/// What states are fed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Doubles.
    Values,
    /// Structs of two doubles.
    Pairs,
    /// Other states, of one column.
    States,
    /// Other states, of two columns.
    PairStates,
}

/// The input's columns.
struct Input<'a> {
    source: Source,
    columns: Vec<&'a Float64Array>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Input<'a> {
    fn new(source: Source, array: &'a ArrayRef) -> Result<Self> {
        let double = |a: &'a ArrayRef| a.as_primitive_opt::<Float64Type>().ok_or_else(|| mismatch("moments", a));
        let columns = match source {
            Source::Values => vec![double(array)?],
            _ => {
                let structs = array.as_struct_opt().ok_or_else(|| mismatch("moments", array))?;
                structs.columns().iter().map(double).collect::<Result<_>>()?
            }
        };
        Ok(Self { source, columns, nulls: array.nulls() })
    }

    fn feed(&self, state: &mut State, row: usize, higher: bool) {
        let value = |i: usize| self.columns[i].value(row);
        let other = || {
            let mut out = State::default();
            self.columns.iter().zip(&mut out.0).for_each(|(c, v)| *v = c.value(row));
            out
        };
        match self.source {
            Source::Values => state.push(value(0), higher),
            Source::Pairs => state.push_pair(value(0), value(1)),
            Source::States => state.merge(&other(), higher),
            Source::PairStates => state.merge_pair(&other()),
        }
    }
}

/// States as the structs of the buffer; NULL where nothing was seen.
fn structs(states: &[State], fields: &Fields) -> Result<ArrayRef> {
    let column = |i: usize| -> ArrayRef { Arc::new(Float64Array::from_iter_values(states.iter().map(|s| s.0[i]))) };
    let nulls: NullBuffer = states.iter().map(|s| s.0[0] > 0.0).collect();
    let columns = (0..fields.len()).map(column).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, Some(nulls).filter(|n| n.null_count() > 0), states.len())?))
}

fn fields(output: &DataType) -> Result<&Fields> {
    match output {
        DataType::Struct(fields) if fields.len() <= 6 => Ok(fields),
        other => Err(Error::internal(format!("moments into {other}"))),
    }
}

/// Whether there are moments above the second.
fn is_higher(source: Source, fields: &Fields) -> bool {
    matches!(source, Source::Values | Source::States) && fields.len() > 3
}

/// The states of the groups.
pub struct Moments {
    source: Source,
    fields: Fields,
    states: Vec<State>,
}

impl Moments {
    /// # Errors
    /// `Internal` when the buffer is no struct of moments.
    pub fn new(source: Source, output: &DataType) -> Result<Self> {
        Ok(Self { source, fields: fields(output)?.clone(), states: vec![] })
    }
}

impl Accumulator for Moments {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        self.states.resize(rows.groups, State::default());
        let (input, higher) = (Input::new(self.source, values)?, is_higher(self.source, &self.fields));
        rows.each_row(input.nulls.filter(|n| n.null_count() > 0), |group, row| input.feed(&mut self.states[group], row, higher));
        Ok(())
    }

    fn memory(&self) -> usize {
        self.states.capacity() * size_of::<State>()
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.states.resize(groups, State::default());
        structs(&self.states, &self.fields)
    }
}

/// The moments of each frame of rows, which begin with those of `before`. Frames that only grow at their end are not begun anew.
/// [Polls](Ticks).
///
/// # Errors
/// `Internal` when the input is of another type.
pub fn of_frames(
    source: Source,
    values: &ArrayRef,
    output: &DataType,
    frames: impl Iterator<Item = (usize, usize)>,
    before: Option<&ArrayRef>,
) -> Result<ArrayRef> {
    let fields = fields(output)?;
    let (input, higher) = (Input::new(source, values)?, is_higher(source, fields));
    let mut first = State::default();
    if let Some(before) = before.filter(|b| b.is_valid(0)) {
        Input::new(Source::States, before)?.columns.iter().zip(&mut first.0).for_each(|(c, v)| *v = c.value(0));
    }
    let (mut state, mut start, mut end, mut states) = (first, 0, 0, vec![]);
    let ticks = Ticks::default();
    for (s, e) in frames {
        if s != start || e < end {
            (state, start, end) = (first, s, s);
        }
        for row in (end..e).filter(|row| input.nulls.is_none_or(|n| n.is_valid(*row))) {
            ticks.tick();
            input.feed(&mut state, row, higher);
        }
        end = end.max(e);
        states.push(state);
    }
    structs(&states, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_give_what_the_whole_gives() {
        let values = [1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 7.0];
        let (mut whole, mut left, mut right) = (State::default(), State::default(), State::default());
        for (i, v) in values.into_iter().enumerate() {
            whole.push(v, true);
            if i < 2 { left.push(v, true) } else { right.push(v, true) }
        }
        left.merge(&right, true);
        assert_eq!(whole.0[2], 29.0);
        for (a, b) in whole.0.iter().zip(left.0) {
            assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{a} {b}");
        }
        let (mut whole, mut left, mut right) = (State::default(), State::default(), State::default());
        for (i, v) in values.into_iter().enumerate() {
            whole.push_pair(v, -2.0 * v);
            if i < 2 { left.push_pair(v, -2.0 * v) } else { right.push_pair(v, -2.0 * v) }
        }
        left.merge_pair(&right);
        assert_eq!(whole.0[3..], [-58.0, 29.0, 116.0]);
        assert_eq!(left.0[3..], whole.0[3..]);
    }
}
