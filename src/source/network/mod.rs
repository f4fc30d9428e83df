//! What a registry and an engine have in common: threads for asynchronous work, and its bytes as a blocking
//! reader. Nothing asynchronous is seen outside of them. Knows no protocol.

mod bridge;
mod runtime;

pub(super) use bridge::{Writer, bridge};
pub(super) use runtime::Runtime;
