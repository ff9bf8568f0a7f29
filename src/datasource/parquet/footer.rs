//! What is known of a file from its footer: its columns, how they are read, statistics of its row groups.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar};
use crate::datasource::convert::normalise_column;
use crate::datasource::listing::DataFile;
use crate::datasource::prune::BlockColumn;
use crate::expr::evaluate::scalar::from_array;

/// A footer as read.
pub(super) struct FileFooter {
    pub file: DataFile,
    /// The file's columns.
    pub fields: Vec<Field>,
    metadata: Arc<ParquetMetaData>,
}

impl FileFooter {
    pub fn read(file: &DataFile) -> Result<Self> {
        let handle = open(&file.path)?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&handle).map_err(|e| malformed(&file.path, e))?;
        if let Some(group) = metadata.row_groups().iter().position(|g| !is_within(g, file.size)) {
            return Err(malformed(&file.path, format!("row group {group} does not lie within the file")));
        }
        let (descriptor, pairs) = (metadata.file_metadata().schema_descr(), metadata.file_metadata().key_value_metadata());
        let arrow = parquet_to_arrow_schema(descriptor, pairs).map_err(|e| malformed(&file.path, e))?;
        let mut fields = Vec::with_capacity(arrow.fields().len());
        for (root, field) in arrow.fields().iter().enumerate() {
            let mut field = Field::from_arrow(field).map_err(|e| e.context(file.path.display()))?;
            if physical_type(&metadata, root) == Some(PhysicalType::INT96) {
                field.data_type = DataType::Timestamp;
            }
            fields.push(field);
        }
        Ok(Self { file: file.clone(), fields, metadata: Arc::new(metadata) })
    }

    /// The Arrow schema to read with: each column in its final representation where the reader can make it.
    fn read_schema(&self) -> Result<ArrowSchema> {
        let (descriptor, pairs) = (self.metadata.file_metadata().schema_descr(), self.metadata.file_metadata().key_value_metadata());
        let plain = parquet_to_arrow_schema(descriptor, None)?;
        let hinted = parquet_to_arrow_schema(descriptor, pairs)?;
        let fields = plain.fields().iter().zip(hinted.fields()).zip(&self.fields).enumerate().map(|(root, ((plain, hinted), field))| {
            let target = field.data_type.to_arrow();
            let direct = reads_as(plain.data_type(), &target, physical_type(&self.metadata, root));
            let data_type = if direct { target } else { hinted.data_type().clone() };
            plain.as_ref().clone().with_data_type(data_type)
        });
        Ok(ArrowSchema::new(fields.collect::<Vec<_>>()))
    }
}

/// Whether what a footer says of a row group can be true of a file of `size` bytes.
fn is_within(group: &RowGroupMetaData, size: u64) -> bool {
    let inside = |start: i64, length: i64| {
        let end = u64::try_from(start).ok().and_then(|s| s.checked_add(u64::try_from(length).ok()?));
        end.is_some_and(|end| end <= size)
    };
    let chunk = |c: &ColumnChunkMetaData| inside(c.data_page_offset(), 0) && inside(chunk_start(c), c.compressed_size());
    group.num_rows() >= 0 && group.columns().iter().all(chunk)
}

/// The first byte of a column chunk.
pub(super) fn chunk_start(chunk: &ColumnChunkMetaData) -> i64 {
    chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset())
}

/// Whether the reader decodes a column, by itself of Arrow type `plain`, straight into `target`.
fn reads_as(plain: &ArrowType, target: &ArrowType, physical: Option<PhysicalType>) -> bool {
    use PhysicalType::{FIXED_LEN_BYTE_ARRAY, INT32, INT64, INT96};
    match (plain, target) {
        (ArrowType::Utf8 | ArrowType::Binary, ArrowType::Utf8View) | (ArrowType::Binary, ArrowType::BinaryView) => true,
        (ArrowType::Decimal128(p, s), ArrowType::Decimal64(q, t)) => {
            (p, s) == (q, t) && matches!(physical, Some(INT32 | INT64 | FIXED_LEN_BYTE_ARRAY))
        }
        (ArrowType::Timestamp(TimeUnit::Nanosecond, None), ArrowType::Timestamp(TimeUnit::Microsecond, _)) => physical == Some(INT96),
        (ArrowType::Timestamp(a, Some(_)), ArrowType::Timestamp(b, Some(_))) => a == b,
        _ => plain == target,
    }
}

/// The physical type of a column that is not nested.
fn physical_type(metadata: &ParquetMetaData, root: usize) -> Option<PhysicalType> {
    let root = metadata.file_metadata().schema_descr().root_schema().get_fields().get(root)?;
    root.is_primitive().then(|| root.get_physical_type())
}

/// A file of a table, ready to be pruned and read.
#[derive(Debug)]
pub(super) struct ParquetFile {
    pub file: DataFile,
    pub metadata: ArrowReaderMetadata,
    /// For each data column of the table, where it stands in the file.
    pub columns: Vec<Option<FileColumn>>,
    /// Per row group and data column.
    blocks: Vec<Vec<BlockColumn>>,
    with_page_index: OnceLock<Result<ArrowReaderMetadata>>,
}

/// A column of the table in a file.
#[derive(Debug, Clone)]
pub(super) struct FileColumn {
    /// Among the file's top-level columns.
    pub root: usize,
    /// Among the file's leaves; `None` where nested.
    pub leaf: Option<usize>,
    /// As the table declares it.
    pub field: Field,
}

impl ParquetFile {
    pub fn new(footer: FileFooter, data_fields: &[Field]) -> Result<Self> {
        let at = |e: Error| e.context(footer.file.path.display());
        let read_schema = Arc::new(footer.read_schema().map_err(at)?);
        let options = ArrowReaderOptions::new().with_schema(read_schema);
        let metadata = ArrowReaderMetadata::try_new(footer.metadata.clone(), options).map_err(|e| malformed(&footer.file.path, e))?;
        let descriptor = metadata.parquet_schema();
        let columns: Vec<Option<FileColumn>> = data_fields
            .iter()
            .map(|field| {
                let root = footer.fields.iter().position(|f| f.name.eq_ignore_ascii_case(&field.name))?;
                let leaf = descriptor.root_schema().get_fields()[root]
                    .is_primitive()
                    .then(|| (0..descriptor.num_columns()).find(|l| descriptor.get_column_root_idx(*l) == root))
                    .flatten();
                // What the footer says of NULLs is what the reader gives; other files may have more.
                Some(FileColumn { root, leaf, field: Field { nullable: true, ..field.clone() } })
            })
            .collect();
        let groups = metadata.metadata().row_groups();
        let mut blocks: Vec<Vec<BlockColumn>> = groups.iter().map(|_| Vec::with_capacity(columns.len())).collect();
        for column in &columns {
            for (block, group) in column_blocks(column.as_ref(), &metadata).into_iter().zip(&mut blocks) {
                group.push(block);
            }
        }
        Ok(Self { file: footer.file, metadata, columns, blocks, with_page_index: OnceLock::new() })
    }

    pub fn row_groups(&self) -> usize {
        self.blocks.len()
    }

    pub fn group(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(group)
    }

    pub fn group_rows(&self, group: usize) -> u64 {
        self.group(group).num_rows().max(0) as u64
    }

    pub fn rows(&self) -> u64 {
        (0..self.row_groups()).map(|g| self.group_rows(g)).sum()
    }

    /// The byte in the middle of a row group, which decides the split that it belongs to.
    pub fn midpoint(&self, group: usize) -> u64 {
        let columns = self.group(group).columns();
        let start = columns.iter().map(chunk_start).min();
        let length: i64 = columns.iter().map(|c| c.compressed_size()).sum();
        start.unwrap_or_default().saturating_add(length / 2).max(0) as u64
    }

    /// What is known of a table column (partition columns included) in a row group.
    pub fn block(&self, group: usize, column: usize) -> BlockColumn {
        if let Some(block) = self.blocks[group].get(column) {
            return block.clone();
        }
        let rows = self.group_rows(group);
        match &self.file.partition_values[column - self.columns.len()] {
            Scalar::Null(_) => BlockColumn { min: None, max: None, null_count: Some(rows), rows },
            value => BlockColumn { min: Some(value.clone()), max: Some(value.clone()), null_count: Some(0), rows },
        }
    }

    /// Distinct values as the writer counted them.
    pub fn distinct_count(&self, group: usize, column: usize) -> Option<u64> {
        let leaf = self.columns.get(column)?.as_ref()?.leaf?;
        self.group(group).column(leaf).statistics()?.distinct_count_opt()
    }

    /// Bytes of all strings together, as the writer counted them.
    pub fn string_bytes(&self, group: usize, column: usize) -> Option<u64> {
        let leaf = self.columns.get(column)?.as_ref()?.leaf?;
        self.group(group).column(leaf).unencoded_byte_array_data_bytes()?.try_into().ok()
    }

    pub fn has_page_index(&self, group: usize) -> bool {
        self.group(group).columns().iter().any(|c| c.column_index_offset().is_some() && c.offset_index_offset().is_some())
    }

    /// The metadata with the page index, read when first asked for.
    pub fn page_index(&self) -> Result<&ArrowReaderMetadata> {
        let read = || -> Result<ArrowReaderMetadata> {
            let handle = open(&self.file.path)?;
            let mut reader = ParquetMetaDataReader::new_with_metadata(self.metadata.metadata().as_ref().clone())
                .with_page_index_policy(PageIndexPolicy::Optional);
            reader.read_page_indexes(&handle).map_err(|e| malformed(&self.file.path, e))?;
            let metadata = reader.finish().map_err(|e| malformed(&self.file.path, e))?;
            let options = ArrowReaderOptions::new().with_schema(self.metadata.schema().clone());
            ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|e| malformed(&self.file.path, e))
        };
        self.with_page_index.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

/// What is known of a data column in each row group.
fn column_blocks(column: Option<&FileColumn>, metadata: &ArrowReaderMetadata) -> Vec<BlockColumn> {
    let groups = metadata.metadata().row_groups();
    let rows = |g: &RowGroupMetaData| g.num_rows().max(0) as u64;
    let Some(column) = column else {
        return groups.iter().map(|g| BlockColumn { min: None, max: None, null_count: Some(rows(g)), rows: rows(g) }).collect();
    };
    let mut blocks: Vec<BlockColumn> = groups.iter().map(|g| BlockColumn { rows: rows(g), ..Default::default() }).collect();
    // Statistics that cannot be read are only missing.
    let Some(bounds) = row_group_bounds(column, metadata) else { return blocks };
    for (i, block) in blocks.iter_mut().enumerate() {
        bounds.fill(block, i, &column.field.data_type);
    }
    blocks
}

/// Bounds and NULL counts of blocks (row groups or pages), one array element each, in the table's representation.
pub(super) struct BlockArrays {
    min: ArrayRef,
    max: ArrayRef,
    nulls: UInt64Array,
}

impl BlockArrays {
    /// Brings statistics as read, of the file's representation, to that of `field`.
    pub fn new(min: &ArrayRef, max: &ArrayRef, nulls: UInt64Array, field: &Field) -> Option<Self> {
        Some(Self { min: normalise_column(min, field).ok()?, max: normalise_column(max, field).ok()?, nulls })
    }

    pub fn fill(&self, block: &mut BlockColumn, i: usize, data_type: &DataType) {
        block.null_count = self.nulls.is_valid(i).then(|| self.nulls.value(i));
        let value = |array: &ArrayRef| from_array(array, i).ok().filter(|v| !v.is_null() && !is_nan(v));
        block.min = value(&self.min);
        // Writers leave NaN out of account, which SQL holds greatest.
        let floats = matches!(data_type, DataType::Float | DataType::Double);
        block.max = if floats { None } else { value(&self.max) };
    }
}

fn is_nan(v: &Scalar) -> bool {
    matches!(v, Scalar::Double(d) if d.is_nan()) || matches!(v, Scalar::Float(f) if f.is_nan())
}

/// The converter of a column's statistics; `None` for nested columns.
pub(super) fn converter<'a>(column: &FileColumn, metadata: &'a ArrowReaderMetadata) -> Option<StatisticsConverter<'a>> {
    let field: &'a ArrowField = metadata.schema().field(column.root);
    let converter = StatisticsConverter::from_column_index(column.leaf?, field, metadata.parquet_schema()).ok()?;
    let orders = metadata.metadata().file_metadata().column_orders();
    Some(converter.with_missing_null_counts_as_zero(false).with_column_orders(orders.map(Vec::as_slice)))
}

fn row_group_bounds(column: &FileColumn, metadata: &ArrowReaderMetadata) -> Option<BlockArrays> {
    let groups = metadata.metadata().row_groups();
    let (leaf, converter) = (column.leaf?, converter(column, metadata)?);
    // Old writers compared bytes as signed numbers and said so by using the deprecated fields.
    let signed = |g: &RowGroupMetaData| {
        let chunk = g.column(leaf);
        let bytes = matches!(chunk.column_type(), PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY);
        bytes && chunk.statistics().is_some_and(|s| s.is_min_max_deprecated())
    };
    if groups.iter().any(signed) {
        return None;
    }
    let (min, max) = (converter.row_group_mins(groups).ok()?, converter.row_group_maxes(groups).ok()?);
    BlockArrays::new(&min, &max, converter.row_group_null_counts(groups).ok()?, &column.field)
}

pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::from(e).context(path.display()))
}

pub(super) fn malformed(path: &Path, e: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::MalformedData, format!("{}: {e}", path.display()))
}
