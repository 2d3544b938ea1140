//! HTTP API, server-sent events, the web UI's files and triggers.
//!
//! **Purpose.** The place of `windlass server`: what the command line does for one person on one machine, for a team over the
//! network.
//!
//! **Invariants.** It will translate and authorise, and nothing else: every effect goes through `driver`, every fact comes
//! from `store`, and a fact is durable before a client is told.
//!
//! **Not here.** Anything, until the server and its UI are built. A half of it would cut the seams wrong.
