//! The limits that make fork and pthread_create fail with EAGAIN.

use std::fs;
use std::path::{Path, PathBuf};

/// Lists the limits with their values, as far as they can be read here.
///
/// The kernel does not say which of them it was, so the reader gets all of them.
pub(crate) fn describe() -> String {
    let mut limits = vec![format!(
        "RLIMIT_NPROC, `ulimit -u`, is {}",
        rlimit_nproc().map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
    )];
    for name in ["threads-max", "pid_max"] {
        let value = read_trimmed(&Path::new("/proc/sys/kernel").join(name));
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        limits.push(format!("kernel.{name} is {value}"));
    }
    if let Some((folder, limit)) = cgroup_pids_max() {
        limits.push(format!("pids.max of {} is {limit}", folder.display()));
    }
    limits.join("; ")
}

fn rlimit_nproc() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is valid for a write of its type for the time of the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// The lowest pids.max among this process's cgroup and its ancestors.
fn cgroup_pids_max() -> Option<(PathBuf, u64)> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))?;
    Path::new("/sys/fs/cgroup")
        .join(path)
        .ancestors()
        .take_while(|folder| folder.starts_with("/sys/fs/cgroup"))
        .filter_map(|folder| {
            let limit = read_trimmed(&folder.join("pids.max"))?.parse().ok()?;
            Some((folder.to_owned(), limit))
        })
        .min_by_key(|(_folder, limit)| *limit)
}

fn read_trimmed(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
