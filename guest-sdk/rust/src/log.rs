//! Lines for the job's log. In WebAssembly the host adds tenant, job, operator and subtask; natively they go to standard error.
//!
//! ```
//! use wasmill_sdk::log;
//! log::info!("opened with {} words", 3);
//! ```

use std::fmt::Arguments;

pub use crate::{
    __debug as debug, __error as error, __info as info, __trace as trace, __warn as warn,
    bindings::wasmill::operator::log::Level,
};

/// Writes one line. Over 8 KiB it is cut; over 1,000 lines a second and instance they are counted and dropped.
pub fn write(level: Level, line: Arguments<'_>) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::wasmill::operator::log::log(level, &line.to_string());
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {line}");
}

/// Writes a line of the finest detail.
#[macro_export]
#[doc(hidden)]
macro_rules! __trace {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Trace, ::core::format_args!($($line)*)) };
}

/// Writes a line for who looks for a fault.
#[macro_export]
#[doc(hidden)]
macro_rules! __debug {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($line)*)) };
}

/// Writes a line about what happens.
#[macro_export]
#[doc(hidden)]
macro_rules! __info {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Info, ::core::format_args!($($line)*)) };
}

/// Writes a line about what may be wrong.
#[macro_export]
#[doc(hidden)]
macro_rules! __warn {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($line)*)) };
}

/// Writes a line about what is wrong.
#[macro_export]
#[doc(hidden)]
macro_rules! __error {
    ($($line:tt)*) => { $crate::log::write($crate::log::Level::Error, ::core::format_args!($($line)*)) };
}
