//! Reads lines, bounded in length, and counts them.

use std::io::{self, BufRead};

/// The lines of a stream: LF and CRLF end a line, and a last line without an end counts.
pub(crate) struct Lines<R> {
    from: R,
    number: u64,
    offset: u64,
    longest: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `from`, each at most `longest` bytes.
    pub(crate) fn new(from: R, longest: usize) -> Lines<R> {
        Lines { from, number: 0, offset: 0, longest, line: Vec::new() }
    }

    /// Number of the last line read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The last line read.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Reads the next line; false at the end of the stream.
    ///
    /// # Errors
    /// What reading says; `InvalidData` for a line that is too long.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        loop {
            let buffer = match self.from.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                if self.line.is_empty() {
                    return Ok(false);
                }
                break;
            }
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.line.len() + part.len() > self.longest {
                let message = format!("it is longer than {} bytes; raise `max-line` if that is right", self.longest);
                self.number += 1;
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.line.extend_from_slice(part);
            let taken = part.len() + usize::from(end.is_some());
            self.from.consume(taken);
            self.offset += taken as u64;
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, longest: usize) -> io::Result<Vec<String>> {
        // A tiny buffer, so that lines cross its end.
        let mut lines = Lines::new(io::BufReader::with_capacity(3, text.as_bytes()), longest);
        let mut all = Vec::new();
        while lines.advance()? {
            all.push(String::from_utf8_lossy(lines.line()).into_owned());
        }
        assert_eq!(lines.offset() as usize, text.len());
        Ok(all)
    }

    #[test]
    fn lines_end_as_they_may() {
        assert_eq!(all("a\r\n\nlonger\nlast", 100).unwrap(), ["a", "", "longer", "last"]);
        assert_eq!(all("", 100).unwrap(), [""; 0]);
        assert_eq!(all("\n", 100).unwrap(), [""]);
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error() {
        assert!(all("12345\n123456\n", 5).unwrap_err().to_string().contains("longer than 5 bytes"));
    }
}
