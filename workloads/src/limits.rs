//! The limits that make system calls of the loads fail.

use std::fs;
use std::path::{Path, PathBuf};

/// Lists those that make fork and pthread_create fail with EAGAIN, with their values, as far as
/// they can be read here.
///
/// The kernel does not say which of them it was, so the reader gets all of them.
pub(crate) fn of_tasks() -> String {
    let mut limits = vec![format!(
        "RLIMIT_NPROC, `ulimit -u`, is {}",
        in_words(rlimit(libc::RLIMIT_NPROC))
    )];
    limits.extend(["threads-max", "pid_max"].map(|name| sysctl("kernel", name)));
    if let Some((folder, limit)) = cgroup_pids_max() {
        limits.push(format!("pids.max of {} is {limit}", folder.display()));
    }
    limits.join("; ")
}

/// Lists those that make mmap and munmap fail with ENOMEM, in the same way.
pub(crate) fn of_mappings() -> String {
    let mut limits = vec![format!(
        "RLIMIT_AS, `ulimit -v`, is {}",
        in_words(rlimit(libc::RLIMIT_AS))
    )];
    limits.extend(["max_map_count", "overcommit_memory"].map(|name| sysctl("vm", name)));
    limits.join("; ")
}

fn sysctl(folder: &str, name: &str) -> String {
    let value = read_trimmed(&Path::new("/proc/sys").join(folder).join(name));
    let value = value.unwrap_or_else(|| "unknown".to_owned());
    format!("{folder}.{name} is {value}")
}

fn in_words(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn rlimit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is valid for a write of its type for the time of the call.
    unsafe { libc::getrlimit(resource, &mut limit) };
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
