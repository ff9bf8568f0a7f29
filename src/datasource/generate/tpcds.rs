//! The tables of TPC-DS, as the specification's dsdgen makes them.

use tpcdsgen::config::{Session, SessionBuilder, Table as Rows};
use tpcdsgen_arrow as arrow_rows;

use super::{BATCH_ROWS, Table};
use crate::base::{Error, ErrorClass, Result};

fn session(scale: f64) -> Result<Session> {
    SessionBuilder::new().with_scale_factor(scale).build().map_err(|e| Error::new(ErrorClass::InvalidParameter, e.to_string()))
}

/// What the generator counts: rows, or orders of several rows each.
fn units(table: Rows, scale: f64) -> u64 {
    session(scale).map_or(0, |session| session.get_scaling().get_row_count(table))
}

/// First and last unit of part `part` of `parts`; the last is before the first if there are none.
fn range(units: u64, part: i32, parts: i32) -> (u64, u64) {
    let end = |part: i32| u64::try_from(u128::from(units) * part as u128 / parts as u128).unwrap_or(units);
    (end(part - 1) + 1, end(part))
}

macro_rules! table {
    ($name:literal, $table:ident, $arrow:ident, $divided:literal, $rows_per_unit:literal) => {
        Table {
            name: $name,
            divided: $divided,
            arrow_schema: || Ok(arrow_rows::$arrow::schema_ref()),
            rows: |scale| units(Rows::$table, scale) as f64 * $rows_per_unit,
            batches: |scale, part, parts| {
                let (first, last) = range(units(Rows::$table, scale), part, parts);
                Ok(Box::new(arrow_rows::$arrow::new(session(scale)?).with_source_row_range(first, last).with_batch_size(BATCH_ROWS)))
            },
        }
    };
}

/// The largest first, so that none is left to run alone at the end. Orders have 9 to 12 rows on average, a tenth of which is
/// returned.
pub(super) static TABLES: &[Table] = &[
    table!("inventory", Inventory, InventoryArrow, true, 1.0),
    table!("store_sales", StoreSales, StoreSalesArrow, true, 12.0),
    table!("catalog_sales", CatalogSales, CatalogSalesArrow, true, 9.0),
    table!("web_sales", WebSales, WebSalesArrow, true, 12.0),
    table!("store_returns", StoreReturns, StoreReturnsArrow, true, 1.2),
    table!("catalog_returns", CatalogReturns, CatalogReturnsArrow, true, 0.9),
    table!("web_returns", WebReturns, WebReturnsArrow, true, 1.2),
    table!("customer_demographics", CustomerDemographics, CustomerDemographicsArrow, true, 1.0),
    table!("customer", Customer, CustomerArrow, true, 1.0),
    table!("customer_address", CustomerAddress, CustomerAddressArrow, true, 1.0),
    table!("time_dim", TimeDim, TimeDimArrow, false, 1.0),
    table!("date_dim", DateDim, DateDimArrow, false, 1.0),
    table!("item", Item, ItemArrow, false, 1.0),
    table!("catalog_page", CatalogPage, CatalogPageArrow, false, 1.0),
    table!("household_demographics", HouseholdDemographics, HouseholdDemographicsArrow, false, 1.0),
    table!("promotion", Promotion, PromotionArrow, false, 1.0),
    table!("reason", Reason, ReasonArrow, false, 1.0),
    table!("web_page", WebPage, WebPageArrow, false, 1.0),
    table!("web_site", WebSite, WebSiteArrow, false, 1.0),
    table!("call_center", CallCenter, CallCenterArrow, false, 1.0),
    table!("store", Store, StoreArrow, false, 1.0),
    table!("warehouse", Warehouse, WarehouseArrow, false, 1.0),
    table!("ship_mode", ShipMode, ShipModeArrow, false, 1.0),
    table!("income_band", IncomeBand, IncomeBandArrow, false, 1.0),
];
