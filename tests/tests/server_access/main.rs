//! Who may what at a server: sessions, keys, people, identity providers, and requests that are sent again; over HTTP, as an attacker would.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod accounts;
mod attacks;
mod command_line;
mod http;
mod identity_provider;
mod repeated;
mod roles;
mod sessions;
mod tls;
