//! The library's verbs and actions.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use wholestage::api::functions::{avg, count, count_distinct, rank, row_number, sum};
use wholestage::api::write::text;
use wholestage::api::{Column, DataFrame, Session, WindowSpec, call, col, lit, when};
use wholestage::base::{Attribute, DataType, ErrorClass, Result};
use wholestage::datasource::write::ResultFormat;
use wholestage::logical::JoinType;

fn session() -> Session {
    Session::builder().config("execution.mode", "interpreted").threads(2).build().unwrap()
}

fn people(session: &Session) -> DataFrame {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("ann"), Some("bob"), Some("cid"), None, Some("eve")]));
    let teams: ArrayRef = Arc::new(StringArray::from(vec!["red", "blue", "red", "blue", "green"]));
    let points: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(2.0), None, Some(4.0), Some(0.5)]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names), ("team", teams), ("points", points)]).unwrap();
    session.create_dataframe(vec![batch.slice(0, 2), batch.slice(2, 3)]).unwrap()
}

/// Header and rows, `|` between lines.
fn csv(frame: &DataFrame) -> String {
    let output: Vec<Attribute> = frame.query_execution().unwrap().output();
    text(&output, frame.collect().unwrap(), ResultFormat::Csv).unwrap().trim_end().replace('\n', "|")
}

#[test]
fn select_filter_and_order() -> Result<()> {
    let frame = people(&session())
        .filter(col("points").gt(1).and(col("team").isin(["red", "blue"])))?
        .select([col("id"), (col("points") * 2).alias("double"), when(col("name").is_null(), "?").otherwise(col("name")).alias("who")])?
        .order_by([col("double").desc()])?;
    assert_eq!(csv(&frame), "id,double,who|4,8.0,?|2,4.0,bob|1,3.0,ann");
    Ok(())
}

#[test]
fn columns_come_and_go() -> Result<()> {
    let frame = people(&session())
        .with_column("half", col("points") / 2.0)?
        .with_column("team", call("upper", [col("team")]))?
        .with_column_renamed("id", "key")?
        .drop(&["points", "name"])?
        .limit(1);
    assert_eq!(csv(&frame), "key,team,half|1,RED,0.75");
    Ok(())
}

#[test]
fn grouping() -> Result<()> {
    let people = people(&session());
    let frame =
        people.clone().group_by(["team"]).agg([count("*").alias("n"), avg("points"), count_distinct("name")])?.order_by(["team"])?;
    assert_eq!(csv(&frame), "team,n,avg(points),count(DISTINCT name)|blue,2,3.0,1|green,1,0.5,1|red,2,1.5,2");
    let all = people.clone().select([sum("points").alias("s"), (sum("points") / count("points")).alias("m")])?;
    assert_eq!(csv(&all), "s,m|8.0,2.0");
    let wrong = people.group_by(["team"]).agg([col("name")]).err().map(|e| e.class);
    assert_eq!(wrong, Some(ErrorClass::InvalidGrouping));
    Ok(())
}

#[test]
fn joins() -> Result<()> {
    let session = session();
    let people = people(&session);
    let teams = session.sql("SELECT * FROM VALUES ('red', 10), ('blue', 20), ('black', 30) AS t(team, size)")?;
    let using = people.clone().join(&teams, "team", JoinType::LeftOuter)?.select(["team", "id", "size"])?.order_by(["id"])?;
    assert_eq!(csv(&using), "team,id,size|red,1,10|blue,2,20|red,3,10|blue,4,20|green,5,");
    let full = people.clone().join(&teams, ["team"], JoinType::FullOuter)?.select(["team", "id"])?.order_by(["team", "id"])?;
    assert_eq!(csv(&full), "team,id|black,|blue,2|blue,4|green,5|red,1|red,3");
    let pairs = people
        .clone()
        .alias("a")
        .join(
            &people.clone().alias("b").hint("broadcast"),
            col("a.team").eq(col("b.team")).and(col("a.id").lt(col("b.id"))),
            JoinType::Inner,
        )?
        .select(["a.id", "b.id"])?
        .order_by(["a.id"])?;
    assert_eq!(csv(&pairs), "id,id|1,3|2,4");
    assert_eq!(people.clone().cross_join(&teams)?.count()?, 15);
    let semi = people.join(&teams, col("size").gt(col("id") * 5), JoinType::LeftSemi)?;
    assert_eq!(semi.columns(), ["id", "name", "team", "points"]);
    Ok(())
}

#[test]
fn sets_and_partitions() -> Result<()> {
    let session = session();
    let numbers = session.range(0, 10);
    assert_eq!(numbers.clone().union(&numbers)?.count()?, 20);
    assert_eq!(numbers.clone().union(&numbers)?.distinct().count()?, 10);
    assert_eq!(csv(&numbers.clone().offset(3).limit(2)), "id|3|4");
    let spread = numbers.clone().repartition(3);
    assert_eq!(spread.query_execution()?.to_rdd()?.num_partitions(), 3);
    assert_eq!(spread.coalesce(2).query_execution()?.to_rdd()?.num_partitions(), 2);
    let mixed = numbers.clone().union(&numbers.select([(col("id") + 0.5).alias("x")])?)?;
    assert_eq!(mixed.schema().fields[0].data_type, DataType::Double);
    Ok(())
}

#[test]
fn windows() -> Result<()> {
    let by_team = WindowSpec::new().partition_by(["team"]).order_by([col("id").desc()]);
    let frame = people(&session())
        .select([
            col("id"),
            row_number().over(by_team.clone()).alias("n"),
            sum("points").over(by_team.rows_between(i64::MIN, 0)).alias("running"),
            rank().over(WindowSpec::new().order_by(["team"])).alias("rank"),
        ])?
        .order_by(["id"])?;
    assert_eq!(csv(&frame), "id,n,running,rank|1,2,1.5,4|2,2,6.0,1|3,1,,4|4,1,4.0,1|5,1,0.5,3");
    Ok(())
}

#[test]
fn actions_agree() -> Result<()> {
    let session = session();
    let frame = session.range(0, 1000).repartition(4);
    let rows = |batches: Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(frame.count()?, 1000);
    assert_eq!(rows(frame.collect()?), 1000);
    assert_eq!(rows(frame.take(7)?), 7);
    assert_eq!(rows(frame.tail(7)?), 7);
    assert_eq!(frame.first()?.map(|b| b.num_rows()), Some(1));
    assert_eq!(rows(frame.to_local_iterator()?.collect::<Result<_>>()?), 1000);
    assert_eq!(rows(frame.execute_stream()?.collect::<Result<_>>()?), 1000);
    let cached = frame.cache()?;
    assert_eq!((cached.count()?, cached.count()?), (1000, 1000));
    assert!(cached.show_string(2)?.contains("| id|"));
    Ok(())
}

#[test]
fn files_and_views() -> Result<()> {
    let session = session();
    let dir = tempfile::tempdir().unwrap();
    let people = people(&session);
    let (parquet, csv_file, json) = (dir.path().join("p.parquet"), dir.path().join("p.csv"), dir.path().join("p.json"));
    people.write_parquet(&parquet)?;
    people.write_csv(&csv_file)?;
    people.write_json(&json)?;
    let first = csv(&people.clone().order_by(["id"])?);
    assert_eq!(csv(&session.read_parquet(&parquet)?.order_by(["id"])?), first);
    assert_eq!(csv(&session.read_csv(&csv_file, &[])?.select(["id", "name", "team", "points"])?.order_by(["id"])?), first);
    assert_eq!(csv(&session.read_json(&json)?.select(["id", "name", "team", "points"])?.order_by(["id"])?), first);
    people.create_temp_view("people")?;
    assert_eq!(csv(&session.sql("SELECT a.id FROM people a JOIN people b ON a.id = b.id + 3 ORDER BY 1")?), "id|4|5");
    assert_eq!(session.table("PEOPLE")?.select(["people.id"])?.count()?, 5);
    assert_eq!(session.table("peple").err().map(|e| e.message.contains("people")), Some(true));
    Ok(())
}

#[test]
fn wrong_names_are_errors_at_once() {
    let people = people(&session());
    let e = people.clone().select(["pionts"]).err().unwrap();
    assert_eq!(e.class, ErrorClass::ColumnNotFound);
    assert!(e.message.contains("`points`"), "{e}");
    let both = people.clone().alias("a").join(&people.clone().alias("b"), lit(true), JoinType::Inner).unwrap();
    let e = both.select(["id"]).err().unwrap();
    assert_eq!(e.class, ErrorClass::AmbiguousReference);
    assert!(e.message.contains("`a`.`id`") && e.message.contains("`b`.`id`"), "{e}");
    assert_eq!(people.clone().filter(col("id")).err().map(|e| e.class), Some(ErrorClass::TypeMismatch));
    let none: Vec<Column> = vec![call("nonsense", [col("id")])];
    assert_eq!(people.select(none).err().map(|e| e.class), Some(ErrorClass::RoutineNotFound));
}

#[test]
fn phases_are_printable() -> Result<()> {
    let frame = people(&session()).filter(col("id").gt(1 + 1))?.select(["id"])?;
    let execution = frame.query_execution()?;
    for tree in [execution.logical().tree_string(), execution.analyzed().tree_string(), execution.optimized_plan()?.tree_string()] {
        assert!(tree.contains("Filter"), "{tree}");
    }
    assert!(frame.schema_tree().contains("|-- id: bigint"), "{}", frame.schema_tree());
    execution.collect()?;
    assert!(execution.last_run().is_some_and(|c| c.jobs.load(std::sync::atomic::Ordering::Relaxed) >= 1));
    Ok(())
}

#[test]
fn tails_come_in_order() -> Result<()> {
    let session = session();
    let ids = |batches: Vec<RecordBatch>| -> Vec<i64> {
        batches.iter().flat_map(|b| b.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()).collect()
    };
    // 100 numbers in as many partitions as there are threads: the tail may span several, or be all.
    for n in [0, 1, 3, 40, 99, 100, 1000] {
        let expected: Vec<i64> = (100 - n.min(100)..100).collect();
        assert_eq!(ids(session.range(0, 100).tail(n as usize)?), expected, "{n}");
    }
    let sorted = session.sql("SELECT id FROM range(0, 50, 1, 7) ORDER BY id DESC")?;
    assert_eq!(ids(sorted.tail(3)?), [2, 1, 0]);
    assert_eq!(ids(session.sql("SELECT id FROM range(20) LIMIT 5")?.tail(2)?), [3, 4]);
    assert_eq!(ids(session.sql("SELECT * FROM VALUES (1L), (2L), (3L)")?.tail(2)?), [2, 3]);
    // One job where the last partition has enough, more where it has not.
    let execution = session.sql("SELECT id FROM range(0, 80, 1, 8)")?.query_execution()?;
    for (n, jobs) in [(10, 1), (11, 2), (80, 3)] {
        assert_eq!(execution.tail(n)?.iter().map(RecordBatch::num_rows).sum::<usize>(), n);
        assert_eq!(execution.last_run().map(|run| run.jobs.load(std::sync::atomic::Ordering::Relaxed)), Some(jobs), "{n}");
    }
    Ok(())
}
