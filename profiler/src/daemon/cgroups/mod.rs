//! Names of cgroups. A cgroup's id is the number of its node in cgroup2, by which the kernel opens it, and the
//! inode number of its folder there.

mod mounts;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::{DirEntryExt as _, MetadataExt as _},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

/// `FILEID_KERNFS` (include/linux/exportfs.h, v4.14): a handle that is a node's number.
const FILEID_KERNFS: libc::c_int = 0xfe;
/// The number of a hierarchy's root.
const ROOT: u64 = 1;
/// Where a cgroup is that has no path here.
const OUTSIDE: &str = "outside of this cgroup namespace";
/// Folders that one walk visits at most, so that a machine with very many does not stall a refresh.
const MOST_VISITED: usize = 20_000;
/// So many times as long as a walk takes there is none.
const REST: u32 = 100;

/// Paths of cgroups, found when they are first asked for and kept: a cgroup may be gone later.
#[derive(Debug)]
pub struct CgroupPaths {
    known: HashMap<u64, String>,
    hierarchy: Option<Hierarchy>,
    next_walk: Instant,
}

impl CgroupPaths {
    /// Of the hierarchy that this process sees.
    pub fn open() -> Self {
        Self {
            known: HashMap::new(),
            hierarchy: Hierarchy::find(),
            next_walk: Instant::now(),
        }
    }

    /// Whether `/` is the root of a cgroup namespace, and not the machine's.
    pub fn in_namespace(&self) -> bool {
        let root = self.hierarchy.as_ref().map(|hierarchy| hierarchy.root);
        root.is_some_and(|root| root != ROOT)
    }

    /// The path of a cgroup below the root; its id where it is gone, is outside of the namespace, or cannot be found.
    pub fn path(&mut self, id: u64) -> String {
        if let Some(path) = self.known.get(&id) {
            return path.clone();
        }
        let unknown = format!("cgroup {id}");
        let Some(hierarchy) = &self.hierarchy else {
            return unknown;
        };
        let path = if hierarchy.opens_handles {
            match hierarchy.by_handle(id) {
                Ok(path) => path,
                Err(error) if error.raw_os_error() == Some(libc::ESTALE) => gone(id),
                Err(_) => return unknown,
            }
        } else {
            if Instant::now() < self.next_walk {
                return unknown;
            }
            let began = Instant::now();
            let whole = hierarchy.walk(MOST_VISITED, &mut self.known);
            let took = began.elapsed().max(Duration::from_millis(1));
            self.next_walk = Instant::now() + REST * took;
            match self.known.get(&id) {
                Some(path) => path.clone(),
                // Gone, or outside.
                None if whole && hierarchy.root != ROOT => unknown,
                None if whole => gone(id),
                None => return unknown,
            }
        };
        self.known.insert(id, path.clone());
        path
    }
}

fn gone(id: u64) -> String {
    format!("gone: {id}")
}

/// A mount of cgroup2.
#[derive(Debug)]
struct Hierarchy {
    place: PathBuf,
    folder: File,
    /// The id of the cgroup that is `/` here.
    root: u64,
    /// Whether this process may open cgroups by their handles (CAP_DAC_READ_SEARCH).
    opens_handles: bool,
}

impl Hierarchy {
    /// The one with the machine's own root, or else the first.
    fn find() -> Option<Self> {
        let mounts = fs::read("/proc/self/mounts").ok()?;
        let opened = mounts::cgroup2(&mounts).into_iter().filter_map(|place| {
            let folder = File::open(&place).ok()?;
            let root = folder.metadata().ok()?.ino();
            let mut hierarchy = Self {
                place,
                folder,
                root,
                opens_handles: false,
            };
            hierarchy.opens_handles = hierarchy.by_handle(root).is_ok();
            Some(hierarchy)
        });
        let mut found: Vec<Self> = opened.collect();
        let first = found.iter().position(|hierarchy| hierarchy.root == ROOT);
        (!found.is_empty()).then(|| found.swap_remove(first.unwrap_or(0)))
    }

    /// The path of a cgroup, by its handle.
    fn by_handle(&self, id: u64) -> io::Result<String> {
        /// `struct file_handle` (include/linux/fs.h) with a node's number behind it.
        #[repr(C)]
        struct Handle {
            bytes: libc::c_uint,
            kind: libc::c_int,
            id: u64,
        }
        let mut handle = Handle {
            bytes: size_of::<u64>() as libc::c_uint,
            kind: FILEID_KERNFS,
            id,
        };
        // SAFETY: the kernel reads the handle, which is as long as it says; the mount's folder is open.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                self.folder.as_raw_fd(),
                &raw mut handle,
                libc::O_PATH | libc::O_CLOEXEC,
            )
        };
        let descriptor = i32::try_from(opened).map_err(io::Error::other)?;
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call made this descriptor, and nothing else owns it.
        let cgroup = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let folder = fs::read_link(format!("/proc/self/fd/{}", cgroup.as_raw_fd()))?;
        // Whatever lies outside is `/` for the kernel (prepend_path() of fs/d_path.c, 5.8 to 7.2).
        let path = mounts::below(&self.place, &folder);
        Ok(path.unwrap_or_else(|| format!("cgroup {id} ({OUTSIDE})")))
    }

    /// Adds the paths of all cgroups; whether it came to the end of them. What vanishes meanwhile is passed over.
    fn walk(&self, most_visited: usize, paths: &mut HashMap<u64, String>) -> bool {
        paths.insert(self.root, "/".to_owned());
        let mut whole = true;
        let mut folders: Vec<PathBuf> = vec![self.place.clone()];
        let mut visited = 0;
        while let Some(folder) = folders.pop() {
            visited += 1;
            if visited > most_visited {
                return false;
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    whole &= error.kind() == io::ErrorKind::NotFound;
                    continue;
                }
            };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let folder = entry.path();
                if let Some(path) = mounts::below(&self.place, &folder) {
                    paths.insert(entry.ino(), path);
                }
                folders.push(folder);
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree() -> (tempfile::TempDir, Hierarchy) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::create_dir(root.path().join("c")).unwrap();
        fs::write(root.path().join("cgroup.procs"), "").unwrap();
        let folder = File::open(root.path()).unwrap();
        let hierarchy = Hierarchy {
            place: root.path().to_owned(),
            root: folder.metadata().unwrap().ino(),
            opens_handles: false,
            folder,
        };
        (root, hierarchy)
    }

    fn id(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn a_walk_finds_every_folder_and_says_where_it_stopped() {
        let (root, hierarchy) = tree();
        let mut paths = HashMap::new();
        assert!(hierarchy.walk(100, &mut paths));
        for (folder, path) in [("", "/"), ("a", "/a"), ("a/b", "/a/b"), ("c", "/c")] {
            assert_eq!(paths[&id(&root.path().join(folder))], path);
        }
        assert_eq!(paths.len(), 4);
        assert!(!hierarchy.walk(2, &mut HashMap::new()));
    }

    #[test]
    fn what_has_vanished_is_passed_over() {
        let (root, hierarchy) = tree();
        fs::remove_dir_all(root.path()).unwrap();
        let mut paths = HashMap::new();
        assert!(hierarchy.walk(100, &mut paths));
        assert_eq!(paths.into_values().collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn who_is_not_there_after_a_whole_walk_is_gone() {
        let (root, hierarchy) = tree();
        let b = id(&root.path().join("a/b"));
        let mut paths = CgroupPaths {
            known: HashMap::new(),
            hierarchy: Some(hierarchy),
            next_walk: Instant::now(),
        };
        assert!(paths.in_namespace());
        assert_eq!(paths.path(b), "/a/b");
        paths.next_walk = Instant::now();
        // Of a namespace's root nobody sees what is outside.
        let id = u64::MAX - 2;
        assert_eq!(paths.path(id), format!("cgroup {id}"));
        paths.hierarchy.as_mut().unwrap().root = ROOT;
        assert!(!paths.in_namespace());
        paths.next_walk = Instant::now();
        assert_eq!(paths.path(u64::MAX), format!("gone: {}", u64::MAX));
        paths.next_walk = Instant::now() + Duration::from_secs(3600);
        assert_eq!(paths.path(u64::MAX - 1), format!("cgroup {}", u64::MAX - 1));
    }

    #[test]
    fn the_own_cgroup_is_found_where_cgroup2_is_mounted() {
        let mut paths = CgroupPaths::open();
        let Some(hierarchy) = &paths.hierarchy else {
            println!("SKIPPED the_own_cgroup_is_found_where_cgroup2_is_mounted: no cgroup2");
            return;
        };
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .unwrap();
        let folder = hierarchy.place.join(own.trim_start_matches('/'));
        assert_eq!(paths.path(id(&folder)), own);
    }
}
