//! The commands, one a file.

mod build;
mod check;
mod completions;
mod inspect;
mod job_args;
mod new;
mod plan;
mod run;
mod savepoint;
mod schema;
mod state;
mod stop;
mod target;
mod test;

pub use build::Build;
pub use check::Check;
pub use completions::Completions;
pub use inspect::Inspect;
pub use job_args::JobArgs;
pub use new::New;
pub use plan::Plan;
pub use run::Run;
pub use savepoint::Savepoint;
pub use schema::Schema;
pub use state::State;
pub use stop::Stop;
pub use target::Target;
pub use test::Test;
