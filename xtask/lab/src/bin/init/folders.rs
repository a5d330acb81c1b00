//! Loads for the i_rwsem of a folder, which user space can hold up: by a memory page that is missing (userfaultfd(2)).
//! A folder's lock has no symbol, so that what follows it has to be told the address.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// `learn FOLDER FILE`: makes and removes a folder in that one until something has written an address to the file.
pub const LEARN: &str = "learn";
/// `with-address FILE PROGRAM…`: executes a program whose words have the address that a file has, in the place of
/// [`ADDRESS`].
pub const WITH_ADDRESS: &str = "with-address";
/// `folder-holds FOLDER TASKS TIMES`: takes the folder's lock so often in each of so many threads, 5 times to write and 3
/// times to read.
pub const HOLDS: &str = "folder-holds";
/// `killed-readers FOLDER TIMES`: so often a reader of the folder is killed that waits for its lock. Each time one other
/// reads it, and the lock is taken twice to write.
pub const KILLED: &str = "killed-readers";
/// `list FOLDER`: reads it.
const LIST: &str = "list";

const ADDRESS: &str = "ADDRESS";
/// The name of the folder that is made in the one whose address is asked for.
const LEARNED: &str = "learned";
const PAGE: usize = 4096;
/// How long to sleep before what another task does is looked at again.
pub const AGAIN: Duration = Duration::from_millis(2);

/// One of these loads by its words; `None` where it is none.
pub fn run(words: &[&str]) -> Option<Result<()>> {
    match *words {
        [LEARN, folder, file] => Some(learn(Path::new(folder), Path::new(file))),
        [WITH_ADDRESS, file, ref program @ ..] => Some(execute(Path::new(file), program)),
        [HOLDS, folder, tasks, times] => Some(hold(Path::new(folder), tasks, times)),
        [KILLED, folder, times] => Some(kill_readers(Path::new(folder), times)),
        [LIST, folder] => Some(list(Path::new(folder), &mut [0; PAGE]).map(|_| ())),
        _ => None,
    }
}

fn learn(folder: &Path, file: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let inner = folder.join(LEARNED);
    while address(file).is_none() {
        make_and_remove(&inner)?;
        thread::sleep(AGAIN);
    }
    Ok(())
}

fn make_and_remove(folder: &Path) -> Result<()> {
    let made = fs::create_dir(folder).and_then(|()| fs::remove_dir(folder));
    made.with_context(|| format!("cannot make and remove {}", folder.display()))
}

/// The first line of a file that is an address.
pub fn address(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let whole = text.rsplit_once('\n')?.0;
    let mut lines = whole.lines();
    lines.find(|line| line.starts_with("0x")).map(str::to_owned)
}

fn execute(file: &Path, program: &[&str]) -> Result<()> {
    let address = address(file);
    let address = address.with_context(|| format!("{} has no address", file.display()))?;
    let words = program.iter().map(|word| word.replace(ADDRESS, &address));
    let words: Vec<String> = words.collect();
    let (name, arguments) = words.split_first().context("no program")?;
    Err(Command::new(name).args(arguments).exec()).with_context(|| format!("cannot execute {name}"))
}

fn hold(folder: &Path, tasks: &str, times: &str) -> Result<()> {
    let tasks: u32 = tasks.parse().context("the number of threads is none")?;
    let times: u32 = times.parse().context("how often is no number")?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks)
            .map(|task| scope.spawn(move || (0..times).try_for_each(|_| hold_once(folder, task))))
            .collect();
        for thread in threads {
            thread.join().ok().context("a thread has panicked")??;
        }
        Ok(())
    })
}

/// `open_last_lookups()`, `lock_rename()`, `do_unlinkat()`, `do_mkdirat()` and `do_rmdir()` of fs/namei.c take the lock to
/// write, once each; `lookup_slow()` for a name that is not there takes it to read, and `iterate_dir()` of fs/readdir.c once
/// a call of getdents64(2) (6.1 to 7.3).
fn hold_once(folder: &Path, task: u32) -> Result<()> {
    let [file, renamed, inner] =
        ["file", "renamed", "inner"].map(|name| folder.join(format!("{name}-{task}")));
    let done = File::create_new(&file)
        .and_then(|_file| fs::rename(&file, &renamed))
        .and_then(|()| fs::remove_file(&renamed));
    done.with_context(|| format!("cannot make, rename and remove {}", file.display()))?;
    make_and_remove(&inner)?;
    if fs::exists(&inner).context("cannot ask for a folder")? {
        bail!("{} is still there", inner.display());
    }
    let mut buffer = [0; PAGE];
    let entries = list(folder, &mut buffer)?;
    if entries == 0 {
        bail!("{} is read as empty", folder.display());
    }
    Ok(())
}

/// Reads a folder until nothing comes; the bytes of what came. A folder of few names comes by one call.
fn list(folder: &Path, buffer: &mut [u8; PAGE]) -> Result<usize> {
    let opened = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    let mut all = 0;
    loop {
        // SAFETY: the buffer has that length.
        let read = unsafe { getdents(&opened, buffer.as_mut_ptr(), buffer.len()) };
        match read.with_context(|| format!("cannot read {}", folder.display()))? {
            0 => return Ok(all),
            bytes => all += bytes,
        }
    }
}

/// One call; how many bytes it has given.
///
/// # Safety
/// There must be so many bytes to write to, or memory whose pages are missing.
unsafe fn getdents(folder: &File, buffer: *mut u8, length: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    let read = unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer, length) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

fn kill_readers(folder: &Path, times: &str) -> Result<()> {
    let times: u32 = times.parse().context("how often is no number")?;
    (0..times).try_for_each(|_| kill_one(folder))
}

/// A reader has the lock, for the memory to which it reads is missing; behind it waits a writer, and behind that the reader
/// that is killed.
fn kill_one(folder: &Path) -> Result<()> {
    let missing = Missing::new().context("cannot make memory whose page is missing")?;
    let inner = folder.join("inner");
    let opened = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    thread::scope(|scope| {
        // SAFETY: the page is that long, and comes when it is given.
        let reader = scope.spawn(|| unsafe { getdents(&opened, missing.page(), PAGE) });
        let killed = missing.wait().and_then(|()| {
            let writer = scope.spawn(|| make_and_remove(&inner));
            let killed = kill_behind_a_writer(folder);
            missing.give()?;
            writer.join().ok().context("the writer has panicked")??;
            killed
        });
        // Whatever has failed, the reader must end.
        let _ = missing.give();
        reader.join().ok().context("the reader has panicked")??;
        killed
    })
}

fn kill_behind_a_writer(folder: &Path) -> Result<()> {
    wait_until_one_sleeps_in(Path::new("/proc/self/task"), libc::SYS_mkdir)?;
    let mut reader = Command::new("/init").arg(LIST).arg(folder).spawn()?;
    let tasks = format!("/proc/{}/task", reader.id());
    wait_until_one_sleeps_in(Path::new(&tasks), libc::SYS_getdents64)?;
    reader.kill().context("cannot kill the reader")?;
    let status = reader.wait().context("cannot wait for the reader")?;
    if status.signal() != Some(libc::SIGKILL) {
        bail!("the reader that was killed has ended with {status}");
    }
    Ok(())
}

/// Waits until one of these tasks sleeps in a system call, for which there is nothing to wait in it but the folder's lock.
fn wait_until_one_sleeps_in(tasks: &Path, call: libc::c_long) -> Result<()> {
    // The kernel says `running` of one that does not sleep.
    let start = format!("{call} ");
    loop {
        let all =
            fs::read_dir(tasks).with_context(|| format!("cannot read {}", tasks.display()))?;
        for task in all.flatten() {
            let now = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            if now.starts_with(&start) {
                return Ok(());
            }
        }
        thread::sleep(AGAIN);
    }
}

/// A page that whoever touches it waits for.
struct Missing {
    faults: File,
    page: usize,
}

// include/uapi/linux/userfaultfd.h, 4.3 to 7.3.
const UFFD_API: u64 = 0xaa;
const UFFDIO_API: libc::Ioctl = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00;
const UFFDIO_ZEROPAGE: libc::Ioctl = 0xc020_aa04;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
/// Of a `struct uffd_msg`.
const MESSAGE: usize = 32;

impl Missing {
    fn new() -> Result<Self> {
        // SAFETY: the call takes no pointer.
        let faults = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        let faults = i32::try_from(faults)?;
        if faults < 0 {
            return Err(io::Error::last_os_error()).context("userfaultfd");
        }
        // SAFETY: the descriptor was made here.
        let faults = unsafe { File::from_raw_fd(faults) };
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mmap");
        }
        let missing = Self {
            faults,
            page: page as usize,
        };
        missing.ask(UFFDIO_API, [UFFD_API, 0, 0])?;
        let range = [missing.page as u64, PAGE as u64];
        missing.ask(
            UFFDIO_REGISTER,
            [range[0], range[1], UFFDIO_REGISTER_MODE_MISSING, 0],
        )?;
        Ok(missing)
    }

    fn page(&self) -> *mut u8 {
        self.page as *mut u8
    }

    fn ask<const WORDS: usize>(&self, what: libc::Ioctl, mut words: [u64; WORDS]) -> Result<()> {
        // SAFETY: the structures of these requests are as many words, which the kernel reads and writes.
        match unsafe { libc::ioctl(self.faults.as_raw_fd(), what, &raw mut words) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()).context("an ioctl of userfaultfd"),
        }
    }

    /// Waits until somebody waits for the page.
    fn wait(&self) -> Result<()> {
        let mut message = [0; MESSAGE];
        (&self.faults).read_exact(&mut message)?;
        Ok(())
    }

    /// Gives it, to who waits and to all who come.
    fn give(&self) -> Result<()> {
        self.ask(UFFDIO_ZEROPAGE, [self.page as u64, PAGE as u64, 0, 0])
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        // SAFETY: the mapping is of that length, and nothing refers to it any more.
        unsafe { libc::munmap(self.page as *mut libc::c_void, PAGE) };
    }
}
