//! Splits of files packed into partitions, as Spark packs them (`FilePartition.getFilePartitions`).

use crate::base::{Settings, settings};

/// A run of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// Position of the file in the list of files.
    pub file: usize,
    pub start: u64,
    pub length: u64,
}

/// Cuts files of the given sizes into splits, where `splittable`, and packs these into partitions.
pub(super) fn pack(sizes: &[(usize, u64)], splittable: bool, settings: &Settings) -> Vec<Vec<Split>> {
    let open_cost = settings.bytes(&settings::FILES_OPEN_COST).max(0) as u64;
    let max_partition = settings.bytes(&settings::FILES_MAX_PARTITION_BYTES).max(1) as u64;
    let min_partitions = match settings.int(&settings::FILES_MIN_PARTITION_NUM) {
        n if n > 0 => n as u64,
        _ => settings.threads() as u64,
    };
    let total: u64 = sizes.iter().map(|(_, size)| size + open_cost).sum();
    let max_split = max_partition.min(open_cost.max(total / min_partitions)).max(1);

    let mut splits = Vec::new();
    for (file, size) in sizes {
        if splittable {
            let cuts = (0..*size).step_by(usize::try_from(max_split).unwrap_or(usize::MAX));
            splits.extend(cuts.map(|start| Split { file: *file, start, length: max_split.min(size - start) }));
        } else {
            splits.push(Split { file: *file, start: 0, length: *size });
        }
    }
    splits.sort_by_key(|s| std::cmp::Reverse(s.length));

    let mut partitions = Vec::new();
    let mut current: Vec<Split> = Vec::new();
    let mut filled = 0;
    for split in splits {
        if filled + split.length > max_split && !current.is_empty() {
            partitions.push(std::mem::take(&mut current));
            filled = 0;
        }
        filled += split.length + open_cost;
        current.push(split);
    }
    if !current.is_empty() {
        partitions.push(current);
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_as_spark_does() {
        const MB: u64 = 1 << 20;
        let mut settings = Settings::new();
        settings.set("execution.threads", "8").unwrap();
        let packed = pack(&[(0, 300 * MB), (1, 100 * MB), (2, 10 * MB)], true, &settings);
        assert_eq!(packed.len(), 8);
        assert_eq!(packed[7].len(), 2);
        assert_eq!(packed[0][0].length, 422 * MB / 8);
        assert_eq!(packed.iter().flatten().map(|s| s.length).sum::<u64>(), 410 * MB);
        assert_eq!(pack(&[(0, 300 * MB)], false, &settings).len(), 1);
        // Small files share a partition until opening them costs as much as reading one.
        assert_eq!(pack(&(0..10).map(|i| (i, MB)).collect::<Vec<_>>(), true, &settings).len(), 5);
    }
}
