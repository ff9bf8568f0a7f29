//! Union: the partitions of all children, one after the other.

mod interpret;
