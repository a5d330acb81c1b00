//! Where a kernel built with PREEMPT_DYNAMIC lets tasks be switched while they run in the kernel.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use serde::Serialize;

/// Where a task that runs in the kernel may be switched out (kernel/sched/core.c, `preempt_dynamic_mode`,
/// 6.1 to 7.3). It may change while the kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PreemptionMode {
    /// Nowhere but where it sleeps.
    None,
    /// Where it says that it may be.
    Voluntary,
    /// Wherever it does not forbid it: also when it gives back a lock.
    Full,
    /// As in full, for real-time tasks and for who has used up a tick (6.13).
    Lazy,
}

impl PreemptionMode {
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "voluntary" => Self::Voluntary,
            "full" => Self::Full,
            "lazy" => Self::Lazy,
            _ => return None,
        })
    }

    /// The word for it, as the kernel takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Voluntary => "voluntary",
            Self::Full => "full",
            Self::Lazy => "lazy",
        }
    }

    /// The running kernel's; `None` where it does not tell: it has only one, or debugfs and the log cannot
    /// be read.
    pub(super) fn read() -> Option<Self> {
        let now = from_debugfs().as_deref().and_then(of_debugfs);
        now.or_else(|| of_log(&log()?))
    }
}

/// `none voluntary (full) lazy`: the one in parentheses is in force.
fn of_debugfs(text: &str) -> Option<PreemptionMode> {
    let (_, rest) = text.split_once('(')?;
    PreemptionMode::of_word(rest.split_once(')')?.0)
}

/// The last line that says so: `Dynamic Preempt: voluntary` when the kernel starts, and `Dynamic Preempt:
/// switched to voluntary mode` or the like when it is changed.
fn of_log(log: &str) -> Option<PreemptionMode> {
    log.lines()
        .filter_map(|line| line.split_once("Dynamic Preempt: ").map(|(_, said)| said))
        .filter_map(|said| said.split_whitespace().find_map(PreemptionMode::of_word))
        .next_back()
}

/// The kernel's log, as far as it is kept.
fn log() -> Option<String> {
    const READ_ALL: i32 = 3;
    let mut bytes = vec![0_u8; 1 << 20];
    let length = i32::try_from(bytes.len()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes into the buffer, which has that many.
    let read = unsafe { libc::klogctl(READ_ALL, bytes.as_mut_ptr().cast(), length) };
    bytes.truncate(usize::try_from(read).ok()?);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// /sys/kernel/debug/sched/preempt, wherever debugfs is: where it is not mounted, in a mount that no path
/// leads to and that ends with its descriptor (fsmount(2), v5.2).
fn from_debugfs() -> Option<String> {
    if let Ok(text) = fs::read_to_string("/sys/kernel/debug/sched/preempt") {
        return Some(text);
    }
    let mount = mount_of(c"debugfs")?;
    let path = CString::new("sched/preempt").ok()?;
    // SAFETY: the path is a string that lives for the call.
    let file = unsafe { libc::openat(mount.as_raw_fd(), path.as_ptr(), libc::O_RDONLY) };
    let mut text = String::new();
    fs::File::from(owned(file.into())?)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// A mount of a file system without a device that no path leads to.
fn mount_of(file_system: &CStr) -> Option<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_long = 1;
    const FSMOUNT_CLOEXEC: libc::c_long = 1;
    const FSCONFIG_CMD_CREATE: libc::c_long = 6;
    // SAFETY: the name is a string that lives for the call; the other arguments are numbers, and null
    // where this command takes nothing.
    unsafe {
        let context = owned(libc::syscall(
            libc::SYS_fsopen,
            file_system.as_ptr(),
            FSOPEN_CLOEXEC,
        ))?;
        let created = libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            ptr::null::<u8>(),
            ptr::null::<u8>(),
            0,
        );
        if created != 0 {
            return None;
        }
        owned(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            0,
        ))
    }
}

/// The descriptor that a system call has made.
fn owned(answer: libc::c_long) -> Option<OwnedFd> {
    let descriptor = i32::try_from(answer).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the call made this descriptor, and nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_force_is_in_parentheses() {
        let text = "none voluntary (full)\n";
        assert_eq!(of_debugfs(text), Some(PreemptionMode::Full));
        assert_eq!(of_debugfs("full (lazy)"), Some(PreemptionMode::Lazy));
        assert_eq!(of_debugfs("(undefined)"), None);
        assert_eq!(of_debugfs(""), None);
    }

    #[test]
    fn the_last_word_of_the_log_counts() {
        let log = "[0.0] Dynamic Preempt: voluntary\n[1.0] x\n[9.9] Dynamic Preempt: full\n";
        assert_eq!(of_log(log), Some(PreemptionMode::Full));
        assert_eq!(
            of_log("[0.0] Dynamic Preempt: voluntary"),
            Some(PreemptionMode::Voluntary)
        );
        assert_eq!(of_log("[0.0] Linux version 6.12"), None);
    }
}
