//! The kinds of locks that are measured.

/// A kind, by a lock of it that has a symbol, and loads that take it and others.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the results.
    pub name: &'static str,
    /// The lock's symbol.
    pub lock: &'static str,
    /// As lockprof is asked for it.
    pub asked: &'static str,
    /// What takes it.
    pub takes: &'static str,
    /// Where it goes on when the lock is not free, by one name or another of the compiler's.
    pub slow: &'static [&'static str],
    /// What gives it back.
    pub gives_back: &'static str,
    /// What both call the lock.
    pub parameter: &'static str,
    /// Whether who takes it reads, so that several have it at once, and nobody waits.
    pub reads: bool,
    /// The load that takes it once an iteration, and how many others of its kind.
    pub load: (&'static str, u32),
    /// The load that takes others alone, and how many.
    pub load_of_others: (&'static str, u32),
}

/// All kinds.
pub const KINDS: [Kind; 3] = [
    // A write to a file of a cgroup takes the mutex of the open file around cgroup_mutex (kernfs_fop_write_iter() of
    // fs/kernfs/file.c, 6.1 to 7.3).
    Kind {
        name: "mutex",
        lock: "cgroup_mutex",
        asked: "cgroup_mutex",
        takes: "mutex_lock",
        slow: &["__mutex_lock.constprop.0", "__mutex_lock"],
        gives_back: "mutex_unlock",
        parameter: "lock",
        reads: false,
        load: ("cgroup", 1),
        load_of_others: ("pipe", 2),
    },
    // A file that is made and removed takes that of the folder twice, and its own.
    Kind {
        name: "rwsem to write",
        lock: "uts_sem",
        asked: "uts_sem:rwsem",
        takes: "down_write",
        slow: &["rwsem_down_write_slowpath"],
        gives_back: "up_write",
        parameter: "sem",
        reads: false,
        load: ("hostname", 0),
        load_of_others: ("create", 3),
    },
    Kind {
        name: "rwsem to read",
        lock: "uts_sem",
        asked: "uts_sem:rwsem",
        takes: "down_read",
        slow: &["rwsem_down_read_slowpath"],
        gives_back: "up_read",
        parameter: "sem",
        reads: true,
        load: ("uname", 0),
        load_of_others: ("mincore", 1),
    },
];
