//! Decides what a command and a running job say to each other: one line of JSON there and one back, over a Unix socket in
//! the job's state directory.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod socket;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[cfg(unix)]
pub(crate) use self::{client::ask, server::Server};

/// The socket in a state directory; it is there while the job runs.
pub(crate) const SOCKET: &str = "control.sock";

/// The longest line of either side, bytes: a path and a message fit in.
const LINE: usize = 64 << 10;

/// What is asked of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// What the asker takes the job to be called.
    pub(crate) job: String,
    pub(crate) wish: Wish,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A savepoint in this folder.
    Savepoint(PathBuf),
    /// An end, at a barrier or after the sources were ended.
    Stop { drain: bool, savepoint: Option<PathBuf> },
}

/// The checkpoint that met a wish, or why it was not met.
pub(crate) type Answer = Result<Met, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) epoch: u64,
    pub(crate) savepoint: Option<PathBuf>,
}

impl Request {
    /// As one line, without its end.
    ///
    /// # Errors
    /// When a path cannot be written as text.
    pub(crate) fn line(&self) -> Result<String, String> {
        let value = match &self.wish {
            Wish::Savepoint(folder) => json!({ "job": self.job, "ask": "savepoint", "folder": text(folder)? }),
            Wish::Stop { drain, savepoint } => {
                let folder = savepoint.as_deref().map(text).transpose()?;
                json!({ "job": self.job, "ask": "stop", "drain": drain, "savepoint": folder })
            }
        };
        Ok(value.to_string())
    }

    /// Reads what [`Request::line`] wrote.
    ///
    /// # Errors
    /// What is wrong with the line, for whoever sent it.
    pub(crate) fn parse(line: &[u8]) -> Result<Request, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| format!("the request is no JSON: {error}"))?;
        let text = |key: &str| value[key].as_str().ok_or_else(|| format!("the request has no text `{key}`"));
        let folder = |key: &str| {
            let path = PathBuf::from(text(key)?);
            // The two processes may stand in different folders.
            if path.is_absolute() { Ok(path) } else { Err(format!("`{key}` is not an absolute path")) }
        };
        let wish = match text("ask")? {
            "savepoint" => Wish::Savepoint(folder("folder")?),
            "stop" => {
                let drain = value["drain"].as_bool().ok_or("the request has no boolean `drain`")?;
                let savepoint = (!value["savepoint"].is_null()).then(|| folder("savepoint")).transpose()?;
                Wish::Stop { drain, savepoint }
            }
            other => return Err(format!("a job cannot be asked for `{other}`: it takes `savepoint` and `stop`")),
        };
        Ok(Request { job: text("job")?.to_string(), wish })
    }
}

/// An answer as one line, without its end.
fn answer_line(answer: &Answer) -> String {
    let value = match answer {
        Ok(Met { epoch, savepoint }) => {
            json!({ "epoch": epoch, "savepoint": savepoint.as_ref().map(|folder| folder.to_string_lossy()) })
        }
        Err(message) => json!({ "error": message }),
    };
    value.to_string()
}

/// Reads what [`answer_line`] wrote.
fn parse_answer(line: &[u8]) -> Answer {
    let strange = || format!("the job gave an answer that cannot be understood: {}", String::from_utf8_lossy(line));
    let value: Value = serde_json::from_slice(line).map_err(|_| strange())?;
    if let Some(message) = value["error"].as_str() {
        return Err(message.to_string());
    }
    let epoch = value["epoch"].as_u64().ok_or_else(strange)?;
    Ok(Met { epoch, savepoint: value["savepoint"].as_str().map(PathBuf::from) })
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("the path `{}` is not UTF-8", path.display()))
}

/// There is no such socket elsewhere.
#[cfg(not(unix))]
pub(crate) fn ask(_: &Path, _: &Request) -> Result<Answer, String> {
    Err("a running job can be asked on Unix systems only".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for (wish, line) in [
            (Wish::Savepoint("/a b".into()), r#"{"ask":"savepoint","folder":"/a b","job":"words"}"#),
            (
                Wish::Stop { drain: true, savepoint: None },
                r#"{"ask":"stop","drain":true,"job":"words","savepoint":null}"#,
            ),
            (
                Wish::Stop { drain: false, savepoint: Some("/s".into()) },
                r#"{"ask":"stop","drain":false,"job":"words","savepoint":"/s"}"#,
            ),
        ] {
            let request = Request { job: "words".to_string(), wish };
            assert_eq!(request.line().unwrap(), line);
            assert_eq!(Request::parse(line.as_bytes()).unwrap(), request);
        }
    }

    #[test]
    fn a_strange_request_is_refused_with_a_reason() {
        for (line, reason) in [
            ("", "no JSON"),
            ("\u{0}", "no JSON"),
            ("[]", "`ask`"),
            (r#"{"ask":"stop","job":"a"}"#, "`drain`"),
            (r#"{"ask":"stop","job":"a","drain":false,"savepoint":7}"#, "`savepoint`"),
            (r#"{"ask":"savepoint","job":"a","folder":"here"}"#, "absolute"),
            (r#"{"ask":"savepoint","folder":"/s"}"#, "`job`"),
            (r#"{"ask":"burn","job":"a"}"#, "`burn`"),
        ] {
            let refusal = Request::parse(line.as_bytes()).unwrap_err();
            assert!(refusal.contains(reason), "{line}: {refusal}");
        }
        let deep = "[".repeat(LINE - 1);
        assert!(Request::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        for answer in [
            Ok(Met { epoch: 7, savepoint: None }),
            Ok(Met { epoch: u64::MAX, savepoint: Some("/s".into()) }),
            Err("the folder is not empty".to_string()),
        ] {
            assert_eq!(parse_answer(answer_line(&answer).as_bytes()), answer);
        }
        assert!(parse_answer(b"{}").unwrap_err().contains("cannot be understood"));
    }
}
