//! Writes a recording line by line, so that whatever ends the run leaves what was measured.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Checker, Claim, FILE_NAME, Folder, PARTIAL_NAME, Problem, schema::Line};

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
    /// Another run writes there.
    #[error(
        "another lockprof is measuring into the folder {}, or writes its report there: name another one with -o",
        path.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
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
    /// Where it gets its name.
    folder: Option<Folder>,
    /// That the folder is this run's.
    claim: Option<Claim>,
    /// Names of views that an older recording may have left in the folder, until they are removed.
    views: Vec<String>,
    /// Lines in it.
    lines: u64,
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
    /// Creates the recording of a run's directory, under a temporary name. One that a run has left there which was
    /// killed is removed.
    ///
    /// # Errors
    ///
    /// When another run goes on there, or the file cannot be created; then the folder is unmade.
    pub fn create(mut folder: Folder) -> Result<Self, WriteError> {
        // Only that another one has it is an error. Then the folder is not unmade: it may be empty yet.
        let Ok(claim) = folder.claim() else {
            return Err(WriteError::Busy {
                path: folder.path().to_owned(),
            });
        };
        let path = folder.path().join(PARTIAL_NAME);
        match folder.create(OsStr::new(PARTIAL_NAME)) {
            Ok(file) => Ok(Self {
                folder: Some(folder),
                claim: Some(claim),
                ..Self::new(file, path)
            }),
            Err(cause) => {
                folder.unmake();
                Err(WriteError::Io {
                    operation: "create",
                    path,
                    cause,
                })
            }
        }
    }

    /// Writes to what is open already.
    #[must_use]
    pub fn new(file: File, path: PathBuf) -> Self {
        Self {
            path,
            file,
            folder: None,
            claim: None,
            views: Vec::new(),
            lines: 0,
            checker: Checker::default(),
            buffer: Vec::new(),
            whole: 0,
            torn: false,
            failures: Vec::new(),
        }
    }

    /// Removes these from its folder as soon as something is in it besides its header: an older run's report does not
    /// stand beside a recording that it does not show.
    pub fn replaces(&mut self, views: Vec<String>) {
        self.views = views;
    }

    /// That its folder is this run's, for whoever makes the views in it. None the second time.
    pub fn take_claim(&mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// Whether its name leads to it: nobody has removed it or put something else in its place.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let there = std::fs::metadata(&self.path);
        let same = |there: &Metadata, file: &Metadata| {
            (there.dev(), there.ino()) == (file.dev(), file.ino())
        };
        matches!((there, self.file.metadata()), (Ok(there), Ok(file)) if same(&there, &file))
    }

    /// Gives it its name, once it is whole, and on the disk.
    ///
    /// # Errors
    ///
    /// When that is refused: then it keeps its temporary name.
    pub fn complete(&mut self) -> Result<(), WriteError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let failed = |operation| {
            let path = self.path.clone();
            move |cause| WriteError::Io {
                operation,
                path,
                cause,
            }
        };
        self.file.sync_all().map_err(failed("write"))?;
        folder
            .rename(OsStr::new(PARTIAL_NAME), OsStr::new(FILE_NAME))
            .map_err(failed("rename"))?;
        self.path = folder.path().join(FILE_NAME);
        Ok(())
    }

    /// Removes one in which nothing is, with the folders that were made for it.
    pub fn discard(&mut self) {
        if let Some(folder) = &mut self.folder {
            // There is an error already, which is told.
            let _left = folder.remove(OsStr::new(PARTIAL_NAME));
            folder.unmake();
        }
    }

    /// Whether something is in it besides its header.
    #[must_use]
    pub fn has_measurements(&self) -> bool {
        self.lines > 1
    }

    /// The file once more, for the one that ends a recording in the place of this process.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
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
        self.lines += 1;
        if self.has_measurements() {
            self.remove_views();
        }
        Ok(())
    }

    fn remove_views(&mut self) {
        let Some(folder) = &self.folder else {
            return;
        };
        for name in self.views.drain(..) {
            if let Err(error) = folder.remove_plain(OsStr::new(&name)) {
                log::warn!(
                    "cannot remove {}, which shows an older run: {error}",
                    folder.path().join(&name).display()
                );
            }
        }
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
