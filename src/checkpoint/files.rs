//! Files that are on the disk when they are closed, with their checksum.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use twox_hash::XxHash3_64;

/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A new file that adds up what is written to it.
pub(super) struct Output {
    file: BufWriter<File>,
    sum: Sum,
}

/// The length of a file and its XXH3 of 64 bits.
#[derive(Default, Clone)]
pub(super) struct Sum {
    pub bytes: u64,
    hash: XxHash3_64,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.write(bytes);
    }

    pub fn hash(&self) -> String {
        format!("{:016x}", self.hash.finish())
    }
}

impl Output {
    pub fn create(path: &Path) -> io::Result<Output> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?);
        Ok(Output { file, sum: Sum::default() })
    }

    /// Returns when all of it is on the disk.
    pub fn close(self) -> io::Result<Sum> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.sum)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads all of a file for its checksum.
pub(super) fn sum(path: &Path) -> io::Result<Sum> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut sum = Sum::default();
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum),
            read => sum.add(&buffer[..read]),
        }
    }
}

/// Returns when what stands in a directory is on the disk: names of files are the directory's content.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}
