//! Files packed into partitions, as Spark packs them (`FilePartition.getFilePartitions`), by units that cannot be cut.

use std::ops::Range;

use super::ScanRequest;
use crate::base::{Settings, settings};

/// A file and the units (row groups, chunks of lines) of it that are wanted.
#[derive(Debug)]
pub(super) struct FileUnits {
    /// Bytes of the whole file.
    pub size: u64,
    /// That its name tells.
    pub bucket: Option<usize>,
    pub units: Vec<Unit>,
}

/// A part of a file that is read as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    /// The byte in its middle, which decides the split that it belongs to.
    pub midpoint: u64,
    /// How much work it is, in whatever measure: rows or bytes.
    pub weight: u64,
}

/// Units of one file, by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub file: usize,
    pub units: Vec<usize>,
}

/// Partitions of the units of `files`, at least one; one per bucket where that is asked for.
///
/// Under the profile `local` empty partitions are dropped, and the largest are halved until there are as many as threads.
pub(super) fn partition(files: &[FileUnits], request: &ScanRequest) -> Vec<Vec<Piece>> {
    match request.buckets.as_ref().and_then(|b| b.partitions) {
        Some(partitions) => by_bucket(files, partitions),
        None => by_size(files, &request.settings),
    }
}

/// Whole files, each in the partition of its bucket modulo their number.
fn by_bucket(files: &[FileUnits], partitions: usize) -> Vec<Vec<Piece>> {
    let mut out = vec![vec![]; partitions];
    for (file, units) in files.iter().enumerate().filter(|(_, f)| !f.units.is_empty()) {
        out[units.bucket.unwrap_or_default() % partitions].push(Piece { file, units: (0..units.units.len()).collect() });
    }
    out
}

fn by_size(files: &[FileUnits], settings: &Settings) -> Vec<Vec<Piece>> {
    let sizes: Vec<u64> = files.iter().map(|f| f.size).collect();
    let mut partitions: Vec<Vec<Piece>> = pack(&sizes, settings)
        .into_iter()
        .map(|splits| {
            let inside = |s: &Split| {
                let units = &files[s.file].units;
                let units = (0..units.len()).filter(|u| s.bytes.contains(&units[*u].midpoint)).collect();
                Piece { file: s.file, units }
            };
            splits.iter().map(inside).filter(|p| !p.units.is_empty()).collect()
        })
        .collect();
    if is_local(settings) {
        partitions.retain(|p| !p.is_empty());
        spread(&mut partitions, settings.threads(), &|p| p.units.iter().map(|u| files[p.file].units[*u].weight).sum());
    }
    if partitions.is_empty() {
        partitions.push(Vec::new());
    }
    partitions
}

/// Whether partitions follow the threads of this process rather than Spark's rules alone.
pub(super) fn is_local(settings: &Settings) -> bool {
    settings.text(&settings::PROFILE) == "local"
}

/// A run of bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Split {
    file: usize,
    bytes: Range<u64>,
}

impl Split {
    fn length(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

/// Cuts files of the given sizes into splits and packs these into partitions.
fn pack(sizes: &[u64], settings: &Settings) -> Vec<Vec<Split>> {
    let open_cost = settings.bytes(&settings::FILES_OPEN_COST).max(0) as u64;
    let max_partition = settings.bytes(&settings::FILES_MAX_PARTITION_BYTES).max(1) as u64;
    let min_partitions = match settings.int(&settings::FILES_MIN_PARTITION_NUM) {
        n if n > 0 => n as u64,
        _ => settings.threads() as u64,
    };
    let total: u64 = sizes.iter().map(|size| size + open_cost).sum();
    let max_split = max_partition.min(open_cost.max(total / min_partitions)).max(1);

    let mut splits = Vec::new();
    for (file, size) in sizes.iter().enumerate() {
        let cuts = (0..*size).step_by(usize::try_from(max_split).unwrap_or(usize::MAX));
        splits.extend(cuts.map(|start| Split { file, bytes: start..(start + max_split).min(*size) }));
    }
    splits.sort_by_key(|s| std::cmp::Reverse(s.length()));

    let mut partitions = Vec::new();
    let mut current: Vec<Split> = Vec::new();
    let mut filled = 0;
    for split in splits {
        if filled + split.length() > max_split && !current.is_empty() {
            partitions.push(std::mem::take(&mut current));
            filled = 0;
        }
        filled += split.length() + open_cost;
        current.push(split);
    }
    if !current.is_empty() {
        partitions.push(current);
    }
    partitions
}

/// Halves the heaviest partitions between units until there are `wanted`, if there are units enough.
fn spread(partitions: &mut Vec<Vec<Piece>>, wanted: usize, weight: &dyn Fn(&Piece) -> u64) {
    let total = |p: &[Piece]| p.iter().map(weight).sum::<u64>();
    while partitions.len() < wanted {
        let several = |p: &&mut Vec<Piece>| p.iter().map(|piece| piece.units.len()).sum::<usize>() > 1;
        let Some(heaviest) = partitions.iter_mut().filter(several).max_by_key(|p| total(p)) else { return };
        let units: Vec<Piece> = heaviest.iter().flat_map(|p| p.units.iter().map(|u| Piece { file: p.file, units: vec![*u] })).collect();
        let whole = total(&units);
        let nearest_half = |cut: &usize| (2 * total(&units[..*cut])).abs_diff(whole);
        let cut = (1..units.len()).min_by_key(nearest_half).unwrap_or(1);
        let second = joined(&units[cut..]);
        *heaviest = joined(&units[..cut]);
        partitions.push(second);
    }
}

/// Neighbouring units of one file as one piece.
fn joined(units: &[Piece]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for unit in units {
        match pieces.last_mut() {
            Some(last) if last.file == unit.file => last.units.extend(&unit.units),
            _ => pieces.push(unit.clone()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn settings(threads: &str, profile: &str) -> Settings {
        let mut settings = Settings::new();
        settings.set("execution.threads", threads).unwrap();
        settings.set("planner.profile", profile).unwrap();
        settings
    }

    #[test]
    fn packs_as_spark_does() {
        let packed = pack(&[300 * MB, 100 * MB, 10 * MB], &settings("8", "cluster"));
        assert_eq!(packed.len(), 8);
        assert_eq!(packed[7].len(), 2);
        assert_eq!(packed[0][0].length(), 422 * MB / 8);
        assert_eq!(packed.iter().flatten().map(Split::length).sum::<u64>(), 410 * MB);
        // Small files share a partition until opening them costs as much as reading one.
        assert_eq!(pack(&[MB; 10], &settings("8", "cluster")).len(), 5);
    }

    #[test]
    fn local_partitions_follow_the_threads() {
        let units = (0..10).map(|i| Unit { midpoint: i * 1000 + 500, weight: 10 }).collect();
        let files = [FileUnits { size: 10_000, bucket: None, units }];
        assert_eq!(by_size(&files, &settings("4", "cluster")).len(), 1);
        let local = by_size(&files, &settings("4", "local"));
        assert_eq!(local.len(), 4);
        let mut seen: Vec<usize> = local.iter().flatten().flat_map(|p| p.units.clone()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(by_size(&[FileUnits { size: 5, bucket: None, units: vec![] }], &settings("4", "local")), vec![vec![]]);
    }
}
