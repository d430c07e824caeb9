//! Loads the components that a job names: each file once, several at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wasmill_host::{Component, HostError, Runtime, RuntimeOptions};

/// A component and how long it took to compile, or to load from the cache.
pub struct Loaded {
    /// The component.
    pub component: Component,
    /// From the file to code that can run.
    pub loaded_in: Duration,
}

/// The runtime that loads components and makes up to `instances` instances of them, with the cache of this user.
///
/// # Errors
/// When the machine cannot run WebAssembly as Wasmill needs it.
pub fn runtime(instances: u32) -> Result<Runtime, HostError> {
    let cache = cache_directory(env::var_os("WASMILL_CACHE"), env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"));
    // One more describes an operator.
    let max_instances = instances.saturating_add(1);
    Runtime::new(RuntimeOptions { cache_directory: cache, max_instances, ..RuntimeOptions::default() })
}

/// Loads one component. Blocks while it compiles, which takes milliseconds to many seconds.
///
/// # Errors
/// When the file cannot be read or is not a component.
pub fn load(runtime: &Runtime, path: &Path) -> Result<Loaded, HostError> {
    let begun = Instant::now();
    let component = runtime.load(path)?;
    Ok(Loaded { component, loaded_in: begun.elapsed() })
}

/// Loads every one of `paths`, as many at a time as there are processors. Blocks.
pub fn load_all(runtime: &Runtime, paths: BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Result<Loaded, HostError>> {
    in_parallel(paths.into_iter().collect(), |path| load(runtime, path))
}

/// `work` for each of `paths`, on as many threads as there are processors.
fn in_parallel<T: Send>(paths: Vec<PathBuf>, work: impl Fn(&Path) -> T + Sync) -> BTreeMap<PathBuf, T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(paths.len());
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(path);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Where compiled code is kept: `WASMILL_CACHE`, else a folder in the cache of the user (XDG Base Directory Specification:
/// a relative path there is ignored). `None` where the user has no home.
fn cache_directory(own: Option<OsString>, xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let given = |value: Option<OsString>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute = |value| given(value).filter(|path| path.is_absolute());
    given(own)
        .or_else(|| Some(absolute(xdg)?.join("wasmill")))
        .or_else(|| Some(absolute(home)?.join(".cache").join("wasmill")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_looked_for_in_order() {
        let directory = |own: &str, xdg: &str, home: &str| {
            let directory = cache_directory(Some(own.into()), Some(xdg.into()), Some(home.into()));
            directory.map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(directory("here", "/x", "/h").as_deref(), Some("here"));
        assert_eq!(directory("", "/x", "/h").as_deref(), Some("/x/wasmill"));
        assert_eq!(directory("", "relative", "/h").as_deref(), Some("/h/.cache/wasmill"));
        assert_eq!(directory("", "", ""), None);
        assert_eq!(cache_directory(None, None, None), None);
    }

    #[test]
    fn every_path_is_worked_on_once() {
        let calls = AtomicUsize::new(0);
        let paths: Vec<PathBuf> = (0..50).map(|i| PathBuf::from(i.to_string())).collect();
        let lengths = in_parallel(paths, |path| {
            calls.fetch_add(1, Ordering::Relaxed);
            path.as_os_str().len()
        });
        assert_eq!((lengths.len(), calls.into_inner()), (50, 50));
        assert_eq!((lengths[Path::new("7")], lengths[Path::new("42")]), (1, 2));
        assert_eq!(in_parallel(vec![], |_| ()).len(), 0);
    }
}
