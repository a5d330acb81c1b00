//! Which load is which workload.

use crate::{
    Workload, barethread, cgroup, create, filelock, forkexit, hostname, load::Load, mincore,
    mkcgroup, mmap, nullhold, pipe, rename, signalgroup, threadspawn, uname,
};

/// The load of a workload.
pub(crate) fn load_of(workload: Workload) -> Load {
    match workload {
        Workload::Threadspawn => threadspawn::load(),
        Workload::Barethread => barethread::load(),
        Workload::Forkexit => forkexit::load(),
        Workload::Nullhold => nullhold::load(),
        Workload::Signalgroup => signalgroup::load(),
        Workload::Mmap => mmap::load(),
        Workload::Mincore => mincore::load(),
        Workload::Create => create::load(),
        Workload::Rename => rename::load(),
        Workload::Cgroup => cgroup::load(),
        Workload::Mkcgroup => mkcgroup::load(),
        Workload::Pipe => pipe::load(),
        Workload::Filelock => filelock::load(),
        Workload::Hostname => hostname::load(),
        Workload::Uname => uname::load(),
    }
}
