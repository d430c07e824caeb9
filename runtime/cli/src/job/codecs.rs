//! Decides whether rows fit at both ends of an edge.

use wasmill_core::{Codec, description::InputDescription};

use super::{
    nodes::Input,
    problem::Findings,
    resolve::{Known, Output, name},
    suggest::quote,
};

/// The names of codecs whose bytes are known; all others fit everything.
const CODECS: [&str; 9] = ["text", "json", "u32", "u64", "i32", "i64", "f32", "f64", "postcard"];

/// Tells what the node at the other end of an edge cannot read, or may read wrongly.
pub(super) fn check(
    origin: &Known<'_>,
    given: &Output<'_>,
    target: &Known<'_>,
    reads: &InputDescription,
    input: &Input,
    findings: &mut Findings,
) {
    let key = given.key.filter(|_| reads.columns.keys || reads.keyed).map(|codec| ("keys", codec, &reads.key));
    let value = reads.columns.values.then_some(("values", given.value, &reads.value));
    for (what, given, read) in [key, value].into_iter().flatten() {
        let (origin, target) = (name(origin), name(target));
        if !fit(given, read) {
            findings.error(
                &input.from_at,
                format!("{target} reads {what} as {}, but {origin} gives {}", quote(&read.name), quote(&given.name)),
                "change the one or the other, or put an operator between them that converts",
            );
        } else if given.name == read.name
            && !given.schema.is_empty()
            && !read.schema.is_empty()
            && given.schema != read.schema
        {
            findings.warning(
                &input.from_at,
                format!(
                    "{target} reads {what} as {}, but {origin} gives {}",
                    quote(&read.schema),
                    quote(&given.schema)
                ),
                "make sure that both types have the same fields in the same order",
            );
        }
    }
}

/// Whether what is encoded by the one can be read by the other. Unknown codecs fit everything.
fn fit(given: &Codec, read: &Codec) -> bool {
    given.name == read.name || !CODECS.contains(&given.name.as_str()) || !CODECS.contains(&read.name.as_str())
}
