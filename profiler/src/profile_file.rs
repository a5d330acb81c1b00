//! The profile of a recording in a file.

use std::{io, path::Path};

use anyhow::{Result, anyhow};

use crate::{
    profile::{Classify, Profile, ProfileBuilder},
    recording::{ReadError, RecordingLines, is_stdin, schema::Line},
};

/// Reads the profile of a recording line by line: a long recording is never in memory as a whole.
///
/// # Errors
///
/// When the recording cannot be read.
pub fn read_profile(path: &Path, classify: Classify) -> Result<Profile> {
    build(path, classify).map_err(|error| match &error {
        ReadError::Open { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => anyhow!(
            "{error}: it is for its owner to read, or for root; or whoever measures gives it away (`sudo lockprof` \
             does so by itself)"
        ),
        // It names the file.
        ReadError::Open { .. } => error.into(),
        _ => anyhow::Error::new(error).context(format!("cannot read {}", name(path))),
    })
}

/// What a recording is called in messages.
pub(crate) fn name(recording: &Path) -> String {
    if is_stdin(recording) {
        "standard input".to_owned()
    } else {
        recording.display().to_string()
    }
}

fn build(path: &Path, classify: Classify) -> Result<Profile, ReadError> {
    let mut lines = RecordingLines::open(path)?;
    // The first line is the header, or an error.
    let header = match lines.next().transpose()? {
        Some(Line::Header(header)) => *header,
        _ => return Err(ReadError::Empty),
    };
    let mut builder = ProfileBuilder::new(header);
    for line in lines {
        builder.add(line?);
    }
    Ok(builder.finish(classify))
}
