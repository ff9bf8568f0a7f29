//! Late materialisation: the columns that filters need are decoded first, the others only where rows are left.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{and, concat_batches, filter_record_batch};
use arrow::datatypes::{Field as ArrowField, Schema as ArrowSchema};
use parquet::arrow::arrow_reader::RowSelection;

use super::footer::ParquetFile;
use super::read::{GroupRows, Scan, columns, leaves, selection};
use crate::base::{Error, Field, Result, Schema, interrupt};
use crate::datasource::BatchStream;
use crate::datasource::convert::{batch_schema, make_batch, normalise_column};
use crate::datasource::memory::slices;
use crate::datasource::prune::selectivity;
use crate::expr::Expr;

/// How a row group is read late.
#[derive(Debug)]
pub(super) struct Plan {
    /// Conjuncts bound to the columns at `first`.
    filters: Vec<Expr>,
    /// Top-level columns of the file that the filters need, in its order, and as the table declares them.
    first: Vec<(usize, Field)>,
    /// The other columns wanted.
    rest: Vec<usize>,
}

/// A filter estimated to keep more than this share of rows is left to the plan.
const MAX_ESTIMATE: f64 = 0.1;
/// Where the filters turn out to keep more, the other columns are read in one run.
const MAX_KEPT: f64 = 0.3;

/// A plan where it promises to pay: filters that statistics call selective, over columns that are the smaller part of the data.
pub(super) fn plan(scan: &Scan, file: &ParquetFile, group: usize, roots: &[usize]) -> Option<Plan> {
    let block = |column: usize| Some(file.block(group, column));
    let known = |f: &&Expr| selectivity(f, &block).is_some_and(|s| s < 0.9) && root_columns(f, file, roots).is_some();
    let filters: Vec<&Expr> = scan.filters.iter().filter(known).collect();
    let estimate: f64 = filters.iter().filter_map(|f| selectivity(f, &block)).product();
    if filters.is_empty() || estimate > MAX_ESTIMATE {
        return None;
    }
    let mut first: Vec<(usize, Field)> = Vec::new();
    let mut table_columns: Vec<usize> = filters.iter().filter_map(|f| root_columns(f, file, roots)).flatten().collect();
    table_columns.sort_unstable();
    table_columns.dedup();
    for column in &table_columns {
        let found = file.columns.get(*column)?.as_ref()?;
        first.push((found.root, found.field.clone()));
    }
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by_key(|i| first[*i].0);
    let position = |column: usize| order.iter().position(|i| table_columns[*i] == column);
    let bind = |f: &Expr| {
        f.clone().replace(&mut |e| match e {
            Expr::Column { index, data_type, nullable } => {
                Ok(Expr::Column { index: position(index).unwrap_or(usize::MAX), data_type, nullable })
            }
            other => Err(other),
        })
    };
    let filters = filters.into_iter().map(bind).collect();
    let first: Vec<(usize, Field)> = order.iter().map(|i| first[*i].clone()).collect();
    let rest: Vec<usize> = roots.iter().copied().filter(|r| !first.iter().any(|(f, _)| f == r)).collect();
    let bytes = |roots: &[usize]| leaves(file, roots).map(|l| file.group(group).column(l).uncompressed_size()).sum::<i64>();
    let first_roots: Vec<usize> = first.iter().map(|(r, _)| *r).collect();
    (!rest.is_empty() && bytes(&rest) >= bytes(&first_roots)).then_some(Plan { filters, first, rest })
}

/// The table columns of a filter, if all of them are read from the file anyway.
fn root_columns(filter: &Expr, file: &ParquetFile, roots: &[usize]) -> Option<Vec<usize>> {
    let mut columns = Some(Vec::new());
    filter.visit(&mut |e| {
        if let Expr::Column { index, .. } = e {
            let read = file.columns.get(*index).and_then(Option::as_ref).is_some_and(|c| roots.binary_search(&c.root).is_ok());
            match &mut columns {
                Some(found) if read => found.push(*index),
                _ => columns = None,
            }
        }
        true
    });
    columns
}

/// The rows of a row group that pass the plan's filters, all columns wanted in the order of the file.
pub(super) fn read(scan: &Arc<Scan>, file: &ParquetFile, group: &GroupRows, plan: &Plan) -> Result<BatchStream> {
    let groups = std::slice::from_ref(group);
    let first_roots: Vec<usize> = plan.first.iter().map(|(r, _)| *r).collect();
    let base = selection(scan, file, groups)?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut masks: Vec<BooleanArray> = Vec::new();
    for batch in columns(scan, file, groups, &first_roots, base.clone())? {
        interrupt::check()?;
        let batch = batch?;
        masks.push(mask(&batch, plan));
        batches.push(batch);
    }
    let rows: usize = masks.iter().map(Array::len).sum();
    let kept: usize = masks.iter().map(BooleanArray::true_count).sum();
    let Some(schema) = batches.first().map(RecordBatch::schema).filter(|_| kept > 0) else {
        return Ok(Box::new(std::iter::empty()));
    };
    let (first, chosen): (Vec<RecordBatch>, Option<RowSelection>) = if kept as f64 <= MAX_KEPT * rows as f64 {
        let filtered = batches.iter().zip(&masks).map(|(b, m)| filter_record_batch(b, m)).collect::<Result<Vec<_>, _>>()?;
        let whole = concat_batches(&schema, &filtered)?;
        let passed = RowSelection::from_filters(&masks);
        (slices(&whole, scan.batch_size), Some(base.map_or_else(|| passed.clone(), |b| b.and_then(&passed))))
    } else {
        (batches, base)
    };
    let rest = columns(scan, file, groups, &plan.rest, chosen)?;
    let order: Vec<Place> = places(&first_roots, &plan.rest);
    Ok(Box::new(first.into_iter().zip(rest).map(move |(first, rest)| zip(&first, &rest?, &order))))
}

/// Which rows pass. A filter that fails lets all pass: the plan's own filter tells the error.
fn mask(batch: &RecordBatch, plan: &Plan) -> BooleanArray {
    let all = || BooleanArray::from(vec![true; batch.num_rows()]);
    let evaluate = || -> Result<BooleanArray> {
        let fields = Schema::new(plan.first.iter().map(|(_, f)| f.clone()).collect());
        let arrays = batch.columns().iter().zip(&plan.first).map(|(c, (_, f))| normalise_column(c, f)).collect::<Result<Vec<_>>>()?;
        let batch = make_batch(&batch_schema(&fields), arrays, batch.num_rows())?;
        plan.filters.iter().try_fold(all(), |passed, f| Ok(and(&passed, &crate::expr::evaluate::predicate(f, &batch)?)?))
    };
    evaluate().unwrap_or_else(|_| all())
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, Copy)]
enum Place {
    First(usize),
    Rest(usize),
}

/// Columns in the order of the file.
fn places(first: &[usize], rest: &[usize]) -> Vec<Place> {
    let mut all: Vec<(usize, Place)> = first.iter().enumerate().map(|(i, r)| (*r, Place::First(i))).collect();
    all.extend(rest.iter().enumerate().map(|(i, r)| (*r, Place::Rest(i))));
    all.sort_by_key(|(root, _)| *root);
    all.into_iter().map(|(_, place)| place).collect()
}

fn zip(first: &RecordBatch, rest: &RecordBatch, order: &[Place]) -> Result<RecordBatch> {
    if first.num_rows() != rest.num_rows() {
        return Err(Error::internal(format!("{} rows of filter columns beside {} of others", first.num_rows(), rest.num_rows())));
    }
    let column = |place: &Place| -> (ArrowField, ArrayRef) {
        match place {
            Place::First(i) => (first.schema_ref().field(*i).clone(), first.column(*i).clone()),
            Place::Rest(i) => (rest.schema_ref().field(*i).clone(), rest.column(*i).clone()),
        }
    };
    let (fields, arrays): (Vec<ArrowField>, Vec<ArrayRef>) = order.iter().map(column).unzip();
    make_batch(&Arc::new(ArrowSchema::new(fields)), arrays, first.num_rows())
}
