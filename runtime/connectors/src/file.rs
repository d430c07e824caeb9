//! Files in and files out.

mod commit;
mod folder;
mod names;
mod open;
mod part;
mod replaced;
mod sink;
mod source;
mod split;

pub use sink::{Compression, FileSink};
pub use source::FileSource;
