//! The registry: OCI distribution, sparse index, publish gate.
