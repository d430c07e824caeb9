//! Holds what is found: suspicions, repeated ones, and flights that are overdue.

use serde::{Deserialize, Serialize};

/// Something that is not plausible of an aircraft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pattern", rename_all = "kebab-case")]
pub enum Alert {
    /// It departs while it is on its way somewhere else.
    InTheAir {
        /// When it departs, UTC.
        at: String,
        /// The flight that departs.
        flight: String,
        /// The flight that it is on.
        previous: String,
    },
    /// It departs sooner after its arrival elsewhere than it could have come back.
    TooSoon {
        /// When it departs, UTC.
        at: String,
        /// The flight that departs.
        flight: String,
        /// The flight that took it away.
        previous: String,
        /// How many minutes later it could have departed at the soonest.
        short: i64,
    },
    /// One suspicion after the other.
    Repeated {
        /// When the last one arose, UTC.
        at: String,
        /// When the first one arose, UTC.
        since: String,
        /// How many there were.
        suspicions: usize,
    },
}

/// A flight of which no arrival is known in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// When it should have arrived at the latest, UTC.
    pub at: String,
    /// The flight.
    pub flight: String,
}
