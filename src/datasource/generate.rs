//! The tables of TPC-H, made by tpchgen: the same bytes for the same scale in every run.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;
use tpchgen::generators as rows;
use tpchgen_arrow as tpch;

use super::convert::normalise;
use super::write::{ResultFormat, ResultWriter};
use super::{MemoryTable, TableSource};
use crate::base::{Error, ErrorClass, Result, Schema};

/// Rows per row group: as many as spread well over threads while pages stay long.
const ROW_GROUP_ROWS: f64 = 122_880.0;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// A table of TPC-H.
struct TpchTable {
    name: &'static str,
    /// Rows at scale factor 1; 0 for tables of fixed size, which are never divided.
    rows: f64,
    /// Part `n` of `parts`, counting from 1.
    batches: fn(scale: f64, part: i32, parts: i32) -> Batches,
}

macro_rules! tpch_table {
    ($name:literal, $rows:literal, $arrow:ident, $generator:ident) => {
        TpchTable {
            name: $name,
            rows: $rows,
            batches: |scale, part, parts| Box::new(tpch::$arrow::new(rows::$generator::new(scale, part, parts)).with_batch_size(8192)),
        }
    };
}

/// The largest first, so that none is left to run alone at the end.
static TABLES: &[TpchTable] = &[
    tpch_table!("lineitem", 6_000_000.0, LineItemArrow, LineItemGenerator),
    tpch_table!("orders", 1_500_000.0, OrderArrow, OrderGenerator),
    tpch_table!("partsupp", 800_000.0, PartSuppArrow, PartSuppGenerator),
    tpch_table!("part", 200_000.0, PartArrow, PartGenerator),
    tpch_table!("customer", 150_000.0, CustomerArrow, CustomerGenerator),
    tpch_table!("supplier", 10_000.0, SupplierArrow, SupplierGenerator),
    tpch_table!("nation", 0.0, NationArrow, NationGenerator),
    tpch_table!("region", 0.0, RegionArrow, RegionGenerator),
];

impl TpchTable {
    fn parts(&self, wanted: usize) -> i32 {
        if self.rows == 0.0 { 1 } else { i32::try_from(wanted.max(1)).unwrap_or(i32::MAX) }
    }

    fn schema(&self) -> Result<Schema> {
        let first = (self.batches)(0.001, 1, 1).next().ok_or_else(|| Error::internal("an empty TPC-H table"))??;
        Schema::from_arrow(&first.schema())
    }
}

/// Writes the eight tables to `dir` as `NAME.EXT`, or as folders `NAME/` of `parts` files where `parts` is more than 1 (nation
/// and region always have one). Tables of these names and this format that are there are replaced. `format` is `parquet`, `csv`
/// or `arrow`.
///
/// # Errors
/// `InvalidParameter` for a scale or format that there is not, `Io`.
pub fn tpch(scale: f64, dir: &str, format: &str, parts: usize) -> Result<()> {
    check_scale(scale)?;
    let format = match format {
        "parquet" => ResultFormat::Parquet,
        "csv" => ResultFormat::Csv,
        "arrow" => ResultFormat::Arrow,
        other => {
            return Err(Error::new(ErrorClass::InvalidParameter, format!("TPC-H is written as parquet, csv or arrow, not `{other}`.")));
        }
    };
    let dir = Path::new(dir);
    std::fs::create_dir_all(dir).map_err(|e| Error::from(e).context(dir.display()))?;
    TABLES.par_iter().try_for_each(|table| write_table(table, scale, dir, format, table.parts(parts)))
}

fn write_table(table: &TpchTable, scale: f64, dir: &Path, format: ResultFormat, parts: i32) -> Result<()> {
    let at = |e: std::io::Error| Error::from(e).context(dir.display());
    let extension = format.extension();
    let (file, folder) = (dir.join(format!("{}.{extension}", table.name)), dir.join(table.name));
    // Hidden from readers until whole.
    let staging = dir.join(format!(".{}.writing", table.name));
    let _ = std::fs::remove_dir_all(&staging);
    std::fs::create_dir_all(&staging).map_err(at)?;
    let part_path = |part: i32| staging.join(format!("part-{:05}.{extension}", part - 1));
    (1..=parts).into_par_iter().try_for_each(|part| write_part(table, scale, part, parts, &part_path(part), format))?;
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).map_err(at)?;
    }
    if parts == 1 {
        std::fs::rename(part_path(1), &file).map_err(at)?;
        std::fs::remove_dir_all(&staging).map_err(at)
    } else {
        let _ = std::fs::remove_file(&file);
        std::fs::rename(&staging, &folder).map_err(at)
    }
}

fn write_part(table: &TpchTable, scale: f64, part: i32, parts: i32, path: &Path, format: ResultFormat) -> Result<()> {
    let file = BufWriter::new(File::create(path).map_err(|e| Error::from(e).context(path.display()))?);
    if format == ResultFormat::Parquet {
        return write_parquet(table, scale, part, parts, file);
    }
    let schema = table.schema()?;
    let mut writer = ResultWriter::new(format, &schema, file)?;
    for batch in (table.batches)(scale, part, parts) {
        writer.write(&normalise(&batch?, &schema)?)?;
    }
    writer.finish()
}

/// Row groups are generated and encoded in parallel and appended in order.
fn write_parquet(table: &TpchTable, scale: f64, part: i32, parts: i32, file: BufWriter<File>) -> Result<()> {
    let groups = ((table.rows * scale / f64::from(parts) / ROW_GROUP_ROWS).round() as i32).max(1);
    let schema = (table.batches)(0.001, 1, 1).next().ok_or_else(|| Error::internal("an empty TPC-H table"))??.schema();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(None)
        .set_write_row_group_number_distinct_values(true)
        .build();
    let (mut writer, factory) = ArrowWriter::try_new(file, schema, Some(properties))?.into_serialized_writer()?;
    let wave = rayon::current_num_threads().max(1) as i32 * 2;
    for first in (0..groups).step_by(wave as usize) {
        let encoded = (first..groups.min(first + wave))
            .into_par_iter()
            .map(|group| {
                let batches = (table.batches)(scale, (part - 1) * groups + group + 1, parts * groups);
                encode(batches, &factory, group as usize)
            })
            .collect::<Result<Vec<_>>>()?;
        for columns in encoded {
            let mut group = writer.next_row_group()?;
            for column in columns {
                column.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
    }
    writer.close()?;
    Ok(())
}

fn encode(batches: Batches, factory: &ArrowRowGroupWriterFactory, group: usize) -> Result<Vec<ArrowColumnChunk>> {
    let mut columns = factory.create_column_writers(group)?;
    for batch in batches {
        let batch = batch?;
        let mut writers = columns.iter_mut();
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                writers.next().ok_or_else(|| Error::internal("more leaves than column writers"))?.write(&leaf)?;
            }
        }
    }
    columns.into_iter().map(|c| Ok(c.close()?)).collect()
}

/// The eight tables in memory, each in `partitions` partitions (nation and region in one).
///
/// # Errors
/// `InvalidParameter` for a scale that there is not.
pub fn tpch_memory(scale: f64, partitions: usize) -> Result<Vec<(String, Arc<dyn TableSource>)>> {
    check_scale(scale)?;
    TABLES
        .iter()
        .map(|table| {
            let (schema, parts) = (table.schema()?, table.parts(partitions));
            let part = |part| (table.batches)(scale, part, parts).map(|b| normalise(&b?, &schema)).collect::<Result<Vec<_>>>();
            let partitions = (1..=parts).into_par_iter().map(part).collect::<Result<Vec<_>>>()?;
            Ok((table.name.to_string(), MemoryTable::new(schema, partitions)?))
        })
        .collect()
}

fn check_scale(scale: f64) -> Result<()> {
    if scale > 0.0 && scale <= 100_000.0 {
        return Ok(());
    }
    Err(Error::new(ErrorClass::InvalidParameter, format!("The scale factor must be above 0 and at most 100000, not {scale}.")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::{DataType, Scalar};
    use crate::datasource::{open_folder, open_path};

    #[test]
    fn tables_on_disk_and_in_memory_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        tpch(0.001, path, "parquet", 1).unwrap();
        let files: BTreeMap<_, _> = open_folder(path).unwrap().into_iter().collect();
        assert_eq!(files.len(), 8);
        for (name, memory) in tpch_memory(0.001, 2).unwrap() {
            let file = &files[&name];
            assert_eq!(file.schema(), memory.schema(), "{name}");
            assert_eq!(file.statistics().row_count, memory.statistics().row_count, "{name}");
            for (i, (f, m)) in file.statistics().columns.iter().zip(&memory.statistics().columns).enumerate() {
                if !matches!(memory.schema().fields[i].data_type, DataType::String) {
                    assert_eq!((&f.min, &f.max, f.null_count), (&m.min, &m.max, m.null_count), "{name} column {i}");
                }
            }
        }
        let flag = files["lineitem"].schema().index_of("l_returnflag").unwrap();
        assert_eq!(files["lineitem"].statistics().columns[flag].distinct_count, Some(3));
        let quantity = files["lineitem"].schema().index_of("l_quantity").unwrap();
        assert_eq!(files["lineitem"].schema().fields[quantity].data_type, DataType::decimal(15, 2));
        assert_eq!(files["lineitem"].statistics().columns[quantity].min, Some(Scalar::Decimal { value: 100, precision: 15, scale: 2 }));
        assert!(!files["lineitem"].schema().fields[quantity].nullable);
    }

    #[test]
    fn parts_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        tpch(0.001, path, "parquet", 1).unwrap();
        tpch(0.001, path, "parquet", 3).unwrap();
        assert_eq!(open_folder(path).unwrap().len(), 8);
        let orders = open_path(dir.path().join("orders").to_str().unwrap(), None, &BTreeMap::new()).unwrap();
        assert_eq!(orders.statistics().row_count, Some(1500));
        assert!(tpch(0.0, path, "parquet", 1).is_err() && tpch(1.0, path, "xml", 1).is_err());
    }
}
