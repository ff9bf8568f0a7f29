//! Floor 8: what a user of the library holds: Session, DataFrame, Catalog.
