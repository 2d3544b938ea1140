//! The only crate that names sqlx: event log, projections, logs.
