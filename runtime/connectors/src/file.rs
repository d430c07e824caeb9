//! Files in and files out.

mod commit;
mod epoch;
mod folder;
mod names;
mod open;
mod part;
mod partition;
mod replaced;
mod sink;
mod source;
mod split;
mod writer;

pub use partition::{MOST_FIELDS, unfit_field};
pub use sink::{Compression, FileSink};
pub use source::FileSource;
