//! What is asked of a guest: its machine, its files, and its script.

use std::path::PathBuf;
use std::time::Duration;

use super::clock::Clock;
use super::initramfs::GuestFile;
use super::protocol::GuestScript;

/// What of a guest is shown while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// The steps' standard output and standard error, on our own.
    pub steps: bool,
    /// The kernel's console, on our standard error.
    pub console: bool,
}

/// A boot.
#[derive(Clone, Debug)]
pub struct VmRequest {
    /// A bzImage.
    pub kernel: PathBuf,
    /// The guest's init.
    pub init: PathBuf,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB; `None` is 1 GiB, and more from nine CPUs on.
    pub memory_mib: Option<u32>,
    /// What a guest's nanosecond is.
    pub clock: Clock,
    /// More arguments for the kernel.
    pub append: Vec<String>,
    /// More properties of its CPUs, `NAME=VALUE,…`.
    pub cpu_properties: Option<String>,
    /// A plugin of QEMU's and its arguments, `FILE,NAME=VALUE,…`.
    pub plugin: Option<String>,
    /// Files for the guest, beside init: lockprof at /bin/lockprof, for one.
    pub files: Vec<GuestFile>,
    /// What the guest does.
    pub script: GuestScript,
    /// For the whole run; `None` is made from the steps' own durations.
    pub timeout: Option<Duration>,
    /// What is shown meanwhile.
    pub show: Show,
}

impl VmRequest {
    /// Two CPUs, wall clock, and no file but init.
    pub fn new(kernel: PathBuf, init: PathBuf, script: GuestScript) -> Self {
        Self {
            kernel,
            init,
            cpus: 2,
            memory_mib: None,
            clock: Clock::Wall,
            append: Vec::new(),
            cpu_properties: None,
            plugin: None,
            files: Vec::new(),
            script,
            timeout: None,
            show: Show::default(),
        }
    }
}
