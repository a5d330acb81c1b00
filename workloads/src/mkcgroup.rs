//! Holds of cgroup_mutex that do something: a cgroup that comes and goes.

use std::fs;
use std::path::PathBuf;

use crate::cgroup;
use crate::load::{Failure, Load, Operation, Takes};

thread_local! {
    /// A cgroup that no other worker has.
    static OWN: PathBuf = cgroup::own_child();
}

pub(crate) fn load() -> Load {
    Load {
        prepare: cgroup::prepare,
        // cgroup_mkdir() and cgroup_rmdir() of kernel/cgroup/cgroup.c, 6.1 to 7.3, by cgroup_kn_lock_live(). A worker of
        // the kernel takes it a third time when nobody has a reference any more: css_release_work_fn().
        takes: Some(Takes {
            lock: "cgroup_mutex",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("A cgroup made and removed", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    OWN.with(|path| {
        fs::create_dir(path).map_err(|error| cgroup::failure(Operation::Mkdir, &error))?;
        fs::remove_dir(path).map_err(|error| cgroup::failure(Operation::Rmdir, &error))
    })
}
