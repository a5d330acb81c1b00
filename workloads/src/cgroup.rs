//! Holds of cgroup_mutex, by a limit that is set to what it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::folder;
use crate::load::{Failure, Load, Operation, Prepared, Takes};

/// The file in the run's own cgroup that is written to.
const LIMIT: &str = "cgroup.max.descendants";

static PATH: Mutex<PathBuf> = Mutex::new(PathBuf::new());

thread_local! {
    /// Each worker opens it for itself: who writes to one that is shared waits for a mutex of that.
    static OPENED: io::Result<File> = File::options()
        .write(true)
        .open(PATH.lock().unwrap_or_else(PoisonError::into_inner).join(LIMIT));
}

pub(crate) fn load() -> Load {
    Load {
        prepare,
        // cgroup_max_descendants_write() of kernel/cgroup/cgroup.c, 6.1 to 7.3, takes it by cgroup_kn_lock_live().
        takes: Some(Takes {
            lock: "cgroup_mutex",
            exclusive: 1,
            shared: 0,
        }),
        ..Load::of("A limit of a cgroup set to what it is", iterate)
    }
}

/// Makes a cgroup, in which nobody is, where the second hierarchy begins.
pub(crate) fn prepare() -> anyhow::Result<Prepared> {
    let mounts =
        fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    });
    let root = root.context("no cgroup2 is mounted, without which this load has no lock")?;
    // A cgroup goes by rmdir alone: its files are the kernel's.
    let path = tempfile::Builder::new()
        .prefix(&folder::own_prefix())
        .disable_cleanup(true)
        .tempdir_in(&root)
        .with_context(|| format!("cannot make a cgroup in {}", root.display()))?
        .keep();
    let made = Cgroup(path.clone());
    *PATH.lock().unwrap_or_else(PoisonError::into_inner) = path;
    Ok(Prepared::of(made))
}

struct Cgroup(PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a cgroup with those in it: its files go with it.
fn remove(path: &Path) {
    for child in fs::read_dir(path).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&child.path());
        }
    }
    // Nobody is left whom it would help to know that it is still there.
    let _ = fs::remove_dir(path);
}

/// Makes a cgroup of its own for the calling worker, by the number of its thread.
pub(crate) fn own_parent() -> io::Result<PathBuf> {
    let root = PATH.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: gettid touches no memory.
    let thread = unsafe { libc::gettid() };
    let own = root.join(thread.to_string());
    fs::create_dir(&own)?;
    Ok(own)
}

fn iterate() -> Result<(), Failure> {
    OPENED.with(|opened| {
        let mut file = opened
            .as_ref()
            .map_err(|error| failure(Operation::Open, error))?;
        file.write_all(b"max")
            .map_err(|error| failure(Operation::Write, &error))
    })
}

pub(crate) fn failure(operation: Operation, error: &io::Error) -> Failure {
    Failure {
        operation,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}
