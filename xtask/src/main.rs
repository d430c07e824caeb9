//! Every task that a person runs on Wasmill: `cargo xtask --help`.

mod bench;
mod demo;
mod guests;
mod nexmark;
mod soak;
mod test;
mod tool;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Every task that a person runs on Wasmill. Each installs and builds what it needs; the first build takes some minutes,
/// since it compiles wasmtime, and all tasks share it.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Counts the words of six novels with operators in WebAssembly, and shows the ten most frequent.
    Demo,
    /// Runs every test.
    Test {
        /// Passed to `cargo test --workspace`: a filter, or `--test NAME`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Checks format, lints and documentation, warnings denied.
    Lint,
    /// Builds every operator of the workspace to a component beside its source.
    Guests,
    /// Crashes the example jobs many times over, at every parallelism, and compares their results with undisturbed runs.
    Soak(soak::Soak),
    /// Measures the queries of Nexmark, or compares their answers with DuckDB's.
    Nexmark(nexmark::Nexmark),
    /// Measures the engine with operators in WebAssembly and the same logic as native code, in one run.
    Bench {
        /// Passed to the benchmarks: `--help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Demo => demo::demo(),
        Task::Test { arguments } => test::test(&arguments),
        Task::Lint => test::lint(),
        Task::Guests => guests::build().map(|_| ()),
        Task::Soak(soak) => soak::soak(&soak),
        Task::Nexmark(arguments) => nexmark::nexmark(&arguments),
        Task::Bench { arguments } => bench::bench(&arguments),
    }
}
