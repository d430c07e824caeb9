//! Files in and files out.

mod sink;
mod source;

pub use sink::{Compression, FileSink};
pub use source::FileSource;
