use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType as ArrowType, Int32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::base::{Scalar, Settings};
use crate::datasource::open_path;
use crate::expr::{ComparisonOp, Expr};

/// `a` counts up from `from`, `s` is text with NULLs, `d` is a decimal.
fn batch(from: i32, rows: i32) -> RecordBatch {
    let a = Int32Array::from_iter_values(from..from + rows);
    let s = StringArray::from_iter((from..from + rows).map(|i| (i % 3 != 0).then(|| format!("value {i}"))));
    let d = Decimal128Array::from_iter_values((from..from + rows).map(|i| i128::from(i) * 100)).with_precision_and_scale(15, 2).unwrap();
    let columns: [(&str, ArrayRef, bool); 3] = [("a", Arc::new(a), false), ("s", Arc::new(s), true), ("d", Arc::new(d), false)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn write(path: &Path, batch: &RecordBatch, group_rows: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(50)
        .set_write_batch_size(50);
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn open(path: &Path) -> Result<Arc<dyn TableSource>> {
    open_path(path.to_str().unwrap(), None, &BTreeMap::new())
}

fn request(columns: &[usize], filters: Vec<Expr>) -> ScanRequest {
    let mut settings = Settings::new();
    settings.set("execution.threads", "2").unwrap();
    ScanRequest { columns: columns.to_vec(), partition_filters: vec![], data_filters: filters, buckets: None, settings }
}

fn read(table: &dyn TableSource, request: &ScanRequest) -> RecordBatch {
    let partitions = table.plan_scan(request).unwrap();
    let batches: Vec<RecordBatch> = partitions.iter().flat_map(|p| p.open().unwrap()).map(Result::unwrap).collect();
    concat_batches(&crate::datasource::memory::projected_schema(table.schema(), &request.columns), &batches).unwrap()
}

fn planned_rows(table: &dyn TableSource, filters: Vec<Expr>) -> Vec<u64> {
    table.plan_scan(&request(&[0], filters)).unwrap().iter().map(|p| p.row_count().unwrap()).collect()
}

fn column(table: &dyn TableSource, index: usize) -> Box<Expr> {
    let f = &table.schema().fields[index];
    Box::new(Expr::Column { index, data_type: f.data_type.clone(), nullable: f.nullable })
}

fn compare(table: &dyn TableSource, index: usize, op: ComparisonOp, value: Scalar) -> Expr {
    Expr::Comparison { op, left: column(table, index), right: Box::new(Expr::Literal(value)) }
}

#[test]
fn reads_into_final_types_with_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write(&path, &batch(0, 1000), 250);
    let t = open(&path).unwrap();
    assert_eq!(t.schema().fields[2].data_type, DataType::decimal(15, 2));
    assert!(!t.schema().fields[0].nullable && t.schema().fields[1].nullable);
    let s = t.statistics();
    assert_eq!((s.row_count, s.columns[1].null_count), (Some(1000), Some(334)));
    assert_eq!((&s.columns[0].min, &s.columns[0].max), (&Some(Scalar::Int(0)), &Some(Scalar::Int(999))));
    assert_eq!(s.columns[0].distinct_count, Some(1000));
    assert_eq!(s.size_bytes, std::fs::metadata(&path).unwrap().len());

    let out = read(&*t, &request(&[2, 1], vec![]));
    assert_eq!(out.column(0).data_type(), &ArrowType::Decimal64(15, 2));
    assert_eq!(out.column(1).data_type(), &ArrowType::Utf8View);
    assert_eq!(out.num_rows(), 1000);
    assert_eq!(out.column(1).as_string_view().value(998), "value 998");
    assert_eq!(read(&*t, &request(&[], vec![])).num_rows(), 1000);
    assert_eq!(t.plan_scan(&request(&[0], vec![])).unwrap().len(), 2);
}

#[test]
fn row_groups_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write(&path, &batch(0, 1000), 250);
    let t = open(&path).unwrap();
    assert_eq!(planned_rows(&*t, vec![]).iter().sum::<u64>(), 1000);
    assert_eq!(planned_rows(&*t, vec![compare(&*t, 0, ComparisonOp::GreaterOrEqual, Scalar::Int(750))]), [250]);
    assert_eq!(planned_rows(&*t, vec![compare(&*t, 0, ComparisonOp::Less, Scalar::Int(0))]), [0]);
    let wide = Scalar::Decimal { value: 26_000, precision: 15, scale: 2 };
    assert_eq!(planned_rows(&*t, vec![compare(&*t, 2, ComparisonOp::Equal, wide)]), [250]);
    assert_eq!(planned_rows(&*t, vec![Expr::IsNull(column(&*t, 0))]), [0]);
}

#[test]
fn partition_folders_and_missing_columns() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("year=2023/a.parquet"), &batch(0, 10), 100);
    write(&dir.path().join("year=2024/a.parquet"), &batch(10, 20).project(&[0, 2]).unwrap(), 100);
    let t = open(dir.path()).unwrap();
    assert_eq!(t.schema().fields.iter().map(|f| f.name.as_ref()).collect::<Vec<_>>(), ["a", "s", "d", "year"]);
    assert_eq!(t.partition_columns(), 1);
    assert_eq!(t.statistics().columns[3].distinct_count, Some(2));
    let all = read(&*t, &request(&[3, 1, 0], vec![]));
    assert_eq!(all.num_rows(), 30);
    assert_eq!(all.column(1).null_count(), 4 + 20);
    let mut pruned = request(&[3, 0], vec![]);
    pruned.partition_filters = vec![compare(&*t, 3, ComparisonOp::Equal, Scalar::Int(2024))];
    let rows = read(&*t, &pruned);
    assert!(rows.num_rows() == 20 && rows.column(0).as_primitive::<Int32Type>().iter().all(|y| y == Some(2024)));
}

#[test]
fn types_are_widened_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let one = |name: &str, array: ArrayRef| write(&dir.path().join(name), &RecordBatch::try_from_iter([("a", array)]).unwrap(), 100);
    one("1.parquet", Arc::new(Int32Array::from(vec![1])));
    one("2.parquet", Arc::new(Int64Array::from(vec![2])));
    let t = open(dir.path()).unwrap();
    assert_eq!(t.statistics().columns[0].max, Some(Scalar::Long(2)));
    let mut values = read(&*t, &request(&[0], vec![])).column(0).as_primitive::<Int64Type>().values().to_vec();
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
    one("3.parquet", Arc::new(StringArray::from(vec!["x"])));
    let e = open(dir.path()).unwrap_err();
    assert!(e.class == ErrorClass::MalformedData && e.message.contains("3.parquet") && e.message.contains("`a`"), "{e}");
}

#[test]
fn broken_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    assert_eq!(open(&path).unwrap_err().class, ErrorClass::PathNotFound);
    write(&path, &batch(0, 1000), 250);
    let whole = std::fs::read(&path).unwrap();
    for broken in [&whole[..whole.len() - 10], &whole[..3], b"", b"PAR1 something else entirely PAR1"] {
        std::fs::write(&path, broken).unwrap();
        let e = open(&path).unwrap_err();
        assert!(e.class == ErrorClass::MalformedData && e.message.contains("t.parquet"), "{e}");
    }
    // Cut or removed after its footer was read.
    std::fs::write(&path, &whole).unwrap();
    let t = open(&path).unwrap();
    let scan = t.plan_scan(&request(&[0, 1, 2], vec![])).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 3]).unwrap();
    let e = scan.iter().flat_map(|p| p.open().unwrap()).find_map(Result::err).unwrap();
    assert!(e.class == ErrorClass::MalformedData && e.message.contains("t.parquet"), "{e}");
    std::fs::remove_file(&path).unwrap();
    let e = scan.iter().flat_map(|p| p.open().unwrap()).find_map(Result::err).unwrap();
    assert_eq!(e.class, ErrorClass::PathNotFound);
}

#[test]
fn pages_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write(&path, &batch(0, 1000), 1000);
    let t = open(&path).unwrap();
    // Pages have 50 rows; the filter is met by rows 490 to 509, in two of them.
    let filters =
        vec![compare(&*t, 0, ComparisonOp::GreaterOrEqual, Scalar::Int(490)), compare(&*t, 0, ComparisonOp::Less, Scalar::Int(510))];
    let out = read(&*t, &request(&[0, 1], filters));
    assert_eq!(out.num_rows(), 100);
    assert_eq!(out.column(0).as_primitive::<Int32Type>().value(0), 450);
    assert_eq!(out.column(1).as_string_view().value(50), "value 500");
}

#[test]
fn threads_share_a_large_row_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let a: ArrayRef = Arc::new(Int32Array::from_iter_values(0..200_000));
    write(&path, &RecordBatch::try_from_iter([("a", a)]).unwrap(), 1_000_000);
    let t = open(&path).unwrap();
    assert_eq!(planned_rows(&*t, vec![]), [100_000, 100_000]);
    let out = read(&*t, &request(&[0], vec![]));
    assert!(out.column(0).as_primitive::<Int32Type>().values().iter().copied().eq(0..200_000));
    let tail = read(&*t, &request(&[0], vec![compare(&*t, 0, ComparisonOp::GreaterOrEqual, Scalar::Int(150_000))]));
    assert_eq!(tail.num_rows(), 50_000);
}

#[test]
fn types_of_other_writers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let nanos = TimestampNanosecondArray::from(vec![Some(1_500), None]);
    let millis = TimestampMillisecondArray::from(vec![2, 3]).with_timezone("Europe/Paris");
    let wide = Decimal128Array::from(vec![Some(10i128.pow(30)), None]).with_precision_and_scale(38, 3).unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let text = DictionaryArray::<Int32Type>::from_iter(["x", "y"]);
    let pair = StructArray::from(vec![(
        Arc::new(arrow::datatypes::Field::new("k", ArrowType::LargeUtf8, true)),
        Arc::new(LargeStringArray::from(vec!["p", "q"])) as ArrayRef,
    )]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("nanos", Arc::new(nanos)),
        ("millis", Arc::new(millis)),
        ("wide", Arc::new(wide)),
        ("list", Arc::new(list)),
        ("text", Arc::new(text)),
        ("pair", Arc::new(pair)),
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX, 1]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"a", b"b"]))),
        ("float", Arc::new(Float32Array::from(vec![1.5, f32::NAN]))),
        ("span", Arc::new(DurationMicrosecondArray::from(vec![5, 6]))),
    ];
    write(&path, &RecordBatch::try_from_iter(columns).unwrap(), 100);
    let t = open(&path).unwrap();
    let types: Vec<String> = t.schema().fields.iter().map(|f| f.data_type.to_string()).collect();
    let expected = [
        "timestamp_ntz",
        "timestamp",
        "decimal(38,3)",
        "array<int>",
        "string",
        "struct<k:string>",
        "decimal(20,0)",
        "binary",
        "float",
        "interval day to second",
    ];
    assert_eq!(types, expected);
    let all: Vec<usize> = (0..expected.len()).collect();
    let out = read(&*t, &request(&all, vec![]));
    for (column, field) in out.columns().iter().zip(&t.schema().fields) {
        assert_eq!(column.data_type(), &field.data_type.to_arrow(), "{}", field.name);
    }
    assert_eq!(out.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 1);
    assert_eq!(out.column(6).as_primitive::<arrow::datatypes::Decimal128Type>().value(0), i128::from(u64::MAX));
    assert_eq!(out.column(5).as_struct().column(0).as_string_view().value(1), "q");
    // NaN is greatest, and writers leave it out of their bounds.
    let s = t.statistics();
    assert_eq!((&s.columns[8].min, &s.columns[8].max), (&Some(Scalar::Float(1.5)), &None));
    assert_eq!(s.columns[1].max, Some(Scalar::Timestamp(3000)));
}

#[test]
fn int96_is_a_timestamp() {
    use parquet::data_type::{Int96, Int96Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let schema = Arc::new(parse_message_type("message m { required int96 at; }").unwrap());
    let mut writer = SerializedFileWriter::new(std::fs::File::create(&path).unwrap(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let mut value = Int96::new();
    // Day 2,440,589 of the Julian calendar is 1970-01-02.
    value.set_data(1_000_000, 0, 2_440_589);
    column.typed::<Int96Type>().write_batch(&[value], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();

    let t = open(&path).unwrap();
    assert_eq!(t.schema().fields[0].data_type, DataType::Timestamp);
    let out = read(&*t, &request(&[0], vec![]));
    assert_eq!(out.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 86_400_000_000 + 1000);
}

#[test]
fn no_damage_to_a_footer_makes_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write(&path, &batch(0, 100), 50);
    let whole = std::fs::read(&path).unwrap();
    let length = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    for position in whole.len() - 8 - length..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x80;
        std::fs::write(&path, &bytes).unwrap();
        let Ok(t) = open(&path) else { continue };
        for partition in t.plan_scan(&request(&[0, 1, 2], vec![])).unwrap() {
            let failed = partition.open().unwrap().take(10).find_map(Result::err);
            assert!(failed.is_none_or(|e| e.message.contains("t.parquet")));
        }
    }
}

#[test]
fn other_columns_are_decoded_where_filters_leave_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    // Statistics cannot tell: every page has all the keys.
    let rows = 20_000;
    let key = Int32Array::from_iter_values((0..rows).map(|i| i % 40));
    let text = StringArray::from_iter_values((0..rows).map(|i| format!("text of row {i}")));
    let columns: [(&str, ArrayRef); 3] =
        [("text", Arc::new(text)), ("key", Arc::new(key)), ("row", Arc::new(Int32Array::from_iter_values(0..rows)))];
    write(&path, &RecordBatch::try_from_iter(columns).unwrap(), 8_000);
    let t = open(&path).unwrap();
    // The second conjunct hardly drops rows and is left to the plan.
    let few = vec![compare(&*t, 1, ComparisonOp::Less, Scalar::Int(3)), compare(&*t, 1, ComparisonOp::Greater, Scalar::Int(0))];
    for columns in [[2, 0, 1], [0, 1, 2]] {
        let out = read(&*t, &request(&columns, few.clone()));
        assert_eq!(out.num_rows(), 1500);
        let (text, row) = (columns.iter().position(|c| *c == 0).unwrap(), columns.iter().position(|c| *c == 2).unwrap());
        let (text, row) = (out.column(text).as_string_view(), out.column(row).as_primitive::<Int32Type>());
        for i in 0..out.num_rows() {
            assert_eq!(text.value(i), format!("text of row {}", row.value(i)));
            assert!(row.value(i) % 40 < 3);
        }
    }
    // A filter column that is not asked for is not read.
    assert_eq!(read(&*t, &request(&[0], few)).num_rows(), rows as usize);
}

#[test]
fn partition_filters_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    for year in [2023, 2024, 2025] {
        write(&dir.path().join(format!("year={year}/a.parquet")), &batch(0, 10), 100);
    }
    let t = open(dir.path()).unwrap();
    let next = Expr::Arithmetic {
        op: crate::expr::ArithmeticOp::Add,
        left: column(&*t, 3),
        right: Box::new(Expr::Literal(Scalar::Int(1))),
        try_arithmetic: false,
    };
    let mut request = request(&[3], vec![]);
    request.partition_filters =
        vec![Expr::Comparison { op: ComparisonOp::Equal, left: Box::new(next), right: Box::new(Expr::Literal(Scalar::Int(2025))) }];
    let out = read(&*t, &request);
    assert!(out.num_rows() == 10 && out.column(0).as_primitive::<Int32Type>().iter().all(|y| y == Some(2024)));
}
