//! Links WASI preview 2 with nothing granted, and puts the call's time, seeded random numbers and the log in its place.

mod clocks;
mod random;
mod stdio;

pub(crate) use clocks::CallClock;
pub(crate) use random::Randoms;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::{cli, clocks as wasi_clocks, random as wasi_random};

use crate::guest::Guest;

/// Adds WASI to a linker.
///
/// # Errors
/// When two definitions collide.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    wasi_clocks::wall_clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi_clocks::monotonic_clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi_random::random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi_random::insecure::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi_random::insecure_seed::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    cli::stdout::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    cli::stderr::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    linker.allow_shadowing(false);
    Ok(())
}
