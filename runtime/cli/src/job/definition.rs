//! Holds the shape of a job file, once: validation, JSON Schema and reference are all made of these tables.

mod connectors;
mod state;
mod tables;

use std::time::Duration;

pub use connectors::{EVENT_TIME, GENERATED_TIME, NEXMARK_TIME, SINK, SOURCE};
pub use state::{CHECKPOINT, RESTART, STATE};
pub use tables::{ENGINE, INPUT, JOB, LIMITS, OPERATOR};

/// A table of a job file: the keys it may have. All others are errors.
#[derive(Debug)]
pub struct Table {
    /// How its header is written, such as `[operator.ID]`.
    pub header: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// The keys it may have.
    pub fields: &'static [Field],
    /// Further keys, by the value of one of `fields`.
    pub variants: Option<Variants>,
}

/// Keys that a table has depending on the value of another of its keys, which is required and a [`Kind::Choice`].
#[derive(Debug)]
pub struct Variants {
    /// The key whose value decides.
    pub tag: &'static str,
    /// One for each of its values.
    pub variants: &'static [Variant],
}

/// The keys of one variant.
#[derive(Debug)]
pub struct Variant {
    /// The value that chooses it.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// The value it has when it is not there, as TOML without quotes; `None` where absence itself means something.
    pub default: Option<&'static str>,
    /// What it does: sentences in Markdown.
    pub doc: &'static str,
    /// A value as TOML.
    pub example: &'static str,
    /// It means something for these values of the key `format` only; for all where empty.
    pub formats: &'static [&'static str],
}

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A name: letters, digits, `-` and `_`, at most [`NAME_LENGTH`] characters.
    Name,
    /// Any text but an empty one.
    Text,
    /// A tab or a visible ASCII character, but not `"`.
    Character,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A whole number within bounds, both included, or [`UNLIMITED`].
    Count(i64, i64),
    /// Bytes within bounds, both included: a whole number, or text with a unit.
    Size(u64, u64),
    /// A time span within bounds, both included: text with a unit.
    Duration(Duration, Duration),
    /// One of these words.
    Choice(&'static [Word]),
    /// A path, relative to the folder of the job file.
    Path,
    /// A path or pattern, or a list of them, relative to the folder of the job file.
    Paths,
    /// Text, or a list of texts; none is empty.
    Texts,
    /// Any table; handed on as JSON.
    Json,
    /// A table.
    Table(&'static Table),
    /// Tables of this shape under ids of the author's choice.
    Named(&'static Table),
    /// Where rows come from: text, a table, or a list of those.
    Inputs(&'static Table),
}

/// A word that a [`Kind::Choice`] knows.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// The longest name and the longest id, characters.
pub const NAME_LENGTH: usize = 64;

/// What a [`Kind::Count`] says that has no bound.
pub const UNLIMITED: &str = "unlimited";

/// A key that need not be there and has no default.
const fn field(name: &'static str, kind: Kind, doc: &'static str, example: &'static str) -> Field {
    Field { name, kind, required: false, default: None, doc, example, formats: &[] }
}

impl Field {
    const fn required(mut self) -> Field {
        self.required = true;
        self
    }

    const fn default(mut self, default: &'static str) -> Field {
        self.default = Some(default);
        self
    }

    const fn formats(mut self, formats: &'static [&'static str]) -> Field {
        self.formats = formats;
        self
    }
}

const fn word(word: &'static str, doc: &'static str) -> Word {
    Word { word, doc }
}

impl Table {
    /// The key `name`, in whichever variant it is.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().chain(self.variant_fields()).find(|field| field.name == name)
    }

    /// All keys of all variants; one that several have comes several times.
    pub fn variant_fields(&self) -> impl Iterator<Item = &'static Field> {
        self.variants.iter().flat_map(|variants| variants.variants).flat_map(|variant| variant.fields)
    }

    /// The variant that is chosen by `word`.
    pub fn variant(&self, word: &str) -> Option<&'static Variant> {
        self.variants.as_ref()?.variants.iter().find(|variant| variant.name == word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every table, by its header.
    fn tables() -> [&'static Table; 13] {
        [
            &JOB,
            &LIMITS,
            &ENGINE,
            &STATE,
            &CHECKPOINT,
            &RESTART,
            &SOURCE,
            &EVENT_TIME,
            &GENERATED_TIME,
            &NEXMARK_TIME,
            &OPERATOR,
            &INPUT,
            &SINK,
        ]
    }

    #[test]
    fn no_table_has_a_key_twice() {
        for table in tables() {
            let variants = table.variants.iter().flat_map(|variants| variants.variants);
            let own = || table.fields.iter().map(|field| field.name);
            for fields in variants.map(|variant| variant.fields).chain([&[][..]]) {
                let names: Vec<_> = own().chain(fields.iter().map(|field| field.name)).collect();
                let unique: BTreeSet<_> = names.iter().collect();
                assert_eq!(names.len(), unique.len(), "{}: {names:?}", table.header);
            }
        }
    }

    #[test]
    fn variants_are_the_words_of_their_tag() {
        for table in tables() {
            let Some(variants) = &table.variants else { continue };
            let tag = table.field(variants.tag).expect("the tag is a key");
            let Kind::Choice(words) = tag.kind else { panic!("the tag of {} is no choice", table.header) };
            assert!(tag.required);
            let words: Vec<_> = words.iter().map(|word| word.word).collect();
            assert_eq!(words, variants.variants.iter().map(|variant| variant.name).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_key_is_documented() {
        for table in tables() {
            for field in table.fields.iter().chain(table.variant_fields()) {
                let at = format!("{} {}", table.header, field.name);
                assert!(field.doc.ends_with('.') && !field.doc.contains('\n'), "{at}: {}", field.doc);
                assert!(!(field.required && field.default.is_some()), "{at} needs no default");
                if !matches!(field.kind, Kind::Table(_) | Kind::Named(_)) {
                    assert!(!field.example.is_empty(), "{at} has no example");
                }
            }
        }
    }
}
