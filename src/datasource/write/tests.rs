use std::collections::BTreeMap;

use arrow::array::*;

use super::*;
use crate::base::{DataType, Field, Scalar, Settings};
use crate::datasource::{ScanRequest, normalise, open_path};

fn rows() -> (Schema, RecordBatch) {
    let columns: Vec<(&str, DataType, ArrayRef)> = vec![
        ("id", DataType::Int, Arc::new(Int32Array::from(vec![Some(1), None]))),
        ("name", DataType::String, Arc::new(StringArray::from(vec!["a,\"b\"", ""]))),
        ("price", DataType::decimal(10, 2), Arc::new(Decimal128Array::from(vec![Some(-5), None]).with_precision_and_scale(10, 2).unwrap())),
        ("x", DataType::Double, Arc::new(Float64Array::from(vec![0.1, f64::NEG_INFINITY]))),
        ("day", DataType::Date, Arc::new(Date32Array::from(vec![19_782, -1]))),
        ("at", DataType::TimestampNtz, Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, -1]))),
        ("ok", DataType::Boolean, Arc::new(BooleanArray::from(vec![true, false]))),
    ];
    let schema = Schema::new(columns.iter().map(|(n, t, _)| Field::new(*n, t.clone(), true)).collect());
    let batch = RecordBatch::try_from_iter(columns.into_iter().map(|(n, _, c)| (n, c))).unwrap();
    let batch = normalise(&batch, &schema).unwrap();
    (schema, batch)
}

fn written(format: ResultFormat, schema: &Schema, batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let mut writer = ResultWriter::new(format, schema, &mut out).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.finish().unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn csv_follows_rfc_4180() {
    let (schema, batch) = rows();
    let expected = "id,name,price,x,day,at,ok\n\
        1,\"a,\"\"b\"\"\",-0.05,0.1,2024-02-29,1970-01-01 00:00:01.5,true\n\
        ,\"\",,-Infinity,1969-12-31,1969-12-31 23:59:59.999999,false\n";
    assert_eq!(written(ResultFormat::Csv, &schema, std::slice::from_ref(&batch)), expected);
    assert!(written(ResultFormat::Tsv, &schema, &[batch]).starts_with("id\tname\tprice"));
}

#[test]
fn json_and_markdown() {
    let (schema, batch) = rows();
    let line =
        "{\"id\":1,\"name\":\"a,\\\"b\\\"\",\"price\":-0.05,\"x\":0.1,\"day\":\"2024-02-29\",\"at\":\"1970-01-01 00:00:01.5\",\"ok\":true}";
    let lines = written(ResultFormat::Ndjson, &schema, std::slice::from_ref(&batch));
    assert_eq!(lines.lines().next(), Some(line));
    let array: serde_json::Value = serde_json::from_str(&written(ResultFormat::Json, &schema, std::slice::from_ref(&batch))).unwrap();
    assert_eq!(array[1]["x"], "-Infinity");
    assert_eq!(written(ResultFormat::Json, &schema, &[]), "[]\n");
    let markdown = written(ResultFormat::Markdown, &schema, &[batch]);
    assert!(markdown.starts_with("| id | name |") && markdown.contains("| NULL |  | NULL |"), "{markdown}");
}

#[test]
fn tables_are_aligned() {
    let schema = Schema::new(vec![Field::new("n", DataType::Int, true), Field::new("text", DataType::String, true)]);
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int32Array::from(vec![Some(7), None]))),
        ("text", Arc::new(StringViewArray::from(vec!["abc", "a much longer piece of text"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let expected = "+----+--------------------+\n\
                    |   n|                text|\n\
                    +----+--------------------+\n\
                    |   7|                 abc|\n\
                    |NULL|a much longer pie...|\n\
                    +----+--------------------+\n";
    assert_eq!(render(&schema, std::slice::from_ref(&batch), Some(20)), expected);
    let table = written(ResultFormat::Table, &schema, &[batch]);
    assert!(table.contains("|   7|abc                        |"), "{table}");
}

#[test]
fn folders_are_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    let (schema, batch) = rows();
    {
        let folder = FolderWriter::create(&target, ResultFormat::Parquet, &schema, SaveMode::ErrorIfExists).unwrap();
        folder.part(0).unwrap().write(&batch).unwrap();
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    for mode in [SaveMode::ErrorIfExists, SaveMode::Overwrite] {
        let folder = FolderWriter::create(&target, ResultFormat::Parquet, &schema, mode).unwrap();
        for part in 0..2 {
            let mut writer = folder.part(part).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
        }
        folder.commit().unwrap();
    }
    assert_eq!(
        FolderWriter::create(&target, ResultFormat::Csv, &schema, SaveMode::ErrorIfExists).unwrap_err().class,
        ErrorClass::TableExists
    );
    let table = open_path(target.to_str().unwrap(), None, &BTreeMap::new()).unwrap();
    assert_eq!((table.schema(), table.statistics().row_count), (&schema, Some(4)));
    assert_eq!(table.statistics().columns[0].min, Some(Scalar::Int(1)));
    let request = ScanRequest {
        columns: (0..7).collect(),
        partition_filters: vec![],
        data_filters: vec![],
        buckets: None,
        settings: Settings::new(),
    };
    let back = table.plan_scan(&request).unwrap()[0].open().unwrap().next().unwrap().unwrap();
    assert_eq!(back, batch);
}

#[test]
fn formats_have_names() {
    assert_eq!("ndjson".parse::<ResultFormat>().unwrap(), ResultFormat::Ndjson);
    assert!("tabel".parse::<ResultFormat>().unwrap_err().message.contains("`table`"));
}

#[test]
fn row_groups_of_wide_rows_are_written_as_they_grow() {
    let schema = Schema::new(vec![Field::new("s", DataType::String, false)]);
    let mut random = 1u64;
    let mut out = Vec::new();
    let mut writer = ResultWriter::new(ResultFormat::Parquet, &schema, &mut out).unwrap();
    for _ in 0..40 {
        let text: String = (0..1 << 20)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'0' + (random >> 58) as u8)
            })
            .collect();
        writer.write(&RecordBatch::try_from_iter([("s", Arc::new(StringViewArray::from(vec![text])) as ArrayRef)]).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let file = parquet::file::reader::SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
    let groups = parquet::file::reader::FileReader::metadata(&file).row_groups();
    assert!(groups.len() > 1 && groups.iter().all(|g| g.num_rows() < 40), "{groups:?}");
}

/// As a full disk.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_of_writing_in_every_format() {
    let (schema, batch) = rows();
    for (name, format) in ResultFormat::NAMES {
        let written = ResultWriter::new(*format, &schema, Full).and_then(|mut writer| {
            writer.write(&batch)?;
            writer.finish()
        });
        let e = written.unwrap_err();
        assert_eq!(e.class, ErrorClass::Io, "{name}: {e}");
    }
}
