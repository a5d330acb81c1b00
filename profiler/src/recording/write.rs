//! Writes a recording line by line, so that whatever ends the run leaves what was measured.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Checker, Problem, give_to_caller, schema::Line};

/// Why a line is not in the recording.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The operating system refused.
    #[error("cannot {operation} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The line is one that no reader would accept.
    #[error("not written to {}: {cause}", path.display())]
    Invalid {
        /// The recording.
        path: PathBuf,
        /// What is wrong with the line.
        cause: Problem,
    },
    /// The line has no form in JSON.
    #[error("not written to {}: {cause}", path.display())]
    Json {
        /// The recording.
        path: PathBuf,
        /// What the serializer said.
        cause: serde_json::Error,
    },
    /// An earlier write failed in the middle of a line, and the half line could not be taken back.
    #[error("{} ends in half a line after an earlier failure; nothing more is written", path.display())]
    Torn {
        /// The recording.
        path: PathBuf,
    },
}

/// Writes a recording. Each line reaches the operating system before [`write`](Self::write)
/// returns.
#[derive(Debug)]
pub struct RecordingWriter {
    path: PathBuf,
    file: File,
    checker: Checker,
    /// One line at a time, kept for its allocation.
    buffer: Vec<u8>,
    /// The length of the file up to the end of its last whole line.
    whole: u64,
    /// The file ends in half a line that could not be taken back.
    torn: bool,
    failures: Vec<String>,
}

impl RecordingWriter {
    /// Creates the file, or empties one that is there, and gives it to the user who called sudo.
    ///
    /// # Errors
    ///
    /// When the file cannot be created or given away.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let failed = |operation| {
            move |cause| WriteError::Io {
                operation,
                path: path.to_owned(),
                cause,
            }
        };
        let file = File::create(path).map_err(failed("create"))?;
        give_to_caller(path).map_err(failed("change the owner of"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            checker: Checker::default(),
            buffer: Vec::new(),
            whole: 0,
            torn: false,
            failures: Vec::new(),
        })
    }

    /// Writes one line. What is written can be read: a line that the reader would refuse is refused
    /// here. After a failure the recording is valid up to the line before, and later lines are
    /// still tried, since a full disk may have room again.
    ///
    /// # Errors
    ///
    /// When the line is not in the recording; the failure is also kept in
    /// [`failures`](Self::failures), for the footer.
    pub fn write(&mut self, line: &Line) -> Result<(), WriteError> {
        self.try_write(line)
            .inspect_err(|error| self.failures.push(error.to_string()))
    }

    /// What could not be written so far, and why.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn try_write(&mut self, line: &Line) -> Result<(), WriteError> {
        if self.torn {
            return Err(WriteError::Torn {
                path: self.path.clone(),
            });
        }
        // The checker moves on only when the line is in the file.
        let mut checker = self.checker.clone();
        checker.check(line).map_err(|cause| WriteError::Invalid {
            path: self.path.clone(),
            cause,
        })?;
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line).map_err(|cause| WriteError::Json {
            path: self.path.clone(),
            cause,
        })?;
        self.buffer.push(b'\n');
        if let Err(cause) = self.append() {
            self.torn = self.file.set_len(self.whole).is_err();
            return Err(WriteError::Io {
                operation: "write",
                path: self.path.clone(),
                cause,
            });
        }
        self.whole += self.buffer.len() as u64;
        self.checker = checker;
        Ok(())
    }

    /// At the end of the last whole line, wherever an earlier failure left the file's position.
    /// What cannot be written at a position (a pipe, a character device) is written on.
    fn append(&mut self) -> io::Result<()> {
        match self.file.write_all_at(&self.buffer, self.whole) {
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => {
                self.file.write_all(&self.buffer)
            }
            result => result,
        }
    }
}
