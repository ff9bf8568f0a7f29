//! Floor 0: what everything stands on — errors, settings, data types, attributes, literal values.

pub mod calendar;
pub mod decimal;
pub mod error;
pub mod interrupt;
pub mod number;
pub mod owned_folder;
pub mod random;
pub mod scalar;
pub mod schema;
pub mod settings;
pub mod time_zone;
pub mod warning;

pub use error::{Error, ErrorClass, Location, Result};
pub use interrupt::Interrupt;
pub use owned_folder::OwnedFolder;
pub use scalar::Scalar;
pub use schema::{Attribute, DataType, ExprId, Field, Schema};
pub use settings::Settings;
