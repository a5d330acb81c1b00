//! The recording: the one file that a run writes, and from which every view is made.

mod anchor;
mod budget;
mod caller;
mod check;
mod claim;
mod controls;
mod folder;
mod in_progress;
mod killed;
mod longest;
mod read;
pub mod schema;
mod waiters;
mod windows;
mod write;

pub(crate) use check::parse_address;
pub use check::{Checker, MAX_CPUS, Problem};
pub use claim::Claim;
pub use folder::{Folder, write_file};
pub use read::{ReadError, Recording, RecordingLines, STDIN, is_stdin};
pub use write::{RecordingWriter, WriteError};

use std::path::{Path, PathBuf};

/// The name of the recording in a run's directory.
pub const FILE_NAME: &str = "recording.jsonl";
/// Its name until it is whole.
pub const PARTIAL_NAME: &str = "recording.jsonl.partial";

/// The recording in a run's directory. One that is not whole is of a later run than one that is: the run that
/// makes it whole gives it that one's name.
#[must_use]
pub fn in_directory(directory: &Path) -> PathBuf {
    let partial = directory.join(PARTIAL_NAME);
    if partial.is_file() {
        partial
    } else {
        directory.join(FILE_NAME)
    }
}
