//! Pipeline YAML to Plan: pure, no I/O, no clock.
