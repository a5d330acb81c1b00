//! `perf lock contention -b`: Debian builds perf without the eBPF programs of it, so that it is built here, from
//! Debian's source of the kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use lab::kernel::build::Source;
use lab::vm::initramfs::GuestFile;
use lab::{paths, process};

use super::observer::Observer;
use crate::setup::{self, Purpose};

/// Where a guest has it.
pub const PERF: &str = "/bin/perf";
/// perf attaches without a word; so long it takes at most, with several CPUs by the wall clock.
pub const ATTACHES_IN_MS: u64 = 4000;
/// What perf is built without: it is to be one static program that has eBPF.
const WITHOUT: [&str; 16] = [
    "NO_LIBPYTHON=1",
    "NO_LIBPERL=1",
    "NO_JEVENTS=1",
    "NO_SLANG=1",
    "NO_LIBUNWIND=1",
    "NO_LIBDW_DWARF_UNWIND=1",
    "NO_LIBCRYPTO=1",
    "NO_LIBCAP=1",
    "NO_LIBNUMA=1",
    "NO_LIBBABELTRACE=1",
    "NO_LZMA=1",
    "NO_LIBBFD=1",
    "NO_CAPSTONE=1",
    "NO_LIBPFM4=1",
    "NO_JVMTI=1",
    "NO_LIBDEBUGINFOD=1",
];

/// A static perf.
#[derive(Clone, Debug)]
pub struct Perf {
    program: PathBuf,
    /// The source that it is from.
    pub source: String,
}

/// perf, built or to be built.
#[derive(Clone, Debug)]
pub struct Ready {
    source: Source,
    perf: Perf,
}

impl Ready {
    /// Builds it into the user's cache, unless it is there.
    pub fn build(self) -> Result<Perf> {
        let Self { source, perf } = self;
        if perf.program.is_file() {
            return Ok(perf);
        }
        let folder = perf.program.parent().context("perf is in no folder")?;
        let work = tempfile::Builder::new()
            .prefix(".building-")
            .tempdir_in(folder)
            .with_context(|| format!("cannot make a folder in {}", folder.display()))?;
        let tree = work.path().join("source");
        eprintln!("building perf from {}", perf.source);
        source.unpack(&tree)?;
        make(&tree.join("tools/perf"))?;
        std::fs::rename(tree.join("tools/perf/perf"), &perf.program)
            .context("the build left no perf")?;
        Ok(perf)
    }
}

impl Perf {
    fn of(source: &Source) -> Result<Self> {
        let name = source.identity.replace(['=', '/', ' '], "-");
        let folder = paths::make(paths::cache()?.join("peers").join(format!("perf-{name}")))?;
        Ok(Self {
            program: folder.join("perf"),
            source: source.identity.clone(),
        })
    }

    /// What it takes to build it: source and tools, which are installed where that can be.
    ///
    /// # Errors
    /// Something is missing.
    pub fn ready() -> Result<Ready> {
        let source = Source::find(None)?;
        let perf = Self::of(&source)?;
        if !perf.program.is_file() {
            setup::ensure(Purpose::Peers)?;
        }
        Ok(Ready { source, perf })
    }

    /// The same, and builds it.
    pub fn build() -> Result<Self> {
        Self::ready()?.build()
    }

    /// It as a file of a guest.
    pub fn file(&self) -> GuestFile {
        GuestFile {
            guest: PERF.to_owned(),
            host: self.program.clone(),
        }
    }

    /// It as an observer of all locks that are waited for, by their callers, as it is by default.
    pub fn observer() -> Observer {
        Self::observer_by("perf-lock-contention", None)
    }

    /// The same by what an option says: addresses, waiting tasks, owners.
    pub fn observer_by(name: &str, option: Option<&str>) -> Observer {
        let words = [PERF, "lock", "contention", "-a", "-b"];
        let argv: Vec<&str> = words.into_iter().chain(option).collect();
        let what = format!("perf {}", argv[1..].join(" "));
        Observer::silent(name, &what, &argv, ATTACHES_IN_MS)
    }
}

fn make(folder: &Path) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new("make");
    command
        .current_dir(folder)
        .args([&format!("-j{jobs}"), "perf", "BUILD_BPF_SKEL=1"])
        .args(["WERROR=0", "LDFLAGS=-static"])
        .args(WITHOUT)
        .stdin(Stdio::null());
    let output = process::output_any(&mut command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut errors = said.lines().filter(|line| line.contains("rror"));
        bail!(
            "perf cannot be built: {}",
            errors.next().unwrap_or("make has failed").trim()
        );
    }
    Ok(())
}
