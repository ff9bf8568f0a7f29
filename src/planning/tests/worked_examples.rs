//! The worked examples: what Spark prints, but with the scan inside its stage.

use super::*;

fn orders_and_customers() -> (Table, Table) {
    let orders = [("order_id", DataType::Long), ("customer_id", DataType::Long), ("amount", DataType::Double)];
    let customers = [("id", DataType::Long), ("country", DataType::String)];
    (Table::new("orders", &orders, 0, 1 << 40), Table::new("customers", &customers, 0, 5 * MIB))
}

#[test]
fn region_and_sales() {
    let columns = [("region", DataType::String), ("sales", DataType::Double), ("year", DataType::Int)];
    let t = Table::new("transactions", &columns, 1, MIB);
    let filtered = filter(all([not_null(t.col("year")), eq(t.col("year"), int(2024))]), t.plan.clone());
    let list = vec![t.col("region"), alias(sum(t.col("sales")), "total_sales")];
    let query = aggregate(vec![t.col("region")], list, project(vec![t.col("region"), t.col("sales")], filtered));
    assert_lines(
        &explained(query, &cluster(&[])),
        "
        *(2) HashAggregate(keys=[region#1], functions=[sum(sales#2)])
        +- Exchange hashpartitioning(region#1, 200), ENSURE_REQUIREMENTS, [plan_id=1]
           +- *(1) HashAggregate(keys=[region#1], functions=[partial_sum(sales#2)])
              +- *(1) Project [region#1, sales#2]
                 +- *(1) FileScan parquet transactions[region#1,sales#2,year#3] Batched: true, DataFilters: [], Format: Parquet, Location: InMemoryFileIndex(1 paths)[file:/t], PartitionFilters: [isnotnull(year#3), (year#3 = 2024)], PushedFilters: [], ReadSchema: struct<region:string,sales:double>
        ",
    );
}

#[test]
fn country_totals_of_orders_joined_with_customers() {
    let (o, c) = orders_and_customers();
    let amount = gt(o.col("amount"), Expr::Literal(Scalar::Double(100.0)));
    let orders = filter(all([not_null(o.col("amount")), amount, not_null(o.col("customer_id"))]), o.plan.clone());
    let orders = project(vec![o.col("customer_id"), o.col("amount")], orders);
    let customers = filter(not_null(c.col("id")), c.plan.clone());
    let joined = join(orders, customers, JoinType::Inner, Some(eq(o.col("customer_id"), c.col("id"))));
    let joined = project(vec![o.col("amount"), c.col("country")], joined);
    let query = aggregate(vec![c.col("country")], vec![c.col("country"), alias(sum(o.col("amount")), "total")], joined);
    assert_lines(
        &explained(query, &cluster(&[])),
        "
        *(3) HashAggregate(keys=[country#1], functions=[sum(amount#2)])
        +- Exchange hashpartitioning(country#1, 200), ENSURE_REQUIREMENTS, [plan_id=1]
           +- *(2) HashAggregate(keys=[country#1], functions=[partial_sum(amount#2)])
              +- *(2) Project [amount#2, country#1]
                 +- *(2) BroadcastHashJoin [customer_id#3L], [id#4L], Inner, BuildRight, false
                    :- *(2) Filter ((isnotnull(amount#2) AND (amount#2 > 100.0)) AND isnotnull(customer_id#3L))
                    :  +- *(2) FileScan parquet orders[customer_id#3L,amount#2] Batched: true, DataFilters: [isnotnull(amount#2), (amount#2 > 100.0), isnotnull(customer_id#3L)], Format: Parquet, Location: InMemoryFileIndex(1 paths)[file:/t], PartitionFilters: [], PushedFilters: [IsNotNull(amount), GreaterThan(amount,100.0), IsNotNull(customer_id)], ReadSchema: struct<customer_id:bigint,amount:double>
                    +- BroadcastExchange HashedRelationBroadcastMode(List(input[0, bigint, false]),false), [plan_id=2]
                       +- *(1) Filter isnotnull(id#4L)
                          +- *(1) FileScan parquet customers[id#4L,country#1] Batched: true, DataFilters: [isnotnull(id#4L)], Format: Parquet, Location: InMemoryFileIndex(1 paths)[file:/t], PartitionFilters: [], PushedFilters: [IsNotNull(id)], ReadSchema: struct<id:bigint,country:string>
        ",
    );
}

#[test]
fn sort_merge_join_numbers_its_stages_in_post_order() {
    let (o, _) = orders_and_customers();
    let c = Table::new("customers", &[("id", DataType::Long)], 0, 500 * MIB);
    let query = join(o.plan.clone(), c.plan.clone(), JoinType::Inner, Some(eq(o.col("customer_id"), c.col("id"))));
    let text = explained(query, &cluster(&[]));
    let without_scans: Vec<&str> = text.lines().map(|l| l.split(" parquet").next().unwrap()).collect();
    assert_lines(
        &without_scans.join("\n"),
        "
        *(5) SortMergeJoin [customer_id#1L], [id#2L], Inner
        :- *(2) Sort [customer_id#1L ASC NULLS FIRST], false, 0
        :  +- Exchange hashpartitioning(customer_id#1L, 200), ENSURE_REQUIREMENTS, [plan_id=1]
        :     +- *(1) FileScan
        +- *(4) Sort [id#2L ASC NULLS FIRST], false, 0
           +- Exchange hashpartitioning(id#2L, 200), ENSURE_REQUIREMENTS, [plan_id=2]
              +- *(3) FileScan
        ",
    );
}

#[test]
fn rank_within_customers() {
    let (o, _) = orders_and_customers();
    let window = |function| crate::expr::WindowExpr {
        function,
        partition_by: vec![o.col("customer_id")],
        order_by: vec![SortOrder::descending(o.col("amount"))],
        frame: crate::expr::Frame {
            units: crate::expr::FrameUnits::Rows,
            start: crate::expr::FrameBound::UnboundedPreceding,
            end: crate::expr::FrameBound::CurrentRow,
        },
    };
    let rank = window(crate::expr::WindowFunction::Ranking {
        function: crate::expr::window::RankingFunction::Rank,
        args: vec![],
        ignore_nulls: false,
    });
    let query = LogicalPlan::Window {
        calls: vec![alias(Expr::Window(Box::new(rank.clone())), "rnk")],
        partition_by: rank.partition_by.clone(),
        order_by: rank.order_by.clone(),
        input: Box::new(project(vec![o.col("customer_id"), o.col("amount")], o.plan.clone())),
    };
    let text = explained(query, &cluster(&[]));
    let above_scan = text.lines().take(3).collect::<Vec<_>>().join("\n");
    assert_lines(
        &above_scan,
        "
        Window [rank(amount#1) windowspecdefinition(customer_id#2L, amount#1 DESC NULLS LAST, specifiedwindowframe(RowFrame, unboundedpreceding$(), currentrow$())) AS rnk#3], [customer_id#2L], [amount#1 DESC NULLS LAST]
        +- *(2) Sort [customer_id#2L ASC NULLS FIRST, amount#1 DESC NULLS LAST], false, 0
           +- Exchange hashpartitioning(customer_id#2L, 200), ENSURE_REQUIREMENTS, [plan_id=1]
        ",
    );
}
