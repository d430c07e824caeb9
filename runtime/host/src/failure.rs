//! Decides what an error out of wasmtime means, and says it in the job's words.

use std::fmt::Write as _;

use wasmill_core::OperatorError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{
    guest::Guest,
    import::log::{clean, cut},
    limits::STACK_BYTES,
};

/// Functions of a backtrace that are told.
const FRAMES: usize = 5;

/// What a guest says of itself is cut after so many bytes.
const MESSAGE_BYTES: usize = 8 * 1024;

/// Why a call (or the start of an instance) failed.
pub(crate) fn operator_error(error: &wasmtime::Error, guest: &Guest) -> OperatorError {
    if let Some(known) = error.downcast_ref::<OperatorError>() {
        return known.clone();
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let message = format!(
            "the process has as many instances as it may have, {}: {}",
            guest.max_instances(),
            error.root_cause()
        );
        return OperatorError::Limit { limit: "max-instances", message };
    }
    let cause = error.root_cause().to_string();
    // wasmtime's error type for this is private.
    if cause.contains("fuel allocated for hostcalls") {
        let message = format!(
            "`{}` handed over more than {} bytes in one call; hand over less at a time, or raise the limit",
            guest.phase.name(),
            guest.max_batch_bytes
        );
        return OperatorError::Limit { limit: "max-batch-size", message };
    }
    let functions = functions(error);
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            let message =
                format!("its calls are nested deeper than {} KiB hold{}", STACK_BYTES / 1024, told(&functions));
            return OperatorError::Limit { limit: "stack", message };
        }
        Some(Trap::MemoryOutOfBounds) if is_overflow_of_own_stack(error, &functions) => {
            let message = format!(
                "it ran over the end of the stack in its linear memory, whose size its linker decides{}",
                told(&functions)
            );
            return OperatorError::Limit { limit: "stack", message };
        }
        _ => {}
    }
    let reason = match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
        (Some(exit), _) => format!("it called `exit` (status {})", exit.0),
        (_, Some(trap)) => trap.to_string().trim_start_matches("wasm trap: ").to_string(),
        _ => cause,
    };
    let reason = format!("{reason}, in `{}`{}", guest.phase.name(), told(&functions));
    OperatorError::Trap(match guest.log.last_words() {
        Some(words) => format!("{words} ({reason})"),
        None => reason,
    })
}

/// What a guest says of its own failure, in bounds.
pub(crate) fn message(text: &str) -> String {
    cut(text, MESSAGE_BYTES).to_string()
}

/// The names of the functions that were running, innermost first, where the component has names.
fn functions(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| {
        let name = format!("{:#}", rustc_demangle::demangle(frame.func_name()?));
        Some(clean(cut(&name, 120)).into_owned())
    };
    backtrace.frames().iter().filter_map(name).collect()
}

/// The first functions that are the author's own, for a message.
fn told(functions: &[String]) -> String {
    // The language's machinery, and the exports, which the message names by itself.
    let machinery = ["std::", "core::", "alloc::", "__rust", "rust_", "abort", "<core::", "<alloc::", "<std::"];
    let own = |name: &&String| !name.contains('#') && !machinery.iter().any(|prefix| name.starts_with(prefix));
    let mut names: Vec<&String> = functions.iter().filter(own).collect();
    names.dedup();
    let mut out = String::new();
    for (i, name) in names.into_iter().take(FRAMES).enumerate() {
        let _ = write!(out, "{} {name}", if i == 0 { "; in" } else { " <-" });
    }
    out
}

/// Compilers put the stack at the start of linear memory, growing down: below address 0 it wraps to the end of the
/// address space. A wild pointer can do that too, so only a recursion is called a stack overflow.
fn is_overflow_of_own_stack(error: &wasmtime::Error, functions: &[String]) -> bool {
    let address = error.chain().find_map(|cause| {
        let text = cause.to_string();
        let hex = text.strip_prefix("memory fault at wasm address 0x")?.split(' ').next()?;
        u64::from_str_radix(hex, 16).ok()
    });
    let recursion = functions.iter().any(|name| functions.iter().filter(|other| *other == name).count() >= 3);
    address.is_some_and(|address| address >= 0xff00_0000) && recursion
}
