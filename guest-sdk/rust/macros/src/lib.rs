//! The attribute macros of wasmill-sdk.
