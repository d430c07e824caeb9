//! A WebAssembly component becomes an operator.
mod bindings;
