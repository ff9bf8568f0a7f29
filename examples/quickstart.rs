//! The library in one page: SQL and DataFrame verbs over the bundled fixtures, and a look at the plan.
//!
//! Run with `cargo run --release --example quickstart`.

use wholestage::api::functions::{avg, col, count, sum};
use wholestage::api::{Session, when};
use wholestage::base::Result;
use wholestage::logical::JoinType;
use wholestage::planning::ExplainLevel;

fn main() -> Result<()> {
    let session = Session::builder().threads(2).build()?;
    session.register_folder("fixtures/sales")?;

    // SQL. Nothing runs before an action such as show, collect or count.
    let totals = session.sql("SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY total DESC")?;
    totals.show(10)?;

    // The same with verbs, joined to a CSV file.
    let customers = session.table("customers")?;
    let by_country = session
        .table("orders")?
        .join(&customers, col("customer_id").eq(col("id")), JoinType::Inner)?
        .with_column("size", when(col("amount").geq(500), "large").otherwise("small"))?
        .group_by(["country", "size"])
        .agg([count("*").alias("orders"), sum("amount").alias("total"), avg("quantity").alias("items")])?
        .order_by([col("total").desc()])?;
    by_country.show(5)?;

    // Rows arrive as Arrow batches.
    let rows: usize = by_country.collect()?.iter().map(|batch| batch.num_rows()).sum();
    println!("{rows} groups");

    // What would run: *(N) marks the operators compiled into stage N.
    println!("{}", by_country.explain(ExplainLevel::Simple)?);
    Ok(())
}
