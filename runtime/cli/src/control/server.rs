//! Listens at the socket of a running job and hands on what is asked.
//!
//! On threads of its own: they answer however busy the threads of the job are. Whoever may connect runs as the same user, but
//! may still be slow, wordy or many; none of that reaches the job.

use std::{
    fs, io,
    io::Write,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Answer, LINE, Request, SOCKET, Wish, answer_line, socket};

/// How many are listened to at a time.
const CONNECTIONS: usize = 16;

/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of the job waits for answers that are on their way.
const FAREWELL: Duration = Duration::from_secs(2);

/// The socket of a job; removed when this is dropped.
pub(crate) struct Server {
    path: PathBuf,
    /// Device and number of the file, so that the socket of a successor is left alone.
    file: (u64, u64),
    asked: Arc<Asked>,
}

/// What answers, and how many requests wait for it.
struct Asked {
    answer: Box<dyn Fn(Request) -> Answer + Send + Sync>,
    connections: AtomicUsize,
    waiting: Mutex<usize>,
    answered: Condvar,
}

impl Server {
    /// Listens in a state directory that this process has locked. `answer` may block for long, and is called on several
    /// threads at once.
    ///
    /// # Errors
    /// When there can be no socket.
    pub(crate) fn listen(
        directory: &Path,
        answer: impl Fn(Request) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = socket::listen(directory)?;
        let path = directory.join(SOCKET);
        let file = identity(&path)?;
        let asked = Arc::new(Asked {
            answer: Box::new(answer),
            connections: AtomicUsize::new(0),
            waiting: Mutex::new(0),
            answered: Condvar::new(),
        });
        let asked_ = asked.clone();
        // It ends with the process: without the file nobody finds the socket any more.
        thread::Builder::new().name("control".to_string()).spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => accept(stream, &asked_),
                    // Too many open files, say: nothing to spin on.
                    Err(error) => {
                        tracing::debug!(%error, "nobody could connect to the job");
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        })?;
        Ok(Server { path, file, asked })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
        let waiting = lock(&self.asked.waiting);
        let _ = self.asked.answered.wait_timeout_while(waiting, FAREWELL, |waiting| *waiting > 0);
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

fn lock(waiting: &Mutex<usize>) -> MutexGuard<'_, usize> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection, unless there are too many.
fn accept(mut stream: UnixStream, asked: &Arc<Asked>) {
    if asked.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
        asked.connections.fetch_sub(1, Ordering::Relaxed);
        let busy = format!("{CONNECTIONS} others are asking something of the job: try again");
        let _ = send(&mut stream, &Err(busy));
        return;
    }
    let asked_ = asked.clone();
    let serving = thread::Builder::new().name("control connection".to_string()).spawn(move || {
        serve(stream, &asked_);
        asked_.connections.fetch_sub(1, Ordering::Relaxed);
    });
    if serving.is_err() {
        asked.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(mut stream: UnixStream, asked: &Asked) {
    let request = match socket::line(&mut stream, LINE, Some(Instant::now() + PATIENCE)) {
        Ok(line) => Request::parse(&line),
        Err(error) => Err(format!("the request could not be read: {error}")),
    };
    *lock(&asked.waiting) += 1;
    let stops = matches!(&request, Ok(Request { wish: Wish::Stop { .. }, .. }));
    let answer = request.and_then(|request| (asked.answer)(request));
    let sent = send(&mut stream, &answer);
    *lock(&asked.waiting) -= 1;
    asked.answered.notify_all();
    if stops && answer.is_ok() && sent.is_ok() {
        // Closed by the end of the process: that is what whoever stopped the job waits for.
        std::mem::forget(stream);
    }
}

fn send(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", answer_line(answer)).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::{atomic::AtomicBool, mpsc};

    use super::*;
    use crate::control::{Met, ask};

    fn savepoint(job: &str) -> Request {
        Request { job: job.to_string(), wish: Wish::Savepoint("/s".into()) }
    }

    /// Answers with the length of the job's name.
    fn echo(request: Request) -> Answer {
        let Wish::Savepoint(folder) = request.wish else { return Err("not asked".to_string()) };
        Ok(Met { epoch: request.job.len() as u64, savepoint: Some(folder) })
    }

    #[test]
    fn what_is_asked_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::listen(folder.path(), echo).unwrap();
        let met = ask(folder.path(), &savepoint("words")).unwrap().unwrap();
        assert_eq!(met, Met { epoch: 5, savepoint: Some("/s".into()) });
        let stop = Request { wish: Wish::Stop { drain: false, savepoint: None }, ..savepoint("words") };
        assert_eq!(ask(folder.path(), &stop).unwrap().unwrap_err(), "not asked");
        drop(server);
        assert!(!folder.path().join(SOCKET).exists());
    }

    /// One that says too much, one that says nothing, and more than are listened to: the next one is answered all the same.
    #[test]
    fn strange_clients_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let _server = Server::listen(folder.path(), echo).unwrap();
        let mut wordy = socket::connect(folder.path()).unwrap();
        // It may be cut off before it has said all.
        let _ = wordy.write_all(&vec![b'x'; LINE + 5000]);
        let refusal = socket::line(&mut wordy, LINE, None).unwrap();
        assert!(String::from_utf8_lossy(&refusal).contains("longer than"), "{}", String::from_utf8_lossy(&refusal));
        let silent: Vec<UnixStream> = (0..CONNECTIONS).map(|_| socket::connect(folder.path()).unwrap()).collect();
        let busy = (0..200).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            ask(folder.path(), &savepoint("words")).unwrap().err()
        });
        assert!(busy.unwrap().contains("others are asking"));
        drop(silent);
        let answered = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(5));
            ask(folder.path(), &savepoint("words")).unwrap().is_ok()
        });
        assert!(answered, "places of those who left are free again");
    }

    #[test]
    fn the_end_waits_for_an_answer_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let (asked, was_asked) = mpsc::channel();
        let answered = Arc::new(AtomicBool::new(false));
        let answered_ = answered.clone();
        let slow = move |request| {
            asked.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
            answered_.store(true, Ordering::Relaxed);
            echo(request)
        };
        let server = Server::listen(folder.path(), slow).unwrap();
        let path = folder.path().to_path_buf();
        let asker = thread::spawn(move || ask(&path, &savepoint("words")));
        was_asked.recv().unwrap();
        drop(server);
        assert!(answered.load(Ordering::Relaxed), "it did not wait");
        asker.join().unwrap().unwrap().unwrap();
    }

    #[test]
    fn the_socket_of_a_successor_stays() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = Server::listen(folder.path(), echo).unwrap();
        let _later = Server::listen(folder.path(), echo).unwrap();
        drop(earlier);
        ask(folder.path(), &savepoint("words")).unwrap().unwrap();
    }
}
