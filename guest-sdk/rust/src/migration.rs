//! Rewrites stored entries of an older schema version.

pub use crate::bindings::migrating::exports::wasmill::operator::migration::Entries;

use crate::{
    codec::{Codec, StateValue},
    column::Column,
    error::{Error, Result},
    state::split_first,
};

/// Entries of one state of an older schema version. An operator's `migrate` rewrites their values; keys and map keys stay.
///
/// ```
/// use wasmill_sdk::{Migration, prelude::*, testing::Harness};
///
/// /// Counts records. Version 1 kept counts as text.
/// #[derive(States)]
/// struct Count {
///     counts: ValueState<u64>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Count {
///     type Key = Text;
///     type Value = ();
///     type Output = Output<Text, u64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(Count { counts: setup.state("counts").schema_version(2).value() })
///     }
///
///     fn process(&mut self, record: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         out.emit(record.key, self.counts.update(|count| { *count += 1; *count }));
///         Ok(())
///     }
///
///     fn migrate(migration: &mut Migration) -> Result<()> {
///         // The first state that `open` declares is number 0.
///         match (migration.state(), migration.from_version()) {
///             (0, 1) => migration.values::<Text, u64>(|count| Ok(count.parse()?)),
///             _ => migration.refuse(),
///         }
///     }
/// }
///
/// # use wasmill_sdk::testing::Stored;
/// let mut snapshot = Harness::<Count>::open("{}").unwrap().snapshot().unwrap();
/// snapshot.state.insert((0, b"be".to_vec()), Stored::Value(b"41".to_vec(), i64::MAX));
/// let snapshot = snapshot.migrate::<Count>(0, 1).unwrap();
/// let mut harness = Harness::<Count>::restore("{}", &snapshot, |_| ()).unwrap();
/// harness.push("be", (), 0).unwrap();
/// assert_eq!(harness.output(), [("be".to_string(), 42, Some(0))]);
/// ```
#[derive(Debug)]
pub struct Migration {
    state: u32,
    from_version: u32,
    entries: Entries,
}

impl Migration {
    pub(crate) fn new(state: u32, from_version: u32, entries: Entries) -> Migration {
        Migration { state, from_version, entries }
    }

    /// The number of the state: `open` declared so many before it.
    pub fn state(&self) -> u32 {
        self.state
    }

    /// The schema version of what is stored.
    pub fn from_version(&self) -> u32 {
        self.from_version
    }

    /// The entries as they are stored, to be rewritten by other means than these methods.
    pub fn entries(&mut self) -> &mut Entries {
        &mut self.entries
    }

    pub(crate) fn into_entries(self) -> Entries {
        self.entries
    }

    /// Rewrites each value of value, reducing, aggregating, map or broadcast state.
    ///
    /// # Errors
    /// The job's, when a value cannot be read or written, and what `migrate` returns.
    pub fn values<Old: Codec, New: StateValue>(
        &mut self,
        mut migrate: impl FnMut(Old::View<'_>) -> Result<New::Owned>,
    ) -> Result<()> {
        self.rewrite(|value, out| rewrite_one::<Old, New>(value, out, &mut migrate))
    }

    /// Rewrites each element of list state.
    ///
    /// # Errors
    /// The job's, when an element cannot be read or written, and what `migrate` returns.
    pub fn elements<Old: Codec, New: StateValue>(
        &mut self,
        mut migrate: impl FnMut(Old::View<'_>) -> Result<New::Owned>,
    ) -> Result<()> {
        self.rewrite(|mut list, out| {
            while let Some((element, rest)) = split_first(list) {
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                rewrite_one::<Old, New>(element, out, &mut migrate)?;
                let length = (out.len() - start - 4) as u32;
                out[start..start + 4].copy_from_slice(&length.to_le_bytes());
                list = rest;
            }
            if list.is_empty() { Ok(()) } else { Err(Error::job("it is no list")) }
        })
    }

    /// The error of an operator that cannot migrate this: the job's.
    ///
    /// # Errors
    /// Always.
    pub fn refuse(&self) -> Result<()> {
        let (state, version) = (self.state, self.from_version);
        Err(Error::job(format_args!(
            "this operator cannot migrate state number {state} from schema version {version}: its `migrate` does not"
        )))
    }

    fn rewrite(&mut self, mut rewrite: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>) -> Result<()> {
        let Entries { key_ends, keys, value_ends, values, .. } = &mut self.entries;
        let (mut ends, mut rewritten) = (Vec::with_capacity(value_ends.len()), Vec::with_capacity(values.len()));
        let column = |ends, bytes| Column { ends, bytes, flags: &[], absent: 0 };
        let (keys, held) = (column(key_ends, keys), column(value_ends, values));
        for row in 0..value_ends.len() {
            let place = |error: Error| {
                let key = keys.get(row).unwrap_or_default().escape_ascii();
                Error::Job(format!("state number {}, key {key}: {}", self.state, error.message()))
            };
            rewrite(held.get(row).unwrap_or_default(), &mut rewritten).map_err(place)?;
            ends.push(rewritten.len() as u32);
        }
        (*value_ends, *values) = (ends, rewritten);
        Ok(())
    }
}

fn rewrite_one<Old: Codec, New: StateValue>(
    value: &[u8],
    out: &mut Vec<u8>,
    migrate: &mut impl FnMut(Old::View<'_>) -> Result<New::Owned>,
) -> Result<()> {
    let decoded = Old::decode(Some(value))?;
    let migrated = migrate(Old::view(&decoded))?;
    New::encode(New::borrow(&migrated), out)?;
    Ok(())
}
