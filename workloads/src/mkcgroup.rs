//! Holds of cgroup_mutex that do something: a cgroup that comes and goes.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::cgroup;
use crate::load::{Failure, Load, Operation, Takes};

thread_local! {
    /// A cgroup in one that no other worker has: in one that all share they would wait for its folder's i_rwsem first.
    static OWN: io::Result<PathBuf> = cgroup::own_parent().map(|parent| parent.join("made-and-removed"));
}

pub(crate) fn load() -> Load {
    Load {
        prepare: cgroup::prepare,
        // cgroup_mkdir() and cgroup_rmdir() of kernel/cgroup/cgroup.c, 6.1 to 7.3, by cgroup_kn_lock_live(). Workers
        // of the kernel take it besides when nobody has a reference any more: css_release_work_fn(), cgroup_bpf_release().
        takes: Some(Takes {
            lock: "cgroup_mutex",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("A cgroup made and removed", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    OWN.with(|own| {
        let path = own
            .as_ref()
            .map_err(|error| cgroup::failure(Operation::Mkdir, error))?;
        fs::create_dir(path).map_err(|error| cgroup::failure(Operation::Mkdir, &error))?;
        fs::remove_dir(path).map_err(|error| cgroup::failure(Operation::Rmdir, &error))
    })
}
