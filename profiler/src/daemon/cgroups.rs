//! Names of cgroups. A cgroup's id is the inode number of its folder in cgroup2.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirEntryExt as _,
    path::{Path, PathBuf},
};

/// Where cgroup2 is mounted, in the order of trying: unified, and hybrid hierarchies.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Folders that one search visits at most, so that a machine with very many does not stall a refresh.
const MOST_VISITED: usize = 20_000;

/// Paths of cgroups, found when they are first asked for and kept: a cgroup may be gone later.
#[derive(Debug, Default)]
pub struct CgroupPaths {
    known: HashMap<u64, String>,
}

impl CgroupPaths {
    /// The path of a cgroup below the root, or its id where it cannot be found.
    pub fn path(&mut self, id: u64) -> String {
        if let Some(path) = self.known.get(&id) {
            return path.clone();
        }
        let path = ROOTS
            .iter()
            .find_map(|root| search(Path::new(root), id))
            .unwrap_or_else(|| format!("cgroup {id}"));
        self.known.insert(id, path.clone());
        path
    }
}

fn search(root: &Path, id: u64) -> Option<String> {
    if inode(root) == Some(id) {
        return Some("/".to_owned());
    }
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    let mut visited = 0;
    while let Some(folder) = folders.pop() {
        visited += 1;
        if visited > MOST_VISITED {
            return None;
        }
        for entry in fs::read_dir(&folder).ok()?.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.ino() == id {
                let path = entry.path();
                let below = path.strip_prefix(root).ok()?;
                return Some(format!("/{}", below.display()));
            }
            folders.push(entry.path());
        }
    }
    None
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(fs::metadata(path).ok()?.ino())
}
