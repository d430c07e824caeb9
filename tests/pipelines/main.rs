//! Whole jobs, run by the `wasmill` command on real input, against results that were computed elsewhere.

mod evolution;
mod flights;
mod interleavings;
mod state;
mod time;
mod wordcount;
