//! Makes and reaches the socket in a state directory, however long its path is, and reads single lines from it.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Read},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt, symlink},
        net::{SocketAddr, UnixListener, UnixStream},
    },
    path::{Path, absolute},
    time::{Duration, Instant},
};

use super::SOCKET;

/// A folder that only the owner can enter, in which the socket is until only the owner can use it.
const PRIVATE: &str = ".control";

/// The socket's name in there; as long a path as is ever used.
const UNFINISHED: &str = ".control/socket";

/// Makes the socket in the state directory, in place of one that an earlier process left; only the owner of the process may
/// use it. The caller holds the lock of the directory, so nobody listens at an earlier one.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    within_reach(directory, |directory| {
        let private = directory.join(PRIVATE);
        remove_all(&private)?;
        DirBuilder::new().mode(0o700).create(&private)?;
        let made = (|| {
            let unfinished = directory.join(UNFINISHED);
            let listener = UnixListener::bind(&unfinished)?;
            fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
            fs::rename(&unfinished, directory.join(SOCKET))?;
            Ok(listener)
        })();
        remove_all(&private)?;
        made
    })
}

/// Connects to the socket in a state directory.
pub(super) fn connect(directory: &Path) -> io::Result<UnixStream> {
    within_reach(directory, |directory| UnixStream::connect(directory.join(SOCKET)))
}

/// Calls `act` with the directory, or where its sockets have too long a path for the system (about 100 bytes), with a short
/// link to it.
fn within_reach<T>(directory: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if SocketAddr::from_pathname(directory.join(UNFINISHED)).is_ok() {
        return act(directory);
    }
    let folder = tempfile::Builder::new().prefix("wasmill-").tempdir()?;
    let link = folder.path().join("s");
    symlink(absolute(directory)?, &link)?;
    act(&link)
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads up to the first end of line, which is left out; at most `limit` bytes, and no longer than until `deadline`, however
/// slowly they come.
pub(super) fn line(stream: &mut UnixStream, limit: usize, deadline: Option<Instant>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left)?;
        let read = match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        };
        let end = read.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
        if line.len() > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the line is longer than {limit} bytes")));
        }
        if end.is_some() {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_the_owner_may_use_the_socket_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let stale = listen(folder.path()).unwrap();
        drop(stale);
        // A process that another test starts holds the socket until its program is loaded.
        let refused = (0..5_000).find_map(|_| match connect(folder.path()) {
            Ok(_) => {
                std::thread::sleep(Duration::from_millis(1));
                None
            }
            Err(error) => Some(error.kind()),
        });
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        // A process was killed while it made its socket.
        fs::create_dir(folder.path().join(PRIVATE)).unwrap();
        fs::write(folder.path().join(UNFINISHED), "").unwrap();
        let _listener = listen(folder.path()).unwrap();
        assert_eq!(fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode() & 0o777, 0o600);
        connect(folder.path()).unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [SOCKET]);
    }

    #[test]
    fn a_path_may_be_longer_than_the_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        assert!(UnixListener::bind(deep.join(SOCKET)).is_err(), "else this shows nothing");
        let _listener = listen(&deep).unwrap();
        assert!(deep.join(SOCKET).exists());
        connect(&deep).unwrap();
    }

    #[test]
    fn a_line_is_bounded_in_length_and_time() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"one\nrest").unwrap();
        assert_eq!(line(&mut near, 3, None).unwrap(), b"one");
        far.write_all(b"four\n").unwrap();
        assert_eq!(line(&mut near, 3, None).unwrap_err().kind(), io::ErrorKind::InvalidData);
        far.write_all(b"no end").unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(line(&mut near, 99, Some(soon)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(far);
        assert_eq!(line(&mut near, 99, None).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
