//! Finds aircraft that turn around faster than they can: patterns of events by keyed state and timers, step by step.
//!
//! The README beside this crate explains it for those who know Flink's CEP library.

pub mod alert;
pub mod movement;
pub mod patterns;
pub mod utc;

wasmill_sdk::operators! {
    "movements" => movement::movements,
    "patterns" => patterns::Patterns,
}
