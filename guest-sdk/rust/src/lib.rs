//! Write Wasmill operators in Rust.
extern crate self as wasmill_sdk;
pub mod bindings;
