//! TPC-H Q1 and Q6 in memory on one thread: compiled, interpreted, and a loop written by hand in Rust over the same Arrow
//! buffers. `cargo bench` prints all three; only their ratios mean anything.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal64Type};
use criterion::{Criterion, criterion_group, criterion_main};
use wholestage::api::Session;
use wholestage::base::Settings;
use wholestage::datasource::{ScanRequest, TableSource, generate};

const SCALE: f64 = 1.0;
const Q1: &str = include_str!("../codegen-tests/tpch/q1.sql");
const Q6: &str = include_str!("../codegen-tests/tpch/q6.sql");

fn session(lineitem: &Arc<dyn TableSource>, mode: &str) -> Session {
    let session = Session::builder().threads(1).config("execution.mode", mode).build().expect("a session");
    session.register_table("lineitem", lineitem.clone());
    session
}

/// The columns that the loops read, batch by batch.
fn batches(lineitem: &Arc<dyn TableSource>) -> Vec<RecordBatch> {
    let names = ["l_shipdate", "l_quantity", "l_extendedprice", "l_discount", "l_tax", "l_returnflag", "l_linestatus"];
    let columns = names.iter().map(|n| lineitem.schema().index_of(n).expect("a column of lineitem")).collect();
    let request = ScanRequest { columns, partition_filters: vec![], data_filters: vec![], buckets: None, settings: Settings::new() };
    let partitions = lineitem.plan_scan(&request).expect("a scan");
    partitions.iter().flat_map(|p| p.open().expect("a partition")).map(|b| b.expect("a batch")).collect()
}

fn decimals(batch: &RecordBatch, i: usize) -> &[i64] {
    batch.column(i).as_primitive::<Decimal64Type>().values()
}

/// 1994-01-01 and 1995-01-01 in days since 1970.
const Q6_DATES: (i32, i32) = (8766, 9131);

fn q6_by_hand(batches: &[RecordBatch]) -> i128 {
    let mut revenue = 0i128;
    for batch in batches {
        let dates: &[i32] = batch.column(0).as_primitive::<Date32Type>().values();
        let (quantity, price, discount) = (decimals(batch, 1), decimals(batch, 2), decimals(batch, 3));
        for i in 0..batch.num_rows() {
            let pass = (dates[i] >= Q6_DATES.0) & (dates[i] < Q6_DATES.1) & (discount[i] >= 5) & (discount[i] <= 7) & (quantity[i] < 2400);
            if pass {
                revenue += i128::from(price[i] * discount[i]);
            }
        }
    }
    revenue
}

#[derive(Default, Clone, Copy)]
struct Group {
    quantity: i128,
    price: i128,
    discounted: i128,
    charged: i128,
    discount: i128,
    count: i64,
}

/// 1998-09-02 in days since 1970.
const Q1_DATE: i32 = 10471;

fn q1_by_hand(batches: &[RecordBatch]) -> HashMap<(u8, u8), Group> {
    let mut slots = vec![Group::default(); 1 << 16];
    let mut groups = HashMap::new();
    for batch in batches {
        let dates: &[i32] = batch.column(0).as_primitive::<Date32Type>().values();
        let (quantity, price, discount, tax) = (decimals(batch, 1), decimals(batch, 2), decimals(batch, 3), decimals(batch, 4));
        let (flags, states) = (batch.column(5).as_string_view().views(), batch.column(6).as_string_view().views());
        for i in 0..batch.num_rows() {
            if dates[i] > Q1_DATE {
                continue;
            }
            // The first byte of a view's inline string follows its length.
            let key = (((flags[i] >> 32) as u8 as usize) << 8) | ((states[i] >> 32) as u8 as usize);
            let group = &mut slots[key];
            let discounted = price[i] * (100 - discount[i]);
            group.quantity += i128::from(quantity[i]);
            group.price += i128::from(price[i]);
            group.discounted += i128::from(discounted);
            group.charged += i128::from(discounted) * i128::from(100 + tax[i]);
            group.discount += i128::from(discount[i]);
            group.count += 1;
        }
    }
    for (key, group) in slots.iter().enumerate().filter(|(_, g)| g.count > 0) {
        groups.insert(((key >> 8) as u8, key as u8), *group);
    }
    groups
}

fn tpch(c: &mut Criterion) {
    let tables = generate::Suite::Tpch.memory(SCALE, 1).expect("TPC-H data");
    let lineitem = tables.into_iter().find(|(name, _)| name == "lineitem").expect("lineitem").1;
    let batches = batches(&lineitem);
    for (name, sql) in [("q1", Q1), ("q6", Q6)] {
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        for mode in ["jit", "interpreted"] {
            let session = session(&lineitem, mode);
            group.bench_function(mode, |b| b.iter(|| black_box(session.sql(sql).and_then(|d| d.collect()).expect("rows"))));
        }
        group.bench_function("hand-written", |b| {
            b.iter(|| {
                if name == "q6" {
                    black_box(q6_by_hand(black_box(&batches)));
                } else {
                    black_box(q1_by_hand(black_box(&batches)).len());
                }
            })
        });
        group.finish();
    }
}

criterion_group!(benches, tpch);
criterion_main!(benches);
