//! The imports: each function of `wit/` on one of the contract's traits.
//!
//! Nothing is decided here. What is granted is decided by whoever made the [`Capabilities`](windlass_contract::Capabilities),
//! and what is linked by [`crate::runtime`]; these functions convert, count, and pass on. A capability that is not there
//! ends the guest: `describe` and `validate` are linked with everything that the component imports, and have nothing.

mod artifacts;
mod basics;
mod containers;
mod http;
mod secrets;
mod state;

use crate::limits;

/// The largest chunk that a guest gets when it asks for `max`.
fn chunk(max: u32) -> usize {
    (max as usize).min(limits::CHUNK_BYTES)
}

/// A chunk as the guest gets it: whoever implements the trait may have given more than was asked for.
fn bounded(bytes: bytes::Bytes, max: usize) -> Vec<u8> {
    bytes[..bytes.len().min(max)].to_vec()
}
