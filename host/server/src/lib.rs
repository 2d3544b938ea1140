//! HTTP API, server-sent events, the web UI's files, triggers.
