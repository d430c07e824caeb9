//! Asks something of the job whose state is in a directory.

use std::{
    io::{self, Read, Write},
    path::Path,
    time::Duration,
};

use super::{Answer, LINE, Request, Wish, parse_answer, socket};

/// How long a request may take to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a job that was stopped may take to be gone.
const FAREWELL: Duration = Duration::from_secs(30);

/// Asks, and waits for the answer as long as the job needs. After a stop it also waits for the process to end, so that the
/// state directory is free.
///
/// # Errors
/// When nobody could be asked.
pub(crate) fn ask(directory: &Path, request: &Request) -> Result<Answer, String> {
    let shown = directory.display();
    let line = request.line()?;
    let mut stream = socket::connect(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no job runs with its state in `{shown}`")
        }
        _ => format!("cannot reach the job with its state in `{shown}`: {error}"),
    })?;
    let lost = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            format!("the job with its state in `{shown}` ended before it answered")
        }
        _ => format!("the job with its state in `{shown}` does not answer: {error}"),
    };
    stream.set_write_timeout(Some(PATIENCE)).map_err(lost)?;
    // One that is refused at the door has its answer all the same.
    let written = stream.write_all(format!("{line}\n").as_bytes());
    let answer = match (socket::line(&mut stream, LINE, None), written) {
        (Ok(answer), _) => parse_answer(&answer),
        (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(lost(error)),
    };
    if answer.is_ok() && matches!(request.wish, Wish::Stop { .. }) {
        let _ = stream.set_read_timeout(Some(FAREWELL));
        let _ = stream.read(&mut [0]);
    }
    Ok(answer)
}
