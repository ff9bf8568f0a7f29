//! Floor 1: what running queries stand on, knowing nothing of plans.
