//! Every behaviour that takes more than one module, in one binary. `support` holds what tests share.

mod registry;
mod support;
