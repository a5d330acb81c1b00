//! Recorded boots: `base` is Linux 6.12, `deferred` the same with free_pid and add_device_randomness
//! moved out of the hold; by the instruction clock, one CPU. `mkcgroup-base` is Linux 6.12, `mkcgroup-early` the same
//! with the memory of a new cgroup allocated before cgroup_mutex is taken, followed while cgroups are made and removed.

use std::{fs, path::PathBuf, sync::LazyLock};

use lockprof::{
    compare::{Comparison, Side},
    kernel::classify_stack,
    profile::Profile,
    profile_file::read_profile,
};

/// What one boot recorded, one by one.
pub type Boot = Vec<(String, Profile)>;

pub static BASE: LazyLock<Vec<Boot>> = LazyLock::new(|| read("base"));
pub static DEFERRED: LazyLock<Vec<Boot>> = LazyLock::new(|| read("deferred"));
pub static MKCGROUP_BASE: LazyLock<Vec<Boot>> = LazyLock::new(|| read("mkcgroup-base"));
pub static MKCGROUP_EARLY: LazyLock<Vec<Boot>> = LazyLock::new(|| read("mkcgroup-early"));

/// The folder of a kernel's boots.
pub fn folder(kernel: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/boots")
        .join(kernel)
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

fn read(kernel: &str) -> Vec<Boot> {
    let read = |boot: PathBuf| {
        let recordings = files(boot).into_iter();
        recordings
            .map(|path| {
                let profile = read_profile(&path, classify_stack).unwrap();
                (path.display().to_string(), profile)
            })
            .collect()
    };
    files(folder(kernel)).into_iter().map(read).collect()
}

/// A side of these boots.
pub fn side<'a>(name: &str, boots: impl IntoIterator<Item = &'a Boot>) -> Side {
    let mut side = Side::new(name);
    for (origin, profile) in boots.into_iter().flatten() {
        side.add(origin, profile);
    }
    side
}

/// The patched kernel beside the unpatched one, five boots of each with their spans.
pub fn patched() -> Comparison {
    let before = side("base", &BASE[..5]);
    let after = side("deferred", DEFERRED.iter());
    Comparison::of(before, after).unwrap()
}
