//! Finds a running job from the outside: by its job file and its state directory.

use std::path::{Path, PathBuf, absolute};

use clap::Args;

use crate::{
    checked,
    control::{self, Met, Request, Wish},
    exit::{Exit, Failure},
    format,
    job::{self, Job, Overrides},
    talk::Talk,
};

/// Which running job.
#[derive(Debug, Args)]
pub struct Target {
    /// The job file of the running job
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    /// Replace a value of the job file, as it was replaced for the run; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder of the job's state, if the run was given one; else that of the job file
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// A job that may be running.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) directory: PathBuf,
}

impl Target {
    /// Reads the job file; its components are not needed.
    pub(super) fn find(self, talk: &Talk) -> Result<Found, Failure> {
        let overrides = Overrides { set: self.set, parallelism: None };
        let job = Job::read(&self.job, &overrides).map_err(|problems| {
            checked::tell(&problems, talk);
            let tally = job::tally(&problems).unwrap_or_default();
            Failure::new(Exit::Invalid, anyhow::anyhow!("`{}` cannot be read: {tally}", self.job.display()))
        })?;
        let name = job.name;
        let directory = self.state_dir.or(job.state.directory).ok_or_else(|| {
            Failure::message(format_args!("job `{name}` has no state directory, so a run of it cannot be found"))
                .hint("run it with --state-dir or set `state.directory` in the job file, and name the same folder here")
        })?;
        Ok(Found { name, directory })
    }
}

impl Found {
    /// The folder for a savepoint: the one that was named, or a new one in the state directory.
    pub(super) fn savepoint(&self, named: Option<PathBuf>, now: i64) -> Result<PathBuf, Failure> {
        let folder = named.unwrap_or_else(|| {
            // File names of other systems have no colons.
            self.directory.join("savepoints").join(format::time(now).replace(':', "-"))
        });
        let folder = absolute(&folder)
            .map_err(|error| Failure::message(format_args!("cannot tell where `{}` is: {error}", folder.display())))?;
        let message = match std::fs::read_dir(&folder).map(|mut entries| entries.next().is_some()) {
            Ok(true) => format!("the folder `{}` is not empty", folder.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                format!("`{}` is not a folder", folder.display())
            }
            // What is wrong else, the job sees better.
            _ => return Ok(folder),
        };
        Err(Failure::message(message).hint("name a folder that does not exist, or is empty"))
    }

    /// Asks the running job.
    pub(super) fn ask(&self, wish: Wish) -> Result<Met, Failure> {
        if !self.directory.is_dir() {
            return Err(nobody(&self.name, &self.directory));
        }
        let request = Request { job: self.name.clone(), wish };
        let answer = control::ask(&self.directory, &request)
            .map_err(|error| Failure::message(error).hint("is the job running, and is this its state directory?"))?;
        answer.map_err(|why| Failure::message(format_args!("job `{}` did not do it: {why}", self.name)))
    }
}

fn nobody(name: &str, directory: &Path) -> Failure {
    let message = format!("job `{name}` does not run here: there is no state directory `{}`", directory.display());
    Failure::message(message).hint("name the folder that the run keeps its state in with --state-dir")
}

/// Processing time, milliseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_savepoint_goes_to_the_named_folder_or_to_one_of_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let found = Found { name: "words".to_string(), directory: folder.path().to_path_buf() };
        let dated = found.savepoint(None, 1_700_000_000_000).unwrap();
        assert_eq!(dated, folder.path().join("savepoints/2023-11-14T22-13-20.000Z"));
        assert!(found.savepoint(Some("x".into()), 0).unwrap().is_absolute());
        assert_eq!(found.savepoint(Some(folder.path().to_path_buf()), 0).unwrap(), folder.path(), "it is empty");
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(found.savepoint(Some(folder.path().to_path_buf()), 0).is_err());
        assert!(found.savepoint(Some(folder.path().join("file")), 0).is_err());
    }
}
