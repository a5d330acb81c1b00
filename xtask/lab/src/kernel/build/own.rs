//! The project's own kernels: one without patches for each source, and one for each of xtask/lab/patches.

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Its name, and that of its patch.
    pub name: &'static str,
    /// The series of Debian's source that it is built from.
    pub series: &'static str,
    /// The text of its patch.
    pub patch: Option<&'static str>,
}

/// The kernel without any patch.
pub const BASE: &str = "base";
/// The patch that started this project, in its second version.
pub const DEFERRED: &str = "defer-randomness-and-pids";
/// What `cargo xtask test` builds where it is not in the cache, by one tree: the second takes what the patch touches.
/// Tests of the others are skipped by name unless somebody has built them.
pub const BUILT_BY_TESTS: [&str; 2] = [BASE, DEFERRED];

/// All of them.
pub const ALL: [Own; 7] = [
    Own {
        name: BASE,
        series: "6.12",
        patch: None,
    },
    Own {
        name: "defer-randomness",
        series: "6.12",
        patch: Some(include_str!("../../../patches/defer-randomness.patch")),
    },
    Own {
        name: DEFERRED,
        series: "6.12",
        patch: Some(include_str!(
            "../../../patches/defer-randomness-and-pids.patch"
        )),
    },
    Own {
        name: "defer-more",
        series: "6.12",
        patch: Some(include_str!("../../../patches/defer-more.patch")),
    },
    Own {
        name: "allocate-cgroup-early",
        series: "6.12",
        patch: Some(include_str!("../../../patches/allocate-cgroup-early.patch")),
    },
    Own {
        name: "base-7.3",
        series: "7.3",
        patch: None,
    },
    Own {
        name: "defer-more-7.3",
        series: "7.3",
        patch: Some(include_str!("../../../patches/defer-more-7.3.patch")),
    },
];

/// The one with a name.
pub fn find(name: &str) -> Option<&'static Own> {
    ALL.iter().find(|own| own.name == name)
}
