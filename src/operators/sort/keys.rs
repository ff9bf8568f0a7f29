//! Sort keys normalised so that rows compare as machine words or as byte strings.

use std::cmp::Ordering;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::base::Result;
use crate::base::interrupt::{self, Ticks, polled};
use crate::expr::SortOrder;
use crate::expr::evaluate::normalise_floats;
use crate::operators::fixed_key::{images, width};

/// How the key columns of an ordering are encoded.
pub struct SortKeys {
    options: Vec<SortOptions>,
    encoding: Encoding,
}

enum Encoding {
    /// All keys side by side in one word, each of so many bits after its null bit.
    Word(Vec<u32>),
    Bytes(RowConverter),
}

/// Encoded keys of some rows; they compare as the rows do.
pub enum EncodedKeys {
    Short(Vec<u64>),
    Long(Vec<u128>),
    Bytes(Rows),
}

impl SortKeys {
    /// # Errors
    /// `Internal` for types that cannot be ordered.
    pub fn new(order: &[SortOrder]) -> Result<Self> {
        let types: Vec<DataType> = order.iter().map(|o| o.expr.data_type().to_arrow()).collect();
        let options: Vec<SortOptions> =
            order.iter().map(|o| SortOptions { descending: !o.ascending, nulls_first: o.nulls_first }).collect();
        let widths: Option<Vec<u32>> = types.iter().map(width).collect();
        let encoding = match widths {
            Some(widths) if widths.iter().map(|w| w + 1).sum::<u32>() <= 128 => Encoding::Word(widths),
            _ => Encoding::Bytes(RowConverter::new(
                types.into_iter().zip(&options).map(|(t, o)| SortField::new_with_options(t, *o)).collect(),
            )?),
        };
        Ok(Self { options, encoding })
    }

    /// # Errors
    /// `Internal` when the columns are not of the order's types; `Cancelled`.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<EncodedKeys> {
        match &self.encoding {
            Encoding::Word(widths) if widths.iter().map(|w| w + 1).sum::<u32>() <= 64 => {
                let mut words = vec![0u64; rows];
                self.pack(widths, columns, rows, |row, bits, value| words[row] = (words[row] << bits) | value as u64)?;
                Ok(EncodedKeys::Short(words))
            }
            Encoding::Word(widths) => {
                let mut words = vec![0u128; rows];
                self.pack(widths, columns, rows, |row, bits, value| words[row] = (words[row] << bits) | value)?;
                Ok(EncodedKeys::Long(words))
            }
            Encoding::Bytes(converter) => {
                let columns = columns.iter().map(normalise_floats).collect::<Result<Vec<_>>>()?;
                let mut encoded = converter.empty_rows(rows, 0);
                for piece in interrupt::pieces(rows) {
                    let piece = piece?;
                    let columns: Vec<ArrayRef> = columns.iter().map(|c| c.slice(piece.start, piece.len())).collect();
                    converter.append(&mut encoded, &columns)?;
                }
                Ok(EncodedKeys::Bytes(encoded))
            }
        }
    }

    fn pack(&self, widths: &[u32], columns: &[ArrayRef], rows: usize, mut put: impl FnMut(usize, u32, u128)) -> Result<()> {
        let mut values = vec![];
        for piece in interrupt::pieces(rows) {
            let piece = piece?;
            for ((column, width), options) in columns.iter().zip(widths).zip(&self.options) {
                let column = column.slice(piece.start, piece.len());
                images(&column, &mut values)?;
                let flip = if options.descending { u64::MAX >> (64 - width) } else { 0 };
                let null_bit = 1u128 << width;
                let (null, valid) = if options.nulls_first { (0, null_bit) } else { (null_bit, 0) };
                match column.nulls().filter(|n| n.null_count() > 0) {
                    None => piece.clone().zip(&values).for_each(|(row, v)| put(row, width + 1, valid | u128::from(v ^ flip))),
                    Some(nulls) => values.iter().enumerate().for_each(|(i, v)| {
                        put(piece.start + i, width + 1, if nulls.is_valid(i) { valid | u128::from(v ^ flip) } else { null });
                    }),
                }
            }
        }
        Ok(())
    }
}

impl EncodedKeys {
    pub fn len(&self) -> usize {
        match self {
            EncodedKeys::Short(words) => words.len(),
            EncodedKeys::Long(words) => words.len(),
            EncodedKeys::Bytes(rows) => rows.num_rows(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn compare(&self, a: usize, b: usize) -> Ordering {
        self.compare_with(a, self, b)
    }

    /// Row `a` of these against row `b` of `other`, which must come from the same [`SortKeys`].
    pub fn compare_with(&self, a: usize, other: &Self, b: usize) -> Ordering {
        match (self, other) {
            (EncodedKeys::Short(x), EncodedKeys::Short(y)) => x[a].cmp(&y[b]),
            (EncodedKeys::Long(x), EncodedKeys::Long(y)) => x[a].cmp(&y[b]),
            (EncodedKeys::Bytes(x), EncodedKeys::Bytes(y)) => x.row(a).cmp(&y.row(b)),
            _ => Ordering::Equal,
        }
    }

    /// The rows below row `bound` of `other`.
    pub fn below(&self, other: &Self, bound: usize) -> Vec<u32> {
        fn select(len: usize, test: impl Fn(usize) -> bool) -> Vec<u32> {
            (0..len).filter(|i| test(*i)).map(|i| i as u32).collect()
        }
        match (self, other) {
            (EncodedKeys::Short(x), EncodedKeys::Short(y)) => select(x.len(), |i| x[i] < y[bound]),
            (EncodedKeys::Long(x), EncodedKeys::Long(y)) => select(x.len(), |i| x[i] < y[bound]),
            (EncodedKeys::Bytes(x), EncodedKeys::Bytes(y)) => select(x.num_rows(), |i| x.row(i) < y.row(bound)),
            _ => vec![],
        }
    }

    /// Positions of the rows in order, equal ones as they came; only the first `limit` if given.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn sorted(&self, limit: Option<usize>) -> Result<Vec<u32>> {
        interrupt::catch(|| match self {
            EncodedKeys::Short(words) => sort_words(words, limit),
            EncodedKeys::Long(words) => sort_words(words, limit),
            EncodedKeys::Bytes(rows) => {
                // The first bytes beside the position decide most comparisons without a look at the row.
                let mut keys: Vec<(u64, u32)> = polled(rows.iter().enumerate()).map(|(i, row)| (prefix(row.data()), i as u32)).collect();
                let order = |a: &(u64, u32), b: &(u64, u32)| {
                    a.0.cmp(&b.0).then_with(|| rows.row(a.1 as usize).cmp(&rows.row(b.1 as usize))).then(a.1.cmp(&b.1))
                };
                let ticks = Ticks::default();
                let order = |a: &(u64, u32), b: &(u64, u32)| {
                    ticks.tick();
                    order(a, b)
                };
                cut(&mut keys, limit, order);
                keys.sort_unstable_by(order);
                polled(keys).map(|(_, i)| i).collect()
            }
        })
    }
}

/// So few words are sorted within some ten milliseconds: there is no need to count comparisons.
const SOON_SORTED: usize = 1 << 19;

fn sort_words<W: Copy + Ord>(words: &[W], limit: Option<usize>) -> Vec<u32> {
    let mut keys: Vec<(W, u32)> = polled(words.iter().enumerate()).map(|(i, w)| (*w, i as u32)).collect();
    if keys.len() < SOON_SORTED {
        cut(&mut keys, limit, Ord::cmp);
        keys.sort_unstable();
    } else {
        let ticks = Ticks::default();
        let order = |a: &(W, u32), b: &(W, u32)| {
            ticks.tick();
            a.cmp(b)
        };
        cut(&mut keys, limit, order);
        keys.sort_unstable_by(order);
    }
    polled(keys).map(|(_, i)| i).collect()
}

/// Leaves only the first `limit` keys, in any order.
fn cut<K>(keys: &mut Vec<K>, limit: Option<usize>, order: impl Fn(&K, &K) -> Ordering) {
    if let Some(limit) = limit.filter(|l| *l < keys.len()) {
        if limit > 0 {
            keys.select_nth_unstable_by(limit - 1, order);
        }
        keys.truncate(limit);
    }
}

fn prefix(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(head)
        }
    }
}

/// Bounds between the partitions of a range exchange.
pub struct RangeBounds {
    keys: SortKeys,
    bounds: EncodedKeys,
}

impl RangeBounds {
    /// # Errors
    /// `Internal` when the bounds are not of the keys' types.
    pub fn new(keys: SortKeys, bounds: &RecordBatch) -> Result<Self> {
        let bounds = keys.encode(bounds.columns(), bounds.num_rows())?;
        Ok(Self { keys, bounds })
    }

    /// How many bounds lie below each row: its partition.
    ///
    /// # Errors
    /// `Internal` when the columns are not of the keys' types.
    pub fn locate(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let encoded = self.keys.encode(columns, rows)?;
        let positions: Vec<usize> = (0..self.bounds.len()).collect();
        Ok((0..rows).map(|row| positions.partition_point(|b| self.bounds.compare_with(*b, &encoded, row).is_lt()) as u32).collect())
    }
}
