//! The recording: the one file that a run writes, and from which every view is made.

mod budget;
mod check;
mod killed;
mod owner;
mod read;
pub mod schema;
mod windows;
mod write;

pub(crate) use check::parse_address;
pub use check::{Checker, MAX_CPUS, Problem};
pub use owner::{directory_for_caller, give_to_caller};
pub use read::{ReadError, Recording, RecordingLines};
pub use write::{RecordingWriter, WriteError};

/// The name of the recording in a run's directory.
pub const FILE_NAME: &str = "recording.jsonl";
