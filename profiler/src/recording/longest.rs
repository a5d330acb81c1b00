//! The longest holds and waits.

use serde::{Deserialize, Serialize};

/// A long hold or wait.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct LongestEvent {
    /// `hold` or `wait`.
    pub kind: Kind,
    /// The site.
    pub site: String,
    /// Its length.
    pub ns: u64,
    /// Its end, in seconds since the probes were attached.
    pub at_s: f64,
    /// The CPU.
    pub cpu: u32,
    /// The thread.
    pub pid: u32,
    /// The process.
    pub tgid: u32,
    /// The thread's name.
    pub comm: String,
    /// The cgroup's path, or its id where no path is known.
    pub cgroup: String,
}

/// Hold or wait.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A hold.
    Hold,
    /// A wait.
    Wait,
}
