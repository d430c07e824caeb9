//! Shows what a component is: what it says of itself, what it imports and exports, its size.

mod inspection;

use std::path::{Path, PathBuf};

use clap::Args;
use inspection::Inspection;

use crate::{
    exit::{Exit, Failure, Outcome},
    talk::{self, Talk},
};

/// Show what a component is: its description, imports, exports and size
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill inspect count.wasm
  wasmill inspect count.wasm --config '{\"minimum\": 3}'
  wasmill inspect count.wasm --json

An operator describes itself under its configuration: --config gives it as one JSON object, as it
would stand in the operator's `config` table of the job file.")]
pub struct Inspect {
    /// File of the component
    pub component: PathBuf,
    /// Configuration to describe the operator under, one JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub config: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> Outcome {
        let inspection = inspect(&self.component, &self.config)?;
        talk::print(&if self.json { format!("{:#}", inspection.json()) } else { inspection.text() })?;
        inspection.verdict()?;
        Ok(Exit::Done)
    }
}

/// What the operator in a component that was just built says of itself. It is described under no configuration; one that
/// needs some is told of, not refused.
///
/// # Errors
/// When no job could use the component.
pub(super) fn describe_built(component: &Path, talk: &Talk) -> Result<String, Failure> {
    let inspection = inspect(component, "{}")?;
    if inspection.wants_configuration() {
        talk.say("It needs a configuration to describe itself: `wasmill inspect` takes one with --config.");
    } else {
        inspection.verdict()?;
    }
    Ok(inspection.description_text())
}

fn inspect(component: &Path, config: &str) -> Result<Inspection, Failure> {
    match serde_json::from_str::<serde_json::Value>(config) {
        Ok(serde_json::Value::Object(_)) => {}
        Ok(_) => return Err(Failure::usage("--config is JSON, but not an object").hint("write `{\"name\": value}`")),
        Err(error) => return Err(Failure::usage(format_args!("--config is not JSON: {error}"))),
    }
    Inspection::of(component, config)
}
