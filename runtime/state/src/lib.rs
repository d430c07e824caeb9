//! Keyed state in redb.
