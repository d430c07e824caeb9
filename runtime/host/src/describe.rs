//! Asks a component what it is, in a throw-away instance.

use std::collections::BTreeSet;

use wasmill_core::{Description, JobName, OperatorError};

use crate::{
    block_on::block_on,
    component::Component,
    convert,
    error::HostError,
    failure::{message, operator_error},
    guest::{Guest, Phase, Setting, begin},
    limits::Limits,
};

impl Component {
    /// What the operator says of itself under `config`, one JSON object. Runs in an instance of its own under `limits`,
    /// in which time stands at 1970 and random numbers are the same each time; blocks at most for the call budget,
    /// twice.
    ///
    /// # Errors
    /// As [`Component::check`]; [`HostError::Configuration`] when the operator refuses `config`; [`HostError::Describe`]
    /// when it fails; [`HostError::Description`] when what it says makes no sense.
    pub fn describe(&self, config: &str, limits: &Limits) -> Result<Description, HostError> {
        let linked = self.linked()?;
        let path = || self.path().to_path_buf();
        let failed = |error: OperatorError| HostError::Describe { path: path(), error };
        let name = self.path().file_stem().unwrap_or_default().to_string_lossy();
        let place = JobName::local("describe").place(&name, 0);
        let setting =
            Setting { runtime: self.runtime(), limits, place: &place, seed: 0, processing_time: 0, quota: None };
        let mut store = Guest::store(&setting, None, None).map_err(failed)?;
        let described = block_on(async {
            begin(&mut store, Phase::Describe, Some(0));
            let instance = linked.instantiate_async(&mut store).await?;
            begin(&mut store, Phase::Describe, Some(0));
            instance.wasmill_operator_guest().call_describe(&mut store, config).await
        });
        match described {
            Err(error) => Err(failed(operator_error(&error, store.data()))),
            Ok(Err(refusal)) => Err(HostError::Configuration { path: path(), message: message(&refusal) }),
            Ok(Ok(described)) => {
                let description = convert::description_in(described);
                match problem(&description) {
                    Some(problem) => Err(HostError::Description { path: path(), problem }),
                    None => Ok(description),
                }
            }
        }
    }
}

/// The most inputs, outputs or states, each.
const PART_LIMIT: usize = 1_000;

/// The most bytes of a name.
const NAME_BYTES: usize = 100;

/// What no version of the host can make sense of. What this version cannot run yet is `Description::problems`.
fn problem(description: &Description) -> Option<String> {
    let named = [
        ("input", description.inputs.iter().map(|input| &input.name).collect::<Vec<_>>()),
        ("output", description.outputs.iter().map(|output| &output.name).collect()),
    ];
    for (what, names) in named {
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            let name = message(name);
            return Some(format!("the {what} name {name:?} is not of 1 to 100 lower-case letters, digits and hyphens"));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Some(format!("it describes the {what} `{name}` twice"));
        }
        if names.len() > PART_LIMIT {
            return Some(format!("it describes {} {what}s; {PART_LIMIT} are the most", names.len()));
        }
    }
    if let Some(state) = description.states.iter().find(|state| !(1..=NAME_BYTES).contains(&state.name.len())) {
        return Some(format!("the state name {:?} is not of 1 to 100 bytes", message(&state.name)));
    }
    if description.states.len() > PART_LIMIT {
        return Some(format!("it describes {} states; {PART_LIMIT} are the most", description.states.len()));
    }
    None
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(letter)
}
