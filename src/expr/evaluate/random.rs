//! Random numbers, and functions of the place of a row: its partition, and how many rows of the partition came before.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, StringViewArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::value::{Value, primitive};
use crate::base::random::XorShiftRandom;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

/// Where rows are that are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub partition: u32,
    /// Rows of the partition before the first one.
    pub row: u64,
}

/// Random streams that a thread keeps to go on with.
const MOST_STREAMS: usize = 32;
/// Spark's ids of rows have the partition above this bit.
const PARTITION_SHIFT: u32 = 33;

thread_local! {
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
    static STREAMS: RefCell<Vec<Stream>> = const { RefCell::new(vec![]) };
}

/// Evaluates expressions over rows that begin at a place.
pub fn at<T>(place: Place, evaluate: impl FnOnce() -> T) -> T {
    PLACE.set(Some(place));
    let out = evaluate();
    PLACE.set(None);
    out
}

/// A seed of its own for a call without one.
pub fn fresh_seed() -> i64 {
    RandomState::new().hash_one(0) as i64
}

/// The random numbers of a call in a partition: Spark's, from the seed and the partition.
struct Stream {
    function: ScalarFunction,
    seed: i64,
    next: Place,
    random: XorShiftRandom,
    /// The second of two normal numbers, which are drawn together.
    gaussian: Option<f64>,
}

impl Stream {
    fn new(function: ScalarFunction, seed: i64, partition: u32) -> Self {
        let random = XorShiftRandom::new(seed.wrapping_add(i64::from(partition)));
        Self { function, seed, next: Place { partition, row: 0 }, random, gaussian: None }
    }

    /// With mean 0 and deviation 1, by Marsaglia's polar method as `java.util.Random` has it.
    fn next_gaussian(&mut self) -> f64 {
        if let Some(second) = self.gaussian.take() {
            return second;
        }
        loop {
            let (a, b) = (2.0 * self.random.next_f64() - 1.0, 2.0 * self.random.next_f64() - 1.0);
            let square = a * a + b * b;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.gaussian = Some(b * factor);
                return a * factor;
            }
        }
    }

    /// Letters and digits.
    fn next_text(&mut self, length: usize) -> String {
        let mut letter = || match (self.random.next_i32().unsigned_abs() % 62) as u8 {
            n @ 0..10 => b'0' + n,
            n @ 10..36 => b'a' + n - 10,
            n => b'A' + n - 36,
        };
        (0..length).map(|_| letter() as char).collect()
    }
}

/// Draws for `rows` rows, going on where the rows before them ended.
fn draw<T>(function: ScalarFunction, seed: i64, rows: usize, mut one: impl FnMut(&mut Stream) -> T) -> Vec<T> {
    STREAMS.with_borrow_mut(|streams| {
        let place = PLACE.get();
        let goes_on = |s: &Stream| s.function == function && s.seed == seed && place.is_none_or(|p| s.next == p);
        let mut stream = match streams.iter().rposition(goes_on) {
            Some(at) => streams.remove(at),
            None => {
                let Place { partition, row } = place.unwrap_or_default();
                let mut new = Stream::new(function, seed, partition);
                (0..row).for_each(|_| drop(one(&mut new)));
                new.next.row = row;
                new
            }
        };
        let drawn = (0..rows).map(|_| one(&mut stream)).collect();
        stream.next.row += rows as u64;
        if streams.len() == MOST_STREAMS {
            streams.remove(0);
        }
        streams.push(stream);
        drawn
    })
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    let constant = |at: usize| -> Result<i64> {
        let Some(value) = args.get(at) else { return Ok(0) };
        let array = value.inner();
        Ok(match array.is_empty() || array.is_null(0) {
            true => 0,
            false => match primitive::<Int64Type>(array) {
                Ok(a) => a.value(0),
                Err(_) => i64::from(primitive::<Int32Type>(array)?.value(0)),
            },
        })
    };
    let place = PLACE.get().unwrap_or_default();
    let array: ArrayRef = match function {
        ScalarFunction::Rand => Arc::new(Float64Array::from(draw(function, constant(0)?, rows, |s| s.random.next_f64()))),
        ScalarFunction::RandN => Arc::new(Float64Array::from(draw(function, constant(0)?, rows, Stream::next_gaussian))),
        ScalarFunction::RandStr => {
            let length = usize::try_from(constant(0)?)
                .map_err(|_| Error::new(ErrorClass::InvalidParameter, "The length of `randstr` must not be negative."))?;
            let texts = draw(function, constant(1)?, rows, |s| s.next_text(length));
            Arc::new(texts.into_iter().map(Some).collect::<StringViewArray>())
        }
        ScalarFunction::SparkPartitionId => Arc::new(Int32Array::from(vec![place.partition as i32; rows])),
        ScalarFunction::MonotonicallyIncreasingId => {
            let first = (i64::from(place.partition) << PARTITION_SHIFT) + place.row as i64;
            Arc::new(Int64Array::from_iter_values(first..first + rows as i64))
        }
        ScalarFunction::Uuid => Arc::new((0..rows).map(|_| Some(uuid())).collect::<StringViewArray>()),
        other => return Err(Error::internal(format!("`{}` is not random", other.name()))),
    };
    Ok(Value::Array(array))
}

/// A random UUID in its usual form.
fn uuid() -> String {
    let mut bytes = [0u8; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&fresh_seed().to_le_bytes());
    }
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
