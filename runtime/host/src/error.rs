//! Says why a component cannot be used as an operator, and what to do.

use std::{io, path::PathBuf};

use wasmill_core::OperatorError;

/// Why a component cannot be loaded or described. Each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The process cannot run WebAssembly as configured.
    #[error(
        "cannot set up the WebAssembly runtime for {max_instances} instances: {message}; ask for fewer instances, or \
         allow the process more address space (`ulimit -v`)"
    )]
    Runtime {
        /// How many instances were asked for.
        max_instances: u32,
        /// What wasmtime says.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the component `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{}` is not a WebAssembly component: {found}; name the `.wasm` file that the build wrote", path.display())]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: String,
    },
    /// The file is a module as `wasm32-unknown-unknown` or `wasm32-wasip1` make it.
    #[error(
        "`{}` is a core module, not a component; build it for the target wasm32-wasip2, or make it a component \
         with `wasm-tools component new`",
        path.display()
    )]
    CoreModule {
        /// The file.
        path: PathBuf,
    },
    /// The component is invalid or uses what wasmtime does not know.
    #[error(
        "cannot compile the component `{}`: {message}; build it again, with a toolchain that this version of \
         Wasmill supports",
        path.display()
    )]
    Compile {
        /// The file.
        path: PathBuf,
        /// What wasmtime says.
        message: String,
    },
    /// The component has no operator in it.
    #[error(
        "`{}` is not an operator: it does not export `{}`, but {exports}; implement the world `operator` of the \
         package `wasmill:operator`",
        path.display(), crate::imports::GUEST
    )]
    NotAnOperator {
        /// The file.
        path: PathBuf,
        /// What it exports instead.
        exports: String,
    },
    /// The component was built against another version of the contract.
    #[error(
        "`{}` implements `{found}`, but this version of Wasmill runs `{}`; build it with the SDK of this version",
        path.display(), crate::imports::GUEST
    )]
    OtherContract {
        /// The file.
        path: PathBuf,
        /// The interface it exports.
        found: String,
    },
    /// The component imports what an operator is not given.
    #[error(
        "`{}` imports what an operator is not given: {}; remove what needs it from the operator",
        path.display(),
        imports.join(", ")
    )]
    RefusedImports {
        /// The file.
        path: PathBuf,
        /// The imports, by name.
        imports: Vec<String>,
    },
    /// An import or export has another type than the contract says.
    #[error(
        "`{}` does not fit the contract: {message}; build it with the SDK of this version of Wasmill",
        path.display()
    )]
    Link {
        /// The file.
        path: PathBuf,
        /// What wasmtime says.
        message: String,
    },
    /// The operator refuses its configuration; its own words.
    #[error("the operator in `{}` refuses its configuration: {message}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What the operator says.
        message: String,
    },
    /// `describe` trapped, hit a limit or broke the contract.
    #[error("the operator in `{}` cannot describe itself: {error}", path.display())]
    Describe {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: OperatorError,
    },
    /// The description makes no sense.
    #[error("the operator in `{}` describes itself wrongly: {problem}; correct the operator", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}
