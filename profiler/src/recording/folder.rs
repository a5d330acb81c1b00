//! The folders that are written to.
//!
//! What another user may change is never followed as root: in a folder of theirs, a link in the place of a file
//! or folder would have root overwrite, or give away, whatever it leads to. So a folder is walked to by
//! descriptors, from one folder into the next, and a file is made anew and then takes the name of the old one.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
    process::geteuid,
};

use super::{Claim, caller};

/// Links that are followed on the way to a folder: as many as the kernel follows (MAXSYMLINKS, linux/namei.h).
const LINKS: usize = 40;
/// A folder, or whatever has the name, without following a link.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For all whom the umask does not exclude.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
/// The same.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);

/// A folder that is written to: held open, so that whatever its path leads to later, this is it.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
    /// The folders that were made on the way: the one that each is in, and its name there.
    made: Vec<(OwnedFd, OsString)>,
}

impl Folder {
    /// Opens a folder, and makes it with its parents where it does not exist, for the user who called sudo. One
    /// that exists already keeps its owner.
    ///
    /// # Errors
    /// It cannot be made or opened; or this is root, and the way leads over a symbolic link that another user
    /// can change.
    pub fn make(path: &Path) -> io::Result<Self> {
        Walk::to(path, true)
    }

    /// Opens a folder that exists.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Walk::to(path, false)
    }

    /// Makes a folder that does not exist yet, in one that does.
    ///
    /// # Errors
    /// As [`Folder::make`]; or something has the name: [`io::ErrorKind::AlreadyExists`].
    pub fn make_new(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::AlreadyExists)?;
        let parent = Self::open(path.parent().unwrap_or(Path::new("")))?;
        rustix::fs::mkdirat(&parent.descriptor, name, FOLDER_MODE)?;
        let made = rustix::fs::openat(&parent.descriptor, name, PLACE, Mode::empty())?;
        caller::give(&made, path);
        Ok(Self {
            descriptor: made,
            path: path.to_owned(),
            made: vec![(parent.descriptor, name.to_owned())],
        })
    }

    /// Takes it for one run.
    ///
    /// # Errors
    /// Another run has it.
    pub fn claim(&self) -> io::Result<Claim> {
        Claim::of(&self.descriptor)
    }

    /// Its path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file for the user who called sudo, and opens it for reading and writing. What had this name
    /// before is removed, and not written to.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        self.remove(name)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.descriptor, name, flags, FILE_MODE)?;
        caller::give(&file, &self.path.join(name));
        Ok(file.into())
    }

    /// Removes a file, where it is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file, where it is there and no link, which somebody has placed.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_plain(&self, name: &OsStr) -> io::Result<()> {
        let stat = rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::RegularFile) => self.remove(name),
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file another name, in the place of what has it.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        rustix::fs::renameat(&self.descriptor, from, &self.descriptor, to)?;
        Ok(())
    }

    /// Removes the folders that were made for this one, as far as nothing is in them.
    pub fn unmake(&mut self) {
        while let Some((parent, name)) = self.made.pop() {
            // Somebody may have put something there.
            let _kept = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }

    /// Writes a file that has its name only when it is whole.
    fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut partial = name.to_owned();
        partial.push(".partial");
        let written = self
            .create(&partial)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| self.rename(&partial, name));
        written.inspect_err(|_error| {
            // The first error is the one to tell.
            let _left = self.remove(&partial);
        })
    }

    /// Writes to what is there, and no file: a device, a pipe.
    fn write_to(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())?;
        File::from(opened).write_all(bytes)
    }
}

/// Writes a file for the user who called sudo. A file has its name only when it is whole; a device and a pipe
/// are written to.
///
/// # Errors
/// It cannot be written; or this is root, and it is a symbolic link that another user can change.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let folder = Folder::open(path.parent().unwrap_or(Path::new("")))?;
    let stat = match rustix::fs::statat(&folder.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(stat),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(error.into()),
    };
    match stat.map(|stat| (FileType::from_raw_mode(stat.st_mode), stat)) {
        None | Some((FileType::RegularFile, _)) => folder.replace(name, bytes),
        Some((FileType::Directory, _)) => Err(io::ErrorKind::IsADirectory.into()),
        Some((FileType::Symlink, link)) => {
            may_follow(&rustix::fs::fstat(&folder.descriptor)?, &link, path)?;
            std::fs::write(path, bytes)
        }
        Some(_) => folder.write_to(name, bytes),
    }
}

/// A walk to a folder.
struct Walk {
    here: OwnedFd,
    /// What `here` is called.
    path: PathBuf,
    left: VecDeque<OsString>,
    links: usize,
    made: Vec<(OwnedFd, OsString)>,
}

impl Walk {
    fn to(path: &Path, make: bool) -> io::Result<Folder> {
        let mut walk = Self {
            // Where one is may be a folder that one may not look into.
            here: place(if path.is_absolute() { "/" } else { "." })?,
            path: PathBuf::new(),
            left: VecDeque::new(),
            links: 0,
            made: Vec::new(),
        };
        let walked = walk.turn_to(path).and_then(|()| walk.steps(make));
        let mut folder = Folder {
            descriptor: walk.here,
            path: path.to_owned(),
            made: walk.made,
        };
        match walked {
            Ok(()) => Ok(folder),
            Err(error) => {
                folder.unmake();
                Err(error)
            }
        }
    }

    fn steps(&mut self, make: bool) -> io::Result<()> {
        while let Some(name) = self.left.pop_front() {
            self.step(&name, make)?;
        }
        Ok(())
    }

    /// Goes on with a path, before what is left.
    fn turn_to(&mut self, path: &Path) -> io::Result<()> {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsString::from("..")),
                Component::RootDir => {
                    self.here = place("/")?;
                    self.path = PathBuf::from("/");
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, name: &OsStr, make: bool) -> io::Result<()> {
        let path = self.path.join(name);
        let next = match rustix::fs::openat(&self.here, name, PLACE, Mode::empty()) {
            Err(Errno::NOENT) if make => self.make(name, &path)?,
            other => other?,
        };
        let stat = rustix::fs::fstat(&next)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                self.here = next;
                self.path = path;
                Ok(())
            }
            FileType::Symlink => {
                self.links += 1;
                if self.links > LINKS {
                    return Err(Errno::LOOP.into());
                }
                may_follow(&rustix::fs::fstat(&self.here)?, &stat, &path)?;
                // Of the link itself, which nobody can have changed since it was looked at.
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                self.turn_to(Path::new(&OsString::from_vec(target.into_bytes())))
            }
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn make(&mut self, name: &OsStr, path: &Path) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(&self.here, name, FOLDER_MODE) {
            Ok(()) => {
                let parent = self.here.as_fd().try_clone_to_owned()?;
                self.made.push((parent, name.to_owned()));
                let made = rustix::fs::openat(&self.here, name, PLACE, Mode::empty())?;
                caller::give(&made, path);
                Ok(made)
            }
            // Somebody was faster.
            Err(Errno::EXIST) => Ok(rustix::fs::openat(&self.here, name, PLACE, Mode::empty())?),
            Err(error) => Err(error.into()),
        }
    }
}

fn place(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Refuses to follow a link as root where another user could have placed it. Whom it is refused to otherwise
/// the kernel knows.
fn may_follow(folder: &Stat, link: &Stat, path: &Path) -> io::Result<()> {
    let others = [folder.st_uid, link.st_uid]
        .into_iter()
        .find(|uid| *uid != 0);
    match others {
        Some(user) if geteuid().is_root() => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is a symbolic link that user {user} can change, and root follows no such link; name what it \
                 leads to",
                path.display()
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, lchown, symlink},
    };

    use super::*;

    /// A user who is not root.
    const OTHER: u32 = 12345;

    fn is_root(test: &str) -> bool {
        let is_root = geteuid().is_root();
        if !is_root {
            println!("SKIPPED {test}: not root");
        }
        is_root
    }

    #[test]
    fn a_folder_is_made_with_its_parents_and_unmade() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("a/./b/../b/c");
        let mut folder = Folder::make(&path).unwrap();
        assert!(outside.path().join("a/b/c").is_dir());
        // What is not empty stays.
        fs::write(outside.path().join("a/file"), "").unwrap();
        folder.unmake();
        assert!(outside.path().join("a").is_dir());
        assert!(!outside.path().join("a/b").exists());
        let mut folder = Folder::make(outside.path()).unwrap();
        folder.unmake();
        assert!(outside.path().is_dir());
    }

    #[test]
    fn a_new_folder_is_one_that_nobody_has() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("run");
        let mut folder = Folder::make_new(&path).unwrap();
        let kind = |result: io::Result<Folder>| result.unwrap_err().kind();
        assert_eq!(kind(Folder::make_new(&path)), io::ErrorKind::AlreadyExists);
        assert_eq!(
            kind(Folder::make_new(&outside.path().join("none/run"))),
            io::ErrorKind::NotFound
        );
        folder.unmake();
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_is_of_one_run_at_a_time() {
        let outside = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| Folder::make(outside.path()).unwrap());
        let claim = first.claim().unwrap();
        let refused = second.claim().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(claim);
        second.claim().unwrap();
    }

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("page.html");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        let full = write_file(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        write_file(Path::new("/dev/null"), b"x").unwrap();
        for (path, kind) in [
            (outside.path().to_owned(), io::ErrorKind::IsADirectory),
            (path.join("x"), io::ErrorKind::NotADirectory),
            (outside.path().join("none/x"), io::ErrorKind::NotFound),
        ] {
            let error = write_file(&path, b"x").unwrap_err();
            assert_eq!(error.kind(), kind, "{}", path.display());
        }
    }

    #[test]
    fn own_links_are_followed() {
        let outside = tempfile::tempdir().unwrap();
        let real = outside.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink("real", outside.path().join("link")).unwrap();
        symlink("loop", outside.path().join("loop")).unwrap();
        write_file(&outside.path().join("link/file"), b"x").unwrap();
        assert!(real.join("file").is_file());
        let error = Folder::open(&outside.path().join("loop")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    /// The links of another user lead root nowhere: not in the place of a folder, not in that of a file; and a
    /// file with a second name elsewhere is not written to.
    #[test]
    fn root_follows_no_link_of_another_user() {
        if !is_root("root_follows_no_link_of_another_user") {
            return;
        }
        let outside = tempfile::tempdir().unwrap();
        let theirs = outside.path().join("theirs");
        let precious = outside.path().join("precious");
        fs::create_dir(&theirs).unwrap();
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "old").unwrap();
        for (target, name) in [("../precious", "folder"), ("../precious/file", "page.html")] {
            symlink(target, theirs.join(name)).unwrap();
            lchown(theirs.join(name), Some(OTHER), Some(OTHER)).unwrap();
        }
        fs::hard_link(precious.join("file"), theirs.join("hard")).unwrap();
        lchown(&theirs, Some(OTHER), Some(OTHER)).unwrap();

        let path = theirs.join("folder/made");
        let error = Folder::make(&path).unwrap_err().to_string();
        assert!(
            error.contains("is a symbolic link that user 12345 can change"),
            "{error}"
        );
        let error = write_file(&theirs.join("page.html"), b"new").unwrap_err();
        assert!(
            error.to_string().contains("name what it leads to"),
            "{error}"
        );
        write_file(&theirs.join("hard"), b"new").unwrap();
        let folder = Folder::open(&theirs).unwrap();
        folder.create(OsStr::new("page.html")).unwrap();
        assert!(
            theirs
                .join("page.html")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
        assert_eq!(fs::read(precious.join("file")).unwrap(), b"old");
        assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);
        assert_eq!(fs::metadata(&precious).unwrap().uid(), 0);
    }
}
