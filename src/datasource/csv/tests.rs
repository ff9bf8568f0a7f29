use arrow::array::AsArray;
use arrow::datatypes::Int32Type;

use super::*;
use crate::base::Settings;
use crate::datasource::{ScanRequest, open_path};

fn table(text: &str, options: &[(&str, &str)]) -> Result<(tempfile::TempDir, Arc<dyn TableSource>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let table = open_path(path.to_str().unwrap(), None, &options)?;
    Ok((dir, table))
}

fn types(t: &dyn TableSource) -> Vec<String> {
    t.schema().fields.iter().map(|f| format!("{}:{}", f.name, f.data_type)).collect()
}

fn request(columns: &[usize]) -> ScanRequest {
    ScanRequest { columns: columns.to_vec(), partition_filters: vec![], data_filters: vec![], buckets: None, settings: Settings::new() }
}

fn batches(t: &dyn TableSource, columns: &[usize]) -> Result<Vec<arrow::array::RecordBatch>> {
    t.plan_scan(&request(columns))?.iter().map(|p| p.open()?.collect::<Result<Vec<_>>>()).collect::<Result<Vec<_>>>().map(|v| v.concat())
}

#[test]
fn types_are_inferred_from_all_rows() {
    let text = "i,l,d,day,at,b,s,n\n1,1,1,2024-01-02,2024-01-02 03:04:05,true,x,\n,3000000000,1.5,2024-01-03,2024-01-02,False,1,\n";
    let (_dir, t) = table(text, &[]).unwrap();
    assert_eq!(types(&*t), ["i:int", "l:bigint", "d:double", "day:date", "at:timestamp", "b:boolean", "s:string", "n:string"]);
    assert_eq!(t.statistics().row_count, Some(2));
    let batch = &batches(&*t, &[6, 0]).unwrap()[0];
    assert_eq!(batch.column(0).as_string_view().iter().collect::<Vec<_>>(), [Some("x"), Some("1")]);
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(batches(&*t, &[]).unwrap()[0].num_rows(), 2);
    let (_dir, t) = table(text, &[("inferSchema", "false")]).unwrap();
    assert!(t.schema().fields.iter().all(|f| f.data_type == DataType::String));
}

#[test]
fn options() {
    let (_dir, t) =
        table("1;'a;b'\n#2;x\nNA;\\'\n", &[("header", "false"), ("sep", ";"), ("quote", "'"), ("comment", "#"), ("nullValue", "NA")])
            .unwrap();
    assert_eq!(types(&*t), ["_c0:int", "_c1:string"]);
    let batch = &batches(&*t, &[0, 1]).unwrap()[0];
    assert_eq!((batch.num_rows(), batch.column(0).null_count()), (2, 1));
    assert_eq!(batch.column(1).as_string_view().value(0), "a;b");
    for (key, value) in [("sep", "ab"), ("header", "maybe"), ("heder", "true")] {
        assert_eq!(table("a\n1\n", &[(key, value)]).unwrap_err().class, ErrorClass::InvalidParameter);
    }
}

#[test]
fn broken_rows_are_named() {
    for (text, line) in [("a,b\n1,2\n1,2,3\n", "line 3"), ("a,b\n1\n", "line 2"), ("a,b\n1,\"x\n", "line 2")] {
        let e = table(text, &[]).unwrap_err();
        assert!(e.class == ErrorClass::MalformedData && e.message.contains("t.csv") && e.message.contains(line), "{e}");
    }
    // Changed after its types were inferred.
    let (dir, t) = table("a,b\n1,2\n3,4\n", &[]).unwrap();
    std::fs::write(dir.path().join("t.csv"), "a,b\n1,2\n3,x\n").unwrap();
    let e = batches(&*t, &[0, 1]).unwrap_err();
    assert!(e.message.contains("line 3") && e.message.contains("`b`") && e.message.contains("t.csv"), "{e}");
}

#[test]
fn large_files_are_read_in_chunks() {
    let mut text = String::from("n,text\n");
    let rows = 300_000;
    for i in 0..rows {
        text.push_str(&format!("{i},\"line one\nline two of {i}\"\n"));
    }
    let (_dir, t) = table(&text, &[]).unwrap();
    assert_eq!(t.statistics().row_count, Some(rows));
    let mut request = request(&[0]);
    request.settings.set("execution.threads", "2").unwrap();
    let partitions = t.plan_scan(&request).unwrap();
    assert_eq!(partitions.len(), 2);
    let counted: u64 = partitions.iter().flat_map(|p| p.open().unwrap()).map(|b| b.unwrap().num_rows() as u64).sum();
    assert_eq!(counted, rows);
    assert_eq!(partitions.iter().map(|p| p.row_count().unwrap()).sum::<u64>(), rows);
}

#[test]
fn batches_of_long_lines_have_few() {
    let text: String = (0..12).map(|i| format!("{i},{}\n", "x".repeat(1 << 20))).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, &text).unwrap();
    let fields = vec![Field::new("i", DataType::Int, true), Field::new("s", DataType::String, true)];
    let format = Csv { dialect: Dialect { header: false, ..Dialect::default() }, fields, positions: vec![0, 1] };
    let chunk = Chunk { start: 0, length: text.len() as u64, first_line: 1, rows: None };
    let batches = format.read(&path, &chunk, &[0, 1], 8192).unwrap().collect::<Result<Vec<_>>>().unwrap();
    assert!(batches.len() >= 2 && batches.iter().all(|b| b.num_rows() <= 5), "{}", batches.len());
    let numbers: Vec<i32> = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
}

#[test]
fn files_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("1.csv"), "a,b\n1,x\n").unwrap();
    std::fs::write(dir.path().join("2.csv"), "a,b\n1.5,y\n").unwrap();
    let path = dir.path().to_str().unwrap().to_string();
    let t = open_path(&path, None, &BTreeMap::new()).unwrap();
    assert_eq!(types(&*t), ["a:double", "b:string"]);
    assert_eq!(batches(&*t, &[0]).unwrap().iter().map(|b| b.num_rows()).sum::<usize>(), 2);
    std::fs::write(dir.path().join("3.csv"), "a,c\n1,x\n").unwrap();
    let e = open_path(&path, None, &BTreeMap::new()).unwrap_err();
    assert!(e.message.contains("3.csv"), "{e}");
}
