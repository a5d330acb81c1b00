//! Who waited for whom: what `lockprof locks` keeps beside the waits of all locks.

use serde::{Deserialize, Serialize};

/// What `lockprof locks` was to look at.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct LocksPlan {
    /// What of all waits was looked at, in words: `process 123`. Empty: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Places for contended locks, and for who waits for whom, on each CPU.
    pub places: [u32; 2],
    /// What the kernel's BTF does not tell, so that it was not kept: parts of a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<String>,
    /// How the call stacks of sleeping owners are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_stacks: Option<OwnerStacks>,
}

/// How the call stacks of sleeping owners are found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct OwnerStacks {
    /// How; looks into /proc there are in any case.
    pub by: SampledBy,
    /// By a program: of which of a CPU's waits that find the owner asleep, every so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// By looks into /proc alone: why, as a part of a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How it was seen what an owner does.
#[derive(
    Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "snake_case")]
pub enum SampledBy {
    /// By the program at the beginning of a wait: what kept a sleeping owner when somebody came.
    Tracepoint,
    /// By a look into /proc: what an owner did while others waited.
    #[default]
    Proc,
}

impl SampledBy {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::Proc => "proc",
        }
    }
}

/// The waits of one task for one lock behind one owner.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct WaiterInterval {
    /// The lock's address, in hexadecimal with 0x.
    pub lock: String,
    /// The class, where the lock is a member of one of the task's own structures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// All that a CPU's table had no place for; nothing else is known of them but their flags.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// Who waited.
    pub waiter: Task,
    /// Its cgroup's path, or id where no path is known.
    pub cgroup: String,
    /// Who had the lock when the waits began, where that was to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Waits with a length.
    pub waits: u64,
    /// Their time.
    pub waited_ns: u64,
    /// The longest since the probes were attached.
    pub longest_ns: u64,
    /// Waits beside these of which a sample was taken, and whose lengths are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u32>,
}

/// What owners of locks did when others came to wait, or while they waited.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct OwnerSample {
    /// The lock's address, in hexadecimal with 0x.
    pub lock: String,
    /// The tracepoint's LCB_F_ flags of who waited.
    pub flags: u32,
    /// How it was seen.
    #[serde(default)]
    pub by: SampledBy,
    /// By a program: the lock was read, so that this is one of those that had read it: a hint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reader_hint: bool,
    /// Who had the lock: when the wait began, by a program; when the youngest of the waits had begun, by /proc.
    pub owner: Task,
    /// The letter for its state: `R` runs or is ready to, `D` and `S` sleep (proc_pid_stat(5)).
    pub state: char,
    /// Its call stack, where it slept and stacks can be read: the innermost frame first, as `symbol+0xoffset`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
    /// How often it was seen like that.
    pub seen: u64,
}

/// A task.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Task {
    /// The thread.
    pub pid: u32,
    /// The process.
    pub tgid: u32,
    /// The thread's name; empty where it is not known.
    pub comm: String,
    /// The process's name, where it is another and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// The owner of a lock, as it was when others came to wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Owner {
    /// Who it was.
    #[serde(flatten)]
    pub task: Task,
    /// Waits that found it on a CPU.
    pub on_cpu: u32,
    /// Waits that found it ready, waiting for a CPU.
    pub runnable: u32,
    /// Waits that found it asleep.
    pub asleep: u32,
    /// Waits that found the lock read, so that this is one of those that had read it: a hint.
    #[serde(default)]
    pub reader_hints: u32,
    /// The CPU on which it was seen last.
    pub cpu: u32,
}
