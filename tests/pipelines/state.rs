//! The word count's counts are in redb when the job has ended, and can be read there without its code.

use wasmill_tests::{root, run};

use crate::wordcount::{expected, run_example};
