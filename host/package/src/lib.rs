//! Find, fetch, verify, lock and compile plugins: the registry's client.
