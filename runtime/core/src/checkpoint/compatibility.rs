//! Decides whether a job can start from a checkpoint of another version of it, and what that means for its state.

use std::fmt;

use super::Manifest;
use crate::{
    Description,
    description::{StateDescription, StateKind},
    graph::{LogicalGraph, Role},
};

/// What happens to a state or to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The state is restored as it is.
    Restored {
        /// The operator.
        operator: String,
        /// The state.
        state: String,
    },
    /// The state goes through `migrate` before anything runs.
    Migrated {
        /// The operator.
        operator: String,
        /// The state.
        state: String,
        /// Index of the state in the new description.
        index: u32,
        /// Schema version in the checkpoint.
        from: u32,
        /// Schema version now.
        to: u32,
    },
    /// The state begins empty: the checkpoint does not have it.
    New {
        /// The operator.
        operator: String,
        /// The state.
        state: String,
    },
    /// The state, or with `None` the whole node, is not in the job any more: what it held is lost.
    Dropped {
        /// The node.
        node: String,
        /// The state.
        state: Option<String>,
    },
    /// The node runs with another parallelism.
    Rescaled {
        /// The node.
        node: String,
        /// Parallelism in the checkpoint.
        from: u32,
        /// Parallelism now.
        to: u32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Restored { operator, state } => write!(f, "state `{state}` of `{operator}` is restored"),
            Change::Migrated { operator, state, from, to, .. } => {
                write!(f, "state `{state}` of `{operator}` is migrated from schema version {from} to {to}")
            }
            Change::New { operator, state } => write!(f, "state `{state}` of `{operator}` is new and begins empty"),
            Change::Dropped { node, state: Some(state) } => write!(f, "state `{state}` of `{node}` is dropped"),
            Change::Dropped { node, state: None } => write!(f, "`{node}` is dropped, with all it held"),
            Change::Rescaled { node, from, to } => write!(f, "`{node}` goes from parallelism {from} to {to}"),
        }
    }
}

/// Why a job cannot start from a checkpoint: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incompatible(pub String);

/// What the new version of an operator is.
pub struct NewOperator<'a> {
    /// What it says of itself.
    pub description: &'a Description,
    /// Whether it exports `migrate`.
    pub migrates: bool,
}

/// Compares a checkpoint with the job that is to start from it. `operator` gives the operator at a node, by id.
///
/// # Errors
/// Everything that forbids it. Dropped state does so unless `allow_dropped`.
pub fn compare<'a>(
    manifest: &Manifest,
    graph: &LogicalGraph,
    operator: impl Fn(&str) -> Option<NewOperator<'a>>,
    allow_dropped: bool,
) -> Result<Vec<Change>, Vec<Incompatible>> {
    let (mut changes, mut errors) = (Vec::new(), Vec::new());
    let now = graph.max_parallelism.get();
    if manifest.max_parallelism != now {
        errors.push(Incompatible(format!(
            "the checkpoint has {} key groups and the job {now}: set `max-parallelism = {}`, it is fixed for the life of \
             the state",
            manifest.max_parallelism, manifest.max_parallelism
        )));
    }
    for old in &manifest.nodes {
        let Some(new) = graph.nodes.iter().find(|node| node.id == old.id) else {
            // A sink holds nothing but what it has committed.
            let states = old.description.as_ref().map_or(0, |description| description.states.len());
            if old.role == Role::Source && !old.splits.is_empty() || states > 0 {
                changes.push(Change::Dropped { node: old.id.clone(), state: None });
            }
            continue;
        };
        if new.role != old.role {
            let (was, is) = (role(old.role), role(new.role));
            errors.push(Incompatible(format!("`{}` was {was} in the checkpoint and is {is} now: rename it", old.id)));
            continue;
        }
        let parallelism = old.subtasks.len() as u32;
        if parallelism != new.parallelism {
            changes.push(Change::Rescaled { node: old.id.clone(), from: parallelism, to: new.parallelism });
        }
        if let (Some(was), Some(is)) = (&old.description, operator(&old.id)) {
            states(&old.id, was, &is, &mut changes, &mut errors);
        }
    }
    if !allow_dropped {
        for change in changes.iter().filter(|change| matches!(change, Change::Dropped { .. })) {
            errors.push(Incompatible(format!(
                "{change}: bring it back under the same id, or accept the loss with `--allow-dropped-state`"
            )));
        }
    }
    if errors.is_empty() { Ok(changes) } else { Err(errors) }
}

fn states(
    id: &str,
    was: &Description,
    is: &NewOperator<'_>,
    changes: &mut Vec<Change>,
    errors: &mut Vec<Incompatible>,
) {
    for old in &was.states {
        let new = (0u32..).zip(&is.description.states).find(|(_, new)| new.name == old.name);
        let operator = id.to_string();
        let state = old.name.clone();
        let Some((index, new)) = new else {
            changes.push(Change::Dropped { node: operator, state: Some(state) });
            continue;
        };
        if let Some(why) = differs(old, new) {
            errors.push(Incompatible(format!(
                "state `{state}` of `{id}` {why}: give the new state another name, or keep what it was"
            )));
        } else if old.schema_version == new.schema_version {
            if old.value != new.value {
                errors.push(Incompatible(format!(
                    "values of state `{state}` of `{id}` were encoded as {} and are now {} under the same schema version \
                     {}: raise the schema version and export `migrate`",
                    codec(&old.value),
                    codec(&new.value),
                    old.schema_version
                )));
            } else {
                changes.push(Change::Restored { operator, state });
            }
        } else if is.migrates {
            let (from, to) = (old.schema_version, new.schema_version);
            changes.push(Change::Migrated { operator, state, index, from, to });
        } else {
            errors.push(Incompatible(format!(
                "state `{state}` of `{id}` has schema version {} in the checkpoint and the component describes {}, but \
                 exports no `migrate`: add one, or use the component that wrote the state",
                old.schema_version, new.schema_version
            )));
        }
    }
    for new in &is.description.states {
        if !was.states.iter().any(|old| old.name == new.name) {
            changes.push(Change::New { operator: id.to_string(), state: new.name.clone() });
        }
    }
}

/// What no migration can bridge: keys decide where an entry is stored.
fn differs(old: &StateDescription, new: &StateDescription) -> Option<String> {
    if old.kind != new.kind {
        return Some(format!("was a {} and is now a {}", old.kind.name(), new.kind.name()));
    }
    if old.scope != new.scope {
        return Some("changed between keyed and broadcast".to_string());
    }
    if old.key != new.key {
        return Some(format!("had keys encoded as {} and now {}", codec(&old.key), codec(&new.key)));
    }
    if old.kind == StateKind::Map && old.map_key != new.map_key {
        return Some(format!("had map keys encoded as {} and now {}", codec(&old.map_key), codec(&new.map_key)));
    }
    if old.ttl.is_some() != new.ttl.is_some() || old.ttl.map(|t| t.domain) != new.ttl.map(|t| t.domain) {
        return Some("changed whether, or in which time, its entries expire".to_string());
    }
    None
}

fn codec(codec: &crate::Codec) -> String {
    match codec.schema.is_empty() {
        true => format!("`{}`", codec.name),
        false => format!("`{}` of `{}`", codec.name, codec.schema),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "a source",
        Role::Operator => "an operator",
        Role::Sink => "a sink",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Codec, JobName, MaxParallelism,
        checkpoint::{NodeManifest, SubtaskManifest},
        description::StateScope,
        graph::Node,
    };

    fn state(name: &str, version: u32) -> StateDescription {
        StateDescription {
            name: name.to_string(),
            kind: StateKind::Value,
            scope: StateScope::Keyed,
            key: Codec::named("text"),
            map_key: Codec::default(),
            value: Codec::named("u64"),
            schema_version: version,
            ttl: None,
        }
    }

    fn description(states: Vec<StateDescription>) -> Description {
        let (inputs, outputs, timers) = (Vec::new(), Vec::new(), Vec::new());
        Description { name: "count".into(), version: "1".into(), inputs, outputs, states, timers }
    }

    fn checkpoint(states: Vec<StateDescription>) -> Manifest {
        let node = NodeManifest {
            id: "count".into(),
            role: Role::Operator,
            description: Some(description(states)),
            subtasks: vec![SubtaskManifest { watermark: 3, finished: false }; 2],
            splits: vec![],
        };
        Manifest {
            epoch: 7,
            attempt: 1,
            job: JobName::local("job"),
            max_parallelism: 128,
            triggered: 0,
            finished: false,
            nodes: vec![node],
            committables: vec![],
        }
    }

    fn graph(id: &str, role: Role, parallelism: u32) -> LogicalGraph {
        let node = Node { id: id.into(), role, title: String::new(), parallelism, chain: true, outputs: vec![] };
        LogicalGraph { nodes: vec![node], edges: vec![], max_parallelism: MaxParallelism::DEFAULT }
    }

    fn lines(
        was: Vec<StateDescription>,
        is: Vec<StateDescription>,
        migrates: bool,
        allow_dropped: bool,
    ) -> Result<Vec<String>, Vec<String>> {
        let description = description(is);
        let operator = |_: &str| Some(NewOperator { description: &description, migrates });
        let graph = graph("count", Role::Operator, 3);
        let text = |items: &[String]| items.to_vec();
        match compare(&checkpoint(was), &graph, operator, allow_dropped) {
            Ok(changes) => Ok(text(&changes.iter().map(ToString::to_string).collect::<Vec<_>>())),
            Err(errors) => Err(text(&errors.iter().map(ToString::to_string).collect::<Vec<_>>())),
        }
    }

    #[test]
    fn states_are_found_by_name_and_what_is_new_begins_empty() {
        assert_eq!(
            lines(vec![state("a", 1), state("b", 1)], vec![state("c", 1), state("b", 1), state("a", 1)], false, false),
            Ok(vec![
                "`count` goes from parallelism 2 to 3".to_string(),
                "state `a` of `count` is restored".to_string(),
                "state `b` of `count` is restored".to_string(),
                "state `c` of `count` is new and begins empty".to_string(),
            ])
        );
    }

    #[test]
    fn another_schema_version_needs_migrate() {
        let migrated = lines(vec![state("a", 1)], vec![state("a", 2)], true, false).unwrap();
        assert_eq!(migrated[1], "state `a` of `count` is migrated from schema version 1 to 2");
        let refused = lines(vec![state("a", 1)], vec![state("a", 2)], false, false).unwrap_err();
        assert!(refused[0].contains("exports no `migrate`"), "{refused:?}");
        // The same version with other bytes is a mistake.
        let other = StateDescription { value: Codec::named("i64"), ..state("a", 1) };
        let refused = lines(vec![state("a", 1)], vec![other], true, false).unwrap_err();
        assert!(refused[0].contains("raise the schema version"), "{refused:?}");
    }

    #[test]
    fn what_no_migration_can_bridge_is_refused() {
        let others = [
            StateDescription { kind: StateKind::List, ..state("a", 2) },
            StateDescription { scope: StateScope::Broadcast, ..state("a", 2) },
            StateDescription { key: Codec::named("u64"), ..state("a", 2) },
        ];
        for other in others {
            let refused = lines(vec![state("a", 1)], vec![other], true, true).unwrap_err();
            assert!(refused[0].contains("give the new state another name"), "{refused:?}");
        }
    }

    #[test]
    fn dropped_state_is_refused_unless_allowed() {
        let refused = lines(vec![state("a", 1)], vec![], false, false).unwrap_err();
        assert!(refused[0].starts_with("state `a` of `count` is dropped: bring it back"), "{refused:?}");
        let allowed = lines(vec![state("a", 1)], vec![], false, true).unwrap();
        assert_eq!(allowed[1], "state `a` of `count` is dropped");
        let graph = graph("renamed", Role::Operator, 2);
        let refused = compare(&checkpoint(vec![state("a", 1)]), &graph, |_| None, false).unwrap_err();
        assert!(refused[0].0.starts_with("`count` is dropped, with all it held: bring it back under the same id"));
        assert_eq!(compare(&checkpoint(vec![]), &graph, |_| None, false), Ok(vec![]), "it held nothing");
    }

    #[test]
    fn roles_and_key_groups_are_fixed() {
        let mut sink = graph("count", Role::Sink, 2);
        sink.max_parallelism = MaxParallelism::new(64).unwrap();
        let refused = compare(&checkpoint(vec![]), &sink, |_| None, true).unwrap_err();
        assert!(refused[0].0.contains("set `max-parallelism = 128`"), "{refused:?}");
        assert_eq!(refused[1].0, "`count` was an operator in the checkpoint and is a sink now: rename it");
    }
}
