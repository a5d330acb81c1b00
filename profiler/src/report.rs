//! Makes views of recordings: reads one, renders it, writes it where it is wanted.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    export::{Format, Picture},
    profile::{Classify, Profile},
    profile_file::read_profile,
    recording::{self, RecordingLines, schema::Line},
};

/// Whether the numbers of a recording can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// They can.
    Valid,
    /// Too much was lost: the exit status is 3.
    Void,
}

impl Validity {
    /// Whether those of a profile can be used.
    #[must_use]
    pub const fn of(profile: &Profile) -> Self {
        if profile.void() {
            Self::Void
        } else {
            Self::Valid
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// The recording, the directory of a run, or `-`: standard input.
    pub recording: PathBuf,
    /// What it is to become.
    pub format: Format,
    /// Where to; standard output where there is none.
    pub output: Option<PathBuf>,
}

/// Reads a recording, renders it, and writes the result.
///
/// # Errors
///
/// When the recording cannot be read or the result cannot be written. A reader of standard output
/// that has gone away is no error.
pub fn report(request: &ReportRequest, classify: Classify) -> Result<Validity> {
    let profile = read_profile(&request.recording, classify)?;
    let bytes = request.format.exporter().export(&profile)?;
    match &request.output {
        Some(path) => write_file(path, &bytes)?,
        None => write_or_broken_pipe(&mut io::stdout().lock(), &bytes)
            .context("cannot write to standard output")?,
    }
    Ok(Validity::of(&profile))
}

/// What a picture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// Lines and texts.
    Svg,
    /// Pixels.
    Png,
}

/// Writes every picture that there is of a recording into a directory, under its own name.
///
/// # Errors
///
/// When one cannot be drawn or written.
pub fn write_pictures(
    directory: &Path,
    profile: &Profile,
    kind: PictureKind,
) -> Result<Vec<PathBuf>> {
    let write = |&picture: &Picture| {
        let (format, extension) = match kind {
            PictureKind::Svg => (Format::Svg(picture), "svg"),
            PictureKind::Png => (Format::Png(picture), "png"),
        };
        let path = directory.join(picture.file_name(extension));
        write_file(&path, &format.exporter().export(profile)?)?;
        Ok(path)
    };
    Picture::of(profile).iter().map(write).collect()
}

/// The names of the views that a run leaves beside its recording, and of the pictures that may be drawn there later.
pub fn view_names() -> impl Iterator<Item = String> {
    let pictures = Picture::ALL
        .iter()
        .flat_map(|picture| ["svg", "png"].map(|extension| picture.file_name(extension)));
    pictures.chain([PAGE_NAME.to_owned()])
}

/// The name of the page in a run's directory.
pub const PAGE_NAME: &str = "report.html";

/// Writes the page into a directory.
///
/// # Errors
///
/// When it cannot be made or written.
pub fn write_page(directory: &Path, profile: &Profile) -> Result<PathBuf> {
    let path = directory.join(PAGE_NAME);
    write_file(&path, &Format::Html.exporter().export(profile)?)?;
    Ok(path)
}

/// Writes all of it; whoever was to read it may have gone away (`lockprof report … | head`).
///
/// # Errors
///
/// Any but a broken pipe.
pub fn write_or_broken_pipe(output: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Whether a file, or what a link leads to, is a recording by its first line. A pipe is not read for it.
fn is_recording(path: &Path) -> bool {
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file
        && RecordingLines::open(path)
            .is_ok_and(|mut lines| matches!(lines.next(), Some(Ok(Line::Header(_)))))
}

/// Writes a file that belongs to the caller. A recording is not written over: every view can be made again, and it
/// cannot.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_recording(path) {
        bail!(
            "{} is a recording, from which views are made: name another file with -o",
            path.display()
        );
    }
    recording::write_file(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
