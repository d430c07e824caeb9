//! Reads a file and keeps what is written over it in memory: redb checks, and after a crash repairs, a store that a
//! reader must not change.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{Mutex, PoisonError},
};

use redb::StorageBackend;

const BLOCK: u64 = 4096;

/// A file with changes on top. What redb writes to check a store is its header and one bit a page: little.
#[derive(Debug)]
pub(crate) struct Overlay(Mutex<State>);

#[derive(Debug)]
struct State {
    file: File,
    /// How much of the file still shows: it ends where it was ever cut off.
    file_length: u64,
    length: u64,
    /// Blocks that were written to, by their number.
    written: BTreeMap<u64, Box<[u8; BLOCK as usize]>>,
}

impl Overlay {
    pub(crate) fn new(file: File) -> io::Result<Overlay> {
        let length = file.metadata()?.len();
        Ok(Overlay(Mutex::new(State { file, file_length: length, length, written: BTreeMap::new() })))
    }

    /// Whether it has no byte.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state| state.length == 0)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    /// Reads from the file, zeros behind its end.
    fn read_file(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.file_length.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if !there.is_empty() {
            self.file.seek(SeekFrom::Start(offset))?;
            self.file.read_exact(there)?;
        }
        Ok(())
    }

    fn read(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(offset, out.len())?;
        self.read_file(offset, out)?;
        let end = offset + out.len() as u64;
        for (&block, bytes) in self.written.range(offset / BLOCK..end.div_ceil(BLOCK)) {
            let start = block * BLOCK;
            let (from, to) = (offset.max(start), end.min(start + BLOCK));
            let source = &bytes[(from - start) as usize..(to - start) as usize];
            out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        self.check(offset, data.len())?;
        let mut at = offset;
        while !data.is_empty() {
            let (block, within) = (at / BLOCK, (at % BLOCK) as usize);
            let (now, later) = data.split_at(data.len().min(BLOCK as usize - within));
            if !self.written.contains_key(&block) {
                let mut bytes = Box::new([0; BLOCK as usize]);
                self.read_file(block * BLOCK, &mut bytes[..])?;
                self.written.insert(block, bytes);
            }
            if let Some(bytes) = self.written.get_mut(&block) {
                bytes[within..within + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            data = later;
        }
        Ok(())
    }

    fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.file_length = self.file_length.min(length);
            self.written.split_off(&length.div_ceil(BLOCK));
            if let Some(last) = self.written.get_mut(&(length / BLOCK)) {
                last[(length % BLOCK) as usize..].fill(0);
            }
        }
        self.length = length;
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.with(|state| state.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.with(|state| state.read(offset, out))
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.with(|state| state.set_length(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.with(|state| state.write(offset, data))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        Length(u64),
        Read(u64, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..20_000, 0usize..9_000, any::<u8>()).prop_map(|(at, n, byte)| Step::Write(at, vec![byte; n])),
            (0u64..20_000).prop_map(Step::Length),
            (0u64..20_000, 0usize..9_000).prop_map(|(at, n)| Step::Read(at, n)),
        ]
    }

    proptest! {
        #[test]
        fn it_behaves_as_bytes_in_memory_and_leaves_the_file_alone(
            length in 0usize..15_000,
            steps in proptest::collection::vec(step(), 0..30),
        ) {
            let original: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&original).unwrap();
            let overlay = Overlay::new(file.reopen().unwrap()).unwrap();
            let mut model = original.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        let end = at as usize + data.len();
                        prop_assert_eq!(overlay.write(at, &data).is_ok(), end <= model.len());
                        if end <= model.len() {
                            model[at as usize..end].copy_from_slice(&data);
                        }
                    }
                    Step::Length(length) => {
                        overlay.set_len(length).unwrap();
                        model.resize(length as usize, 0);
                    }
                    Step::Read(at, n) => {
                        let mut out = vec![7; n];
                        let expected = model.get(at as usize..at as usize + n);
                        prop_assert_eq!(overlay.read(at, &mut out).is_ok(), expected.is_some());
                        if let Some(expected) = expected {
                            prop_assert_eq!(out.as_slice(), expected);
                        }
                    }
                }
            }
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), original);
        }
    }
}
