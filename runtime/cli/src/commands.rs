mod build;
mod completions;
mod new;
pub use build::Build;
pub use completions::Completions;
pub use new::New;
mod inspect { pub(crate) fn text(_: &std::path::Path, _: &str) -> Result<String, crate::Failure> { Ok(String::new()) } }
