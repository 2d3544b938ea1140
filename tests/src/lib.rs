//! End-to-end tests: the real command line, a real registry, a real container engine.
//!
//! This library holds what the tests share: where the built binaries and plugins are, a home and a project of its own for each
//! test, and a registry server that ends with it. A part that is missing is an error that names the script that makes it;
//! nothing is skipped.
