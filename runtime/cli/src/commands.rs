//! The commands, one a file.

mod build;
mod completions;
mod inspect;
mod new;
pub use build::Build;
pub use completions::Completions;
pub use inspect::Inspect;
pub use new::New;
