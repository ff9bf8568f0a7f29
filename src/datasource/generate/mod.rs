//! The tables of TPC-H and TPC-DS, made by tpchgen and tpcdsgen: the same rows for the same scale in every run.

mod tpcds;
mod tpch;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use super::convert::normalise;
use super::write::{ResultFormat, ResultWriter};
use super::{MemoryTable, TableSource};
use crate::base::{Error, ErrorClass, OwnedFolder, Result, Schema};

/// Rows per row group: as many as spread well over threads while pages stay long.
const ROW_GROUP_ROWS: f64 = 122_880.0;
const BATCH_ROWS: usize = 8192;

/// A benchmark with data of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Tpch,
    Tpcds,
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// A table of a suite.
struct Table {
    name: &'static str,
    /// Whether it is in several files or partitions where that is wanted: tables that grow with the scale are, small ones are not.
    divided: bool,
    arrow_schema: fn() -> Result<SchemaRef>,
    /// About how many rows it has at a scale.
    rows: fn(scale: f64) -> f64,
    /// Part `n` of `parts`, counting from 1.
    batches: fn(scale: f64, part: i32, parts: i32) -> Result<Batches>,
}

impl Table {
    fn schema(&self) -> Result<Schema> {
        Schema::from_arrow((self.arrow_schema)()?.as_ref())
    }

    fn parts(&self, wanted: usize) -> i32 {
        if self.divided { i32::try_from(wanted.max(1)).unwrap_or(i32::MAX) } else { 1 }
    }
}

impl Suite {
    pub const ALL: [Suite; 2] = [Suite::Tpch, Suite::Tpcds];

    /// `tpch` or `tpcds`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Tpch => "tpch",
            Suite::Tpcds => "tpcds",
        }
    }

    /// The suite of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    fn tables(self) -> &'static [Table] {
        match self {
            Suite::Tpch => tpch::TABLES,
            Suite::Tpcds => tpcds::TABLES,
        }
    }

    /// Writes the tables to `dir` as `NAME.EXT`, or as folders `NAME/` of `parts` files where `parts` is more than 1 (small tables
    /// always have one). Tables of these names and this format that are there are replaced. `format` is `parquet`, `csv` or
    /// `arrow`.
    ///
    /// # Errors
    /// `InvalidParameter` for a scale or format that there is not, `Io`.
    pub fn write(self, scale: f64, dir: &str, format: &str, parts: usize) -> Result<()> {
        check_scale(scale)?;
        let format = match format {
            "parquet" => ResultFormat::Parquet,
            "csv" => ResultFormat::Csv,
            "arrow" => ResultFormat::Arrow,
            other => {
                let message = format!("{} is written as parquet, csv or arrow, not `{other}`.", self.name());
                return Err(Error::new(ErrorClass::InvalidParameter, message));
            }
        };
        let dir = Path::new(dir);
        std::fs::create_dir_all(dir).map_err(|e| Error::from(e).context(dir.display()))?;
        self.tables().par_iter().try_for_each(|table| write_table(table, scale, dir, format, table.parts(parts)))
    }

    /// The tables in memory, each in `partitions` partitions (small ones in one).
    ///
    /// # Errors
    /// `InvalidParameter` for a scale that there is not.
    pub fn memory(self, scale: f64, partitions: usize) -> Result<Vec<(String, Arc<dyn TableSource>)>> {
        check_scale(scale)?;
        let tables = self.tables().par_iter().map(|table| {
            let (schema, parts) = (table.schema()?, table.parts(partitions));
            let part = |part| (table.batches)(scale, part, parts)?.map(|b| normalise(&b?, &schema)).collect::<Result<Vec<_>>>();
            let partitions = (1..=parts).into_par_iter().map(part).collect::<Result<Vec<_>>>()?;
            Ok((table.name.to_string(), MemoryTable::new(schema, partitions)?))
        });
        tables.collect()
    }
}

fn write_table(table: &Table, scale: f64, dir: &Path, format: ResultFormat, parts: i32) -> Result<()> {
    let at = |e: std::io::Error| Error::from(e).context(dir.display());
    let extension = format.extension();
    let (file, folder) = (dir.join(format!("{}.{extension}", table.name)), dir.join(table.name));
    // Hidden from readers until whole.
    let staging = OwnedFolder::beside(&folder).map_err(at)?;
    let part_path = |part: i32| staging.path().join(format!("part-{:05}.{extension}", part - 1));
    (1..=parts).into_par_iter().try_for_each(|part| write_part(table, scale, part, parts, &part_path(part), format))?;
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).map_err(at)?;
    }
    if parts == 1 {
        std::fs::rename(part_path(1), &file).map_err(at)
    } else {
        let _ = std::fs::remove_file(&file);
        std::fs::rename(staging.path(), &folder).map_err(at)
    }
}

fn write_part(table: &Table, scale: f64, part: i32, parts: i32, path: &Path, format: ResultFormat) -> Result<()> {
    let file = BufWriter::new(File::create(path).map_err(|e| Error::from(e).context(path.display()))?);
    if format == ResultFormat::Parquet {
        return write_parquet(table, scale, part, parts, file);
    }
    let schema = table.schema()?;
    let mut writer = ResultWriter::new(format, &schema, file)?;
    for batch in (table.batches)(scale, part, parts)? {
        writer.write(&normalise(&batch?, &schema)?)?;
    }
    writer.finish()
}

/// Row groups are generated and encoded in parallel and appended in order.
fn write_parquet(table: &Table, scale: f64, part: i32, parts: i32, file: BufWriter<File>) -> Result<()> {
    let groups = (((table.rows)(scale) / f64::from(parts) / ROW_GROUP_ROWS).round() as i32).max(1);
    let schema = (table.arrow_schema)()?;
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
                let batches = (table.batches)(scale, (part - 1) * groups + group + 1, parts * groups)?;
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

fn check_scale(scale: f64) -> Result<()> {
    if scale > 0.0 && scale <= 100_000.0 {
        return Ok(());
    }
    Err(Error::new(ErrorClass::InvalidParameter, format!("The scale factor must be above 0 and at most 100000, not {scale}.")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::util::display::array_value_to_string;

    use super::*;
    use crate::base::{DataType, Scalar};
    use crate::datasource::{open_folder, open_path};

    #[test]
    fn tables_on_disk_and_in_memory_agree() {
        for (suite, tables, scale) in [(Suite::Tpch, 8, 0.001), (Suite::Tpcds, 24, 0.001)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().to_str().unwrap();
            suite.write(scale, path, "parquet", 1).unwrap();
            let files: BTreeMap<_, _> = open_folder(path).unwrap().into_iter().collect();
            assert_eq!(files.len(), tables);
            for (name, memory) in suite.memory(scale, 2).unwrap() {
                let file = &files[&name];
                assert_eq!(file.schema(), memory.schema(), "{name}");
                assert_eq!(file.statistics().row_count, memory.statistics().row_count, "{name}");
                for (i, (f, m)) in file.statistics().columns.iter().zip(&memory.statistics().columns).enumerate() {
                    if !matches!(memory.schema().fields[i].data_type, DataType::String) {
                        assert_eq!((&f.min, &f.max, f.null_count), (&m.min, &m.max, m.null_count), "{name} column {i}");
                    }
                }
            }
            if suite == Suite::Tpch {
                let statistics = |column| {
                    let lineitem = &files["lineitem"];
                    lineitem.statistics().columns[lineitem.schema().index_of(column).unwrap()].clone()
                };
                assert_eq!(statistics("l_returnflag").distinct_count, Some(3));
                assert_eq!(statistics("l_quantity").min, Some(Scalar::Decimal { value: 100, precision: 15, scale: 2 }));
            }
        }
    }

    #[test]
    fn types_are_those_of_the_specifications() {
        let field = |suite: Suite, table: &str, column: &str| {
            let schema = suite.tables().iter().find(|t| t.name == table).unwrap().schema().unwrap();
            let field = schema.fields[schema.index_of(column).unwrap()].clone();
            (field.data_type, field.nullable)
        };
        assert_eq!(field(Suite::Tpch, "lineitem", "l_quantity"), (DataType::decimal(15, 2), false));
        for (table, column, data_type, nullable) in [
            ("store_sales", "ss_item_sk", DataType::Int, false),
            ("store_sales", "ss_sold_date_sk", DataType::Int, true),
            ("store_sales", "ss_net_paid", DataType::decimal(7, 2), true),
            ("store", "s_gmt_offset", DataType::decimal(5, 2), true),
            ("date_dim", "d_date", DataType::Date, true),
            ("item", "i_size", DataType::String, true),
            ("customer", "c_last_review_date_sk", DataType::Int, true),
        ] {
            assert_eq!(field(Suite::Tpcds, table, column), (data_type, nullable), "{table}.{column}");
        }
    }

    #[test]
    fn parts_are_the_table_cut_in_pieces() {
        let text = |batches: Batches| {
            let mut rows = vec![];
            for batch in batches {
                let batch = batch.unwrap();
                rows.extend(
                    (0..batch.num_rows())
                        .map(|r| batch.columns().iter().map(|c| array_value_to_string(c, r).unwrap()).collect::<Vec<_>>().join("|")),
                );
            }
            rows
        };
        for table in Suite::ALL.iter().flat_map(|s| s.tables()).filter(|t| t.divided && t.name != "customer_demographics") {
            let whole = text((table.batches)(0.002, 1, 1).unwrap());
            let parts: Vec<_> = (1..=7).flat_map(|part| text((table.batches)(0.002, part, 7).unwrap())).collect();
            assert!(whole == parts, "{}", table.name);
        }
    }

    #[test]
    fn parts_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        Suite::Tpch.write(0.001, path, "parquet", 1).unwrap();
        Suite::Tpch.write(0.001, path, "parquet", 3).unwrap();
        assert_eq!(open_folder(path).unwrap().len(), 8);
        let orders = open_path(dir.path().join("orders").to_str().unwrap(), None, &BTreeMap::new()).unwrap();
        assert_eq!(orders.statistics().row_count, Some(1500));
        assert!(Suite::Tpch.write(0.0, path, "parquet", 1).is_err() && Suite::Tpch.write(1.0, path, "xml", 1).is_err());
    }
}
