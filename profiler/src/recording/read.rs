//! Reads a recording line by line. Nothing in a file, however broken, makes it panic.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _, Read, stdin},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use super::{
    Checker, FILE_NAME, Problem, in_directory,
    schema::{Calibration, Footer, Header, Interval, Killed, Line, SCHEMA},
};

/// A longer line is no line of a recording: 256 CPUs with every bucket of every site in use stay
/// below it.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The path that means standard input; a file of this name is `./-`.
pub const STDIN: &str = "-";

/// Whether a path means standard input.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// Why a file cannot be read as a recording.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("cannot open {}: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It cannot be read on.
    #[error("cannot read line {line}: {cause}")]
    Io {
        /// The line, from 1.
        line: u64,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It would be waited for, and nobody knows.
    #[error("it is a terminal: redirect it, as in `< {FILE_NAME}`")]
    Terminal,
    /// It is compressed.
    #[error(
        "it is compressed by {program}: unpack it on the way, as in \
         `{program} -dc FILE | lockprof report -`"
    )]
    Compressed {
        /// The program that packs and unpacks such files.
        program: &'static str,
    },
    /// It has no lines.
    #[error("the recording is empty")]
    Empty,
    /// Its first line is no header.
    #[error("this is not a lockprof recording: {reason}")]
    NotARecording {
        /// What its first line is.
        reason: String,
    },
    /// A later lockprof wrote it.
    #[error(
        "made by a newer lockprof ({}): schema {schema}, this one reads up to {SCHEMA}; update \
         lockprof",
        if lockprof.is_empty() { "no version given" } else { lockprof }
    )]
    Newer {
        /// The version that wrote it.
        lockprof: String,
        /// Its schema.
        schema: u64,
    },
    /// A line that is not JSON, or lacks something.
    #[error("line {line}, column {column}: {message}")]
    Broken {
        /// The line, from 1.
        line: u64,
        /// The byte in the line, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A line that says what cannot be.
    #[error("line {line}: {problem}")]
    Invalid {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        problem: Problem,
    },
    /// A line longer than any line of a recording.
    #[error("line {line} is longer than {} MiB", MAX_LINE_BYTES >> 20)]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
}

/// A whole recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What was measured, where, and how.
    pub header: Header,
    /// What the probes themselves add to a hold.
    pub calibration: Option<Calibration>,
    /// What happened, in order.
    pub intervals: Vec<Interval>,
    /// How the run ended.
    pub footer: Option<Footer>,
    /// Why its guard killed the daemon, where it did.
    pub killed: Option<Killed>,
    /// The recording has no footer: the daemon was killed, the disk was full, or the file was cut.
    pub cut_short: bool,
}

impl Recording {
    /// Reads a recording from a file, or that of a run's directory.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        Self::from_lines(RecordingLines::open(path)?)
    }

    /// Collects the lines of a recording.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn from_lines<R: BufRead>(lines: RecordingLines<R>) -> Result<Self, ReadError> {
        let mut header = None;
        let mut calibration = None;
        let mut intervals = Vec::new();
        let mut footer = None;
        let mut killed = None;
        for line in lines {
            match line? {
                Line::Header(line) => header = Some(*line),
                Line::Calibration(line) => calibration = Some(line),
                Line::Interval(line) => intervals.push(*line),
                Line::Footer(line) => footer = Some(*line),
                Line::Killed(line) => killed = Some(line),
            }
        }
        let cut_short = footer.is_none();
        let header = header.ok_or(ReadError::Empty)?;
        Ok(Self {
            header,
            calibration,
            intervals,
            footer,
            killed,
            cut_short,
        })
    }
}

/// The lines of a recording, read and checked one at a time: the first is the header, and after an
/// error there is no other.
#[derive(Debug)]
pub struct RecordingLines<R> {
    input: R,
    /// Lines read so far.
    number: u64,
    checker: Checker,
    buffer: Vec<u8>,
    ended: bool,
}

impl RecordingLines<BufReader<File>> {
    /// Opens a file, the recording of a run's directory, or standard input ([`STDIN`]).
    ///
    /// # Errors
    ///
    /// When it cannot be opened; or standard input is a terminal.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let (path, file) = if is_stdin(path) {
            if stdin().is_terminal() {
                return Err(ReadError::Terminal);
            }
            // Nothing was read through stdin()'s buffer, so that nothing is lost by going around it.
            let file = stdin().as_fd().try_clone_to_owned().map(File::from);
            (path.to_owned(), file)
        } else {
            let path = if path.is_dir() {
                in_directory(path)
            } else {
                path.to_owned()
            };
            let file = File::open(&path);
            (path, file)
        };
        match file {
            Ok(file) => Ok(Self::new(BufReader::with_capacity(1 << 16, file))),
            Err(cause) => Err(ReadError::Open { path, cause }),
        }
    }
}

impl<R: BufRead> RecordingLines<R> {
    /// Reads from memory, or from what is open already.
    pub fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            checker: Checker::default(),
            buffer: Vec::new(),
            ended: false,
        }
    }

    fn read_line(&mut self) -> Result<Option<Line>, ReadError> {
        self.buffer.clear();
        self.number += 1;
        let number = self.number;
        let read = (&mut self.input)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|cause| ReadError::Io {
                line: number,
                cause,
            })?;
        if read == 0 {
            return if number == 1 {
                Err(ReadError::Empty)
            } else {
                Ok(None)
            };
        }
        if number == 1
            && let Some(program) = compressed_by(&self.buffer)
        {
            return Err(ReadError::Compressed { program });
        }
        let whole = self.buffer.ends_with(b"\n");
        if !whole && self.buffer.len() as u64 > MAX_LINE_BYTES {
            return Err(ReadError::TooLong { line: number });
        }
        if number == 1 {
            check_first(&self.buffer)?;
        }
        match parse(&self.buffer) {
            Ok(line) => {
                self.checker
                    .check(&line)
                    .map_err(|problem| ReadError::Invalid {
                        line: number,
                        problem,
                    })?;
                Ok(Some(line))
            }
            // The writer ends each line before it begins the next, so only the last can be torn.
            Err(_) if !whole && number > 1 => Ok(None),
            Err(error) => Err(ReadError::Broken {
                line: number,
                column: error.column(),
                message: without_position(&error),
            }),
        }
    }
}

impl<R: BufRead> Iterator for RecordingLines<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let line = self.read_line().transpose();
        self.ended = !matches!(line, Some(Ok(_)));
        line
    }
}

/// Reads one line by its tag.
///
/// Not by deriving `Deserialize` for [`Line`]: serde would first collect the whole object in a
/// buffer of its own, which takes several times as long and cannot read back maps whose keys are
/// numbers (the stacks).
fn parse(bytes: &[u8]) -> Result<Line, serde_json::Error> {
    #[derive(Deserialize)]
    struct Tagged {
        line: Tag,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Tag {
        Header,
        Calibration,
        Interval,
        Footer,
        Killed,
    }
    // Nearly every line; the tag is written first.
    if bytes.starts_with(br#"{"line":"interval","#) {
        return serde_json::from_slice(bytes).map(|line| Line::Interval(Box::new(line)));
    }
    Ok(match serde_json::from_slice::<Tagged>(bytes)?.line {
        Tag::Header => Line::Header(Box::new(serde_json::from_slice(bytes)?)),
        Tag::Calibration => Line::Calibration(serde_json::from_slice(bytes)?),
        Tag::Interval => Line::Interval(Box::new(serde_json::from_slice(bytes)?)),
        Tag::Footer => Line::Footer(Box::new(serde_json::from_slice(bytes)?)),
        Tag::Killed => Line::Killed(serde_json::from_slice(bytes)?),
    })
}

/// The program that unpacks a file which begins with these bytes.
fn compressed_by(bytes: &[u8]) -> Option<&'static str> {
    // RFC 1952, RFC 8878, and the formats of .xz, .bz2 and of LZ4's frames.
    const MAGIC: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"BZh", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
    ];
    let mut known = MAGIC.into_iter();
    known.find_map(|(magic, program)| bytes.starts_with(magic).then_some(program))
}

/// Tells a recording from other files, and a newer one from a broken one, before anything that a
/// newer schema may have changed is looked at.
fn check_first(bytes: &[u8]) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct First {
        line: String,
        schema: Option<u64>,
        lockprof: Option<String>,
    }
    let not_a_recording = |reason: String| Err(ReadError::NotARecording { reason });
    let first: First = match serde_json::from_slice(bytes) {
        Ok(first) => first,
        Err(error) => {
            return not_a_recording(format!(
                "its first line, column {}: {}",
                error.column(),
                without_position(&error)
            ));
        }
    };
    if first.line != "header" {
        return not_a_recording("its first line is no header".to_owned());
    }
    match first.schema {
        Some(schema) if schema > u64::from(SCHEMA) => Err(ReadError::Newer {
            // Its version is for people, and comes from a file: let it not fill the screen.
            lockprof: first
                .lockprof
                .unwrap_or_default()
                .chars()
                .take(40)
                .collect(),
            schema,
        }),
        Some(1..) => Ok(()),
        Some(schema) => not_a_recording(format!("there is no schema {schema}")),
        None => not_a_recording("its header names no schema".to_owned()),
    }
}

/// What serde said, without its own "at line 1 column 20": it counts lines in the one line it got.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
