//! Finds, or makes, the 200 MB of text that W6 reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::ends::novels;

/// Names a folder of text to read instead: `*.txt`.
const VARIABLE: &str = "WASMILL_BENCH_TEXT";

const FILES: usize = 8;

/// Bytes of a file.
const LENGTH: usize = 25_000_000;

/// The folder of the text: what the environment names, or the six novels over and over, made once.
pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return Ok(folder.into());
    }
    let folder = std::env::temp_dir().join("wasmill-bench-text");
    if !folder.is_dir() {
        let aside = tempfile::tempdir_in(std::env::temp_dir())?;
        let text = novels()?.join(&b'\n');
        for file in 0..FILES {
            fs::write(aside.path().join(format!("part-{file}.txt")), text.repeat(LENGTH / text.len() + 1))?;
        }
        // Another run may have been quicker.
        if fs::rename(aside.path(), &folder).is_ok() {
            let _ = aside.keep();
        }
    }
    Ok(folder)
}

/// The files of a folder, in the order of their names.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut files = found.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    ensure!(!files.is_empty(), "there is no `*.txt` in {}", folder.display());
    Ok(files)
}

/// Calls `each` with every word of the files, in lower case.
pub(crate) fn each_word(folder: &Path, mut each: impl FnMut(&[u8])) -> Result<()> {
    for file in files(folder)? {
        let mut text = fs::read(&file).with_context(|| file.display().to_string())?;
        text.make_ascii_lowercase();
        let words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        words.filter(|word| !word.is_empty()).for_each(&mut each);
    }
    Ok(())
}
