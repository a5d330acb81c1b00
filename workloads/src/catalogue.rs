//! Which load is which workload.

use crate::{Workload, barethread, forkexit, load::Load, mmap, nullhold, signalgroup, threadspawn};

/// The load of a workload.
pub(crate) fn load_of(workload: Workload) -> Load {
    match workload {
        Workload::Threadspawn => threadspawn::load(),
        Workload::Barethread => barethread::load(),
        Workload::Forkexit => forkexit::load(),
        Workload::Nullhold => nullhold::load(),
        Workload::Signalgroup => signalgroup::load(),
        Workload::Mmap => mmap::load(),
    }
}
