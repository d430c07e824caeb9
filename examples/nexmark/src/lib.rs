//! The queries of Nexmark as operators.
