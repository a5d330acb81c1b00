//! The folder that a run writes to.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, bail};
use jiff::ZonedDateTime;

use crate::recording::{Claim, Folder, WriteError};

/// Makes the folder that was asked for; or one of its own, named after the present time.
///
/// # Errors
/// It cannot be made, and what to do.
pub fn make(asked: Option<&Path>) -> Result<Folder> {
    match asked {
        Some(path) => Folder::make(path).map_err(|error| refused(error, path)),
        None => make_new(&name_of_now()),
    }
}

/// Takes the folder that was asked for, where it is there already, until this is dropped: that another run is busy with
/// it is said before the kernel is probed.
///
/// # Errors
/// Another run is.
pub fn claim(asked: Option<&Path>) -> Result<Option<Claim>, WriteError> {
    // Whatever else is wrong with it is said when it is made.
    let Some(folder) = asked.and_then(|path| Folder::open(path).ok()) else {
        return Ok(None);
    };
    folder.claim().map(Some).map_err(|_busy| WriteError::Busy {
        path: folder.path().to_owned(),
    })
}

fn refused(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).context(format!(
        "cannot create the folder {}, where the recording goes (-o names another one)",
        path.display()
    ))
}

/// The first of these names that nobody has. To make it is to look whether somebody has it: two runs may begin within
/// one second.
fn make_new(name: &str) -> Result<Folder> {
    for attempt in 1_u32.. {
        let path = match attempt {
            1 => PathBuf::from(name),
            _ => PathBuf::from(format!("{name}-{attempt}")),
        };
        match Folder::make_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map_err(|error| refused(error, &path)),
        }
    }
    bail!("all names for the output's folder are taken; name one with -o")
}

fn name_of_now() -> String {
    let now = ZonedDateTime::now();
    now.strftime("lockprof-%Y%m%d-%H%M%S").to_string()
}
