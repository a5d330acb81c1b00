//! What had not ended when the measured time did.

use serde::{Deserialize, Serialize};

use super::longest::Kind;

/// The waits and holds that were in progress when the measured time ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct InProgress {
    /// The longest first.
    pub events: Vec<OpenEvent>,
    /// How many more there were.
    #[serde(default)]
    pub more: u64,
    /// Why tasks that were asleep before the probes were attached, or while they were not, cannot all be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// Waits that had ended, and of which no window saw the whole; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutWaits>,
}

/// Waits that went on when their window ended, or while nothing was attached: they are in no other number.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct CutWaits {
    /// How many are known.
    pub waits: u64,
    /// For how long they were known to go on, together.
    pub at_least_ns: u64,
    /// Some of the longest, the longest first.
    pub longest: Vec<OpenEvent>,
}

/// A wait or a hold that had not ended.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct OpenEvent {
    /// `wait` or `hold`.
    pub kind: Kind,
    /// For how long it was known to go on, in nanoseconds.
    pub at_least_ns: u64,
    /// It went on already when the probes were attached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since_attach: bool,
    /// The lock's address, in hexadecimal with 0x; absent where no event tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// The lock's name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind of lock, as the LCB_F_ flags of the tracepoint.
    pub flags: u32,
    /// Who asked for the lock: a return address as `symbol+0xoffset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The site, where it is a hold of the target lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The CPU, where it is a hold or a spinning wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// The thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tgid: Option<u32>,
    /// The thread's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
}
