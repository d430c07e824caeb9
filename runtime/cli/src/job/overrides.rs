//! Changes a job file's tree by the options of the command line, before it is validated.

use super::{
    problem::Findings,
    suggest::{meant_or_list, quote},
    tree::{At, Entry, Node, Value, parse_value},
};

/// What the command line says differently from the job file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `KEY=VALUE`: a dotted path and a TOML value; what is no TOML value is text. Later ones win.
    pub set: Vec<String>,
    /// The job's default parallelism.
    pub parallelism: Option<u32>,
}

impl Overrides {
    /// The options as a person writes them, for positions of problems: those of [`At::Option`].
    pub(super) fn shown(&self) -> Vec<String> {
        let set = self.set.iter().map(|text| format!("--set {text}"));
        set.chain(self.parallelism.map(|parallelism| format!("--parallelism {parallelism}"))).collect()
    }

    /// Applies all to the tree of a job file.
    pub(super) fn apply(&self, root: &mut Node, findings: &mut Findings) {
        for (i, text) in self.set.iter().enumerate() {
            if let Err((message, hint)) = set(root, text, i) {
                findings.error(&At::Option(i), message, hint);
            }
        }
        if let (Some(parallelism), Value::Table(entries)) = (self.parallelism, &mut root.value) {
            let at = At::Option(self.set.len());
            put(entries, "parallelism", Node { at: at.clone(), value: Value::Integer(parallelism.into()) }, at);
        }
    }
}

/// What is wrong, and a hint.
type Refusal = (String, String);

fn set(root: &mut Node, text: &str, option: usize) -> Result<(), Refusal> {
    const FORM: &str = "write `--set KEY=VALUE`, such as `--set sink.counts.path=out`";
    let (path, value) = text.split_once('=').ok_or_else(|| ("this has no `=`".to_string(), FORM.to_string()))?;
    let path = toml_edit::Key::parse(path.trim())
        .map_err(|_| (format!("{} is not the path of a key", quote(path)), FORM.to_string()))?;
    let path: Vec<&str> = path.iter().map(toml_edit::Key::get).collect();
    let value = self::value(value, option)?;
    let (Some((last, tables)), at) = (path.split_last(), At::Option(option)) else {
        return Err(("the path is empty".to_string(), FORM.to_string()));
    };
    let mut table = root;
    for (depth, key) in tables.iter().enumerate() {
        let written = quote(&path[..=depth].join("."));
        let kind = table.value.kind();
        let Value::Table(entries) = &mut table.value else {
            let parent = quote(&path[..depth].join("."));
            return Err((format!("{parent} is {kind}, so there is no {written}"), String::new()));
        };
        let place = match entries.iter().position(|entry| entry.key == **key) {
            Some(place) => place,
            // A source, operator or sink that is not in the file is a slip of the hand, not a wish for a new one.
            None if depth < 2 && matches!(path[0], "source" | "operator" | "sink") => {
                let ids: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                let there_is = if ids.is_empty() { "there is" } else { "there are" };
                return Err((format!("the job has no {written}"), meant_or_list(key, &ids, there_is)));
            }
            None => {
                put(entries, key, Node { at: at.clone(), value: Value::Table(Vec::new()) }, at.clone());
                entries.len() - 1
            }
        };
        table = &mut entries[place].node;
    }
    let kind = table.value.kind();
    match &mut table.value {
        Value::Table(_) if path.len() == 2 && matches!(path[0], "source" | "operator" | "sink") => {
            let hint = format!("set one of its keys: `--set {}.KEY=VALUE`", path.join("."));
            Err((format!("{} is a table", quote(&path.join("."))), hint))
        }
        Value::Table(entries) => {
            put(entries, last, value, at);
            Ok(())
        }
        _ => {
            let parent = quote(&path[..path.len() - 1].join("."));
            Err((format!("{parent} is {kind}, so there is no {}", quote(&path.join("."))), String::new()))
        }
    }
}

/// A TOML value; else the text itself, as shells take quotes away. What begins like a list, a table or a string of TOML
/// must be one.
fn value(text: &str, option: usize) -> Result<Node, Refusal> {
    match parse_value(text, option) {
        Ok(node) => Ok(node),
        Err(error) if text.trim_start().starts_with(['[', '{', '"', '\'']) => {
            let hint = "the shell takes quotes away: put the whole of `KEY=VALUE` between single quotes";
            Err((format!("the value is not TOML: {error}"), hint.to_string()))
        }
        Err(_) => Ok(Node { at: At::Option(option), value: Value::String(text.to_string()) }),
    }
}

fn put(entries: &mut Vec<Entry>, key: &str, node: Node, at: At) {
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => (entry.node, entry.at) = (node, at),
        None => entries.push(Entry { key: key.to_string(), at, node }),
    }
}
