//! The imports of the contract, one file each: what a guest asks of the host.

pub(crate) mod log;
pub(crate) mod metrics;
mod output;
mod state;
mod timers;

use crate::{
    bindings::wasmill::operator::{description, types},
    guest::Guest,
};

impl types::Host for Guest {}
impl description::Host for Guest {}
