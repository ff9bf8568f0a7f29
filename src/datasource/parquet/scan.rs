//! Planning a scan: row groups pruned and packed into partitions.

use std::sync::Arc;

use super::footer::ParquetFile;
use super::read::{FileRows, GroupRows, Scan, read};
use crate::base::{Result, Schema};
use crate::datasource::buckets::bucket_of_file;
use crate::datasource::memory::projected_schema;
use crate::datasource::packing::{FileUnits, Piece, Unit, is_local, partition};
use crate::datasource::prune::may_match;
use crate::datasource::{BatchStream, ScanPartition, ScanRequest};

/// Fewest rows worth a partition of their own.
const MIN_ROWS: u64 = 65_536;

/// The partitions of a scan of the files that are `selected`.
pub(super) fn plan(
    schema: &Schema,
    files: &Arc<Vec<ParquetFile>>,
    selected: &[bool],
    request: &ScanRequest,
) -> Result<Vec<Arc<dyn ScanPartition>>> {
    let wanted = |file: &ParquetFile, group: usize| {
        let block = |column: usize| Some(file.block(group, column));
        request.data_filters.iter().all(|f| may_match(f, &block))
    };
    let groups: Vec<Vec<usize>> =
        files.iter().zip(selected).map(|(f, selected)| (0..f.row_groups()).filter(|g| *selected && wanted(f, *g)).collect()).collect();
    // With fewer row groups than threads, threads share row groups.
    let threads = request.settings.threads() as u64;
    let count = groups.iter().map(Vec::len).sum::<usize>() as u64;
    let bucketed = request.buckets.as_ref().is_some_and(|b| b.partitions.is_some());
    let pieces = if is_local(&request.settings) && !bucketed && count < threads { threads.div_ceil(count.max(1)) } else { 1 };
    let parts: Vec<Vec<GroupRows>> =
        groups.iter().zip(files.iter()).map(|(g, f)| g.iter().flat_map(|g| cut(*g, f.group_rows(*g), pieces)).collect()).collect();
    let units: Vec<FileUnits> = parts
        .iter()
        .zip(files.iter())
        .zip(selected)
        .map(|((parts, f), selected)| {
            let unit = |p: &GroupRows| Unit { midpoint: f.midpoint(p.group), weight: p.count() };
            let size = if *selected { f.file.size } else { 0 };
            FileUnits { size, bucket: bucket_of_file(&f.file.path), units: parts.iter().map(unit).collect() }
        })
        .collect();
    let scan = Arc::new(Scan {
        files: files.clone(),
        columns: request.columns.clone(),
        schema: projected_schema(schema, &request.columns),
        filters: request.data_filters.clone(),
        batch_size: request.settings.batch_size(),
    });
    let open = |pieces: Vec<Piece>| {
        let file_rows = |p: Piece| FileRows { file: p.file, groups: p.units.iter().map(|u| parts[p.file][*u].clone()).collect() };
        let pieces = pieces.into_iter().map(file_rows).collect();
        Arc::new(ParquetPartition { scan: scan.clone(), pieces }) as Arc<dyn ScanPartition>
    };
    Ok(partition(&units, request).into_iter().map(open).collect())
}

/// The rows of a group in up to `pieces` parts.
fn cut(group: usize, rows: u64, pieces: u64) -> Vec<GroupRows> {
    let pieces = pieces.min(rows / MIN_ROWS).max(1);
    let step = rows.div_ceil(pieces).max(1);
    (0..pieces).map(|i| GroupRows { group, rows: i * step..((i + 1) * step).min(rows) }).collect()
}

/// One partition of a Parquet scan.
#[derive(Debug)]
struct ParquetPartition {
    scan: Arc<Scan>,
    pieces: Arc<[FileRows]>,
}

impl ScanPartition for ParquetPartition {
    fn open(&self) -> Result<BatchStream> {
        let (scan, pieces) = (self.scan.clone(), self.pieces.clone());
        Ok(Box::new((0..pieces.len()).flat_map(move |i| read(&scan, &pieces[i]))))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.pieces.iter().flat_map(|p| &p.groups).map(GroupRows::count).sum())
    }
}
