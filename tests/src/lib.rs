//! End-to-end tests: real Docker, real registry.
