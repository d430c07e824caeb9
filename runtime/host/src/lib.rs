//! A WebAssembly component becomes an operator.
