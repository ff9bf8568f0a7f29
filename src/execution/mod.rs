//! Floor 7: jobs, stages, tasks; the phases of a query.
