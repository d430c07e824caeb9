//! Holds a validated table: typed values, defaults filled in, and where each stands.

use std::{collections::HashMap, time::Duration};

use super::{definition::Table, tree::At, value};

/// A value that is of its key's kind.
#[derive(Debug, Clone)]
pub(super) enum Given {
    Text(String),
    Texts(Vec<(String, At)>),
    Boolean(bool),
    Integer(i64),
    Size(u64),
    Duration(Duration),
    Word(&'static str),
    Json(serde_json::Value),
    Section(Section),
    Named(Vec<(String, Section)>),
    Inputs(Vec<Section>),
}

/// A value, where it stands, and where its key does.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) at: At,
    pub(super) key: At,
    pub(super) given: Given,
}

/// A table of the job file. What was wrong in it has been reported and is not in here: then the default counts, so that
/// everything else can still be checked.
#[derive(Debug, Clone)]
pub(super) struct Section {
    definition: &'static Table,
    /// Where the table stands.
    pub(super) at: At,
    settings: HashMap<&'static str, Setting>,
    /// Keys that are there, valid or not.
    written: Vec<&'static str>,
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident: $variant:ident => $type:ty;)*) => {
        $($(#[$doc])* pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.given(key)? {
                Given::$variant(value) => Some(value),
                _ => None,
            }
        })*
    };
}

impl Section {
    /// An empty table.
    pub(super) fn new(definition: &'static Table, at: At) -> Section {
        Section { definition, at, settings: HashMap::new(), written: Vec::new() }
    }

    pub(super) fn put(&mut self, key: &'static str, setting: Setting) {
        self.settings.insert(key, setting);
    }

    /// Takes note that `key` is there.
    pub(super) fn wrote(&mut self, key: &'static str) {
        self.written.push(key);
    }

    /// What is there and valid.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// Whether `key` is there, valid or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.settings.contains_key(key) || self.written.contains(&key)
    }

    /// Where the value of `key` stands; the table where it is not there.
    pub(super) fn at(&self, key: &str) -> &At {
        self.get(key).map_or(&self.at, |setting| &setting.at)
    }

    /// The value, else the default.
    fn given(&self, key: &str) -> Option<Given> {
        match self.get(key) {
            Some(setting) => Some(setting.given.clone()),
            None => value::default(self.definition.field(key)?),
        }
    }

    typed! {
        text: Text => String;
        boolean: Boolean => bool;
        integer: Integer => i64;
        size: Size => u64;
        duration: Duration => Duration;
        choice: Word => &'static str;
        json: Json => serde_json::Value;
        texts: Texts => Vec<(String, At)>;
    }

    /// The table under `key`; an empty one where there is none.
    pub(super) fn section(&self, key: &str, definition: &'static Table) -> Section {
        match self.get(key).map(|setting| &setting.given) {
            Some(Given::Section(section)) => section.clone(),
            _ => Section::new(definition, self.at.clone()),
        }
    }

    /// The tables under ids under `key`.
    pub(super) fn named(&self, key: &str) -> Vec<(String, Section)> {
        match self.get(key).map(|setting| &setting.given) {
            Some(Given::Named(sections)) => sections.clone(),
            _ => Vec::new(),
        }
    }

    /// The edges under `key`.
    pub(super) fn inputs(&self, key: &str) -> Vec<Section> {
        match self.get(key).map(|setting| &setting.given) {
            Some(Given::Inputs(sections)) => sections.clone(),
            _ => Vec::new(),
        }
    }
}
