//! Whole jobs in three ways against one expected result: undisturbed, killed again and again, and killed and gone on at another
//! parallelism each time.

mod jobs;
mod test_command;
