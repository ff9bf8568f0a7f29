//! The tables of TPC-H.

use tpchgen::generators as rows;
use tpchgen_arrow as arrow_rows;

use super::{BATCH_ROWS, Table};
use crate::base::Error;

macro_rules! table {
    ($name:literal, $rows:expr, $divided:literal, $arrow:ident, $generator:ident) => {
        Table {
            name: $name,
            divided: $divided,
            arrow_schema: || {
                let mut batches = arrow_rows::$arrow::new(rows::$generator::new(0.001, 1, 1));
                Ok(batches.next().ok_or_else(|| Error::internal("an empty TPC-H table"))??.schema())
            },
            rows: $rows,
            batches: |scale, part, parts| {
                Ok(Box::new(arrow_rows::$arrow::new(rows::$generator::new(scale, part, parts)).with_batch_size(BATCH_ROWS)))
            },
        }
    };
}

/// The largest first, so that none is left to run alone at the end.
pub(super) static TABLES: &[Table] = &[
    table!("lineitem", |scale| 6_000_000.0 * scale, true, LineItemArrow, LineItemGenerator),
    table!("orders", |scale| 1_500_000.0 * scale, true, OrderArrow, OrderGenerator),
    table!("partsupp", |scale| 800_000.0 * scale, true, PartSuppArrow, PartSuppGenerator),
    table!("part", |scale| 200_000.0 * scale, true, PartArrow, PartGenerator),
    table!("customer", |scale| 150_000.0 * scale, true, CustomerArrow, CustomerGenerator),
    table!("supplier", |scale| 10_000.0 * scale, true, SupplierArrow, SupplierGenerator),
    table!("nation", |_| 25.0, false, NationArrow, NationGenerator),
    table!("region", |_| 5.0, false, RegionArrow, RegionGenerator),
];
