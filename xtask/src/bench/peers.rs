//! The tools that a user has today, from packages of the machine's own Debian, for guests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::apt;
use lab::vm::initramfs::GuestFile;
use lab::vm::{self, Clock, VmRequest};
use lab::{lock, paths, process};

use super::bpftrace::{self, Form};
use super::laboratory::Laboratory;
use super::perf::Perf;
use super::results::first_line;
use super::script::{Script, Settle};
use super::symbols::NO_RANDOM_ADDRESSES;
use crate::guest::Lab;

/// The package, and its program.
const BPFTRACE: &str = "bpftrace";
/// Longer than bpftrace takes to attach and to end.
const TRIAL: Duration = Duration::from_secs(300);
/// The libraries are two hundred megabytes, once in the initramfs and once unpacked.
const MEMORY_MIB: u32 = 2048;
/// The dynamic loader's place, which programs have built in.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// Where the guest's loader looks for libraries.
const LIBRARIES: &str = "/lib/x86_64-linux-gnu";

/// bpftrace with its libraries.
#[derive(Clone, Debug)]
pub struct Peers {
    /// Its package's version.
    pub bpftrace: String,
    tree: PathBuf,
    /// perf, or why there is none.
    pub perf: Result<Perf, String>,
}

impl Peers {
    /// Fetches it into the user's cache, unless it is there.
    pub fn fetch() -> Result<Self> {
        apt::check_programs()?;
        let cache = paths::make(paths::cache()?.join("peers"))?;
        let folder = paths::make(paths::cache()?.join("apt"))?;
        let _lock = lock::take(&folder.join("lock"))?;
        if let Some(cached) = newest(&cache)? {
            return Ok(cached);
        }
        // Of all suites, so that the peer is as good as it gets: older ones crash with their better form.
        let apt = apt::open_others(&folder)?;
        let Some(version) = apt.candidate(BPFTRACE)? else {
            bail!("the mirror that apt is set to has no package {BPFTRACE}");
        };
        let work = tempfile::Builder::new()
            .prefix(".fetching-")
            .tempdir_in(&cache)
            .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
        let packages = apt.with_dependencies(BPFTRACE)?;
        let tree = apt.unpack(packages.into_iter(), work.path())?;
        let destination = cache.join(format!("{BPFTRACE}-{version}"));
        std::fs::rename(&tree, &destination)
            .with_context(|| format!("cannot make {}", destination.display()))?;
        Ok(Self::of(version, destination))
    }

    fn of(bpftrace: String, tree: PathBuf) -> Self {
        Self {
            bpftrace,
            tree,
            perf: Err("it was not built".to_owned()),
        }
    }

    /// The same with perf, which is built unless it is there.
    #[must_use]
    pub fn and_perf(self) -> Self {
        Self {
            perf: Perf::build().map_err(|error| first_line(&error)),
            ..self
        }
    }

    /// Gives a guest everything, and the memory for it.
    pub fn add_to(&self, request: &mut VmRequest) -> Result<()> {
        request.files.extend(self.files()?);
        request
            .files
            .extend(self.perf.as_ref().ok().map(Perf::file));
        request.memory_mib = Some(MEMORY_MIB);
        Ok(())
    }

    /// Whether the script works on a kernel, by a boot; the inner error says why not. A peer that takes the
    /// guest with it is no reason to lose what else is measured.
    pub fn can_trace(
        &self,
        laboratory: &Laboratory,
        lab: &Lab<'_>,
        form: Form,
    ) -> Result<Result<(), String>> {
        let tried = self.try_to_trace(laboratory, lab, form);
        lab::signals::check()?;
        Ok(tried.unwrap_or_else(|error| Err(first_line(&error))))
    }

    fn try_to_trace(
        &self,
        laboratory: &Laboratory,
        lab: &Lab<'_>,
        form: Form,
    ) -> Result<Result<(), String>> {
        // A measured boot without the loads.
        let script = Script::new(&[bpftrace::observer(form)], &[], Settle::INSTRUCTIONS);
        let observer = script.steps.iter().position(|step| step.background);
        let steps = script.steps;
        let mut request = laboratory.request(lab, steps);
        self.add_to(&mut request)?;
        // As in the measured boots.
        request.cpus = 1;
        request.clock = Clock::Instructions;
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        request.timeout = Some(TRIAL);
        let outcome = vm::run(&request).context("cannot try bpftrace in a guest")?;
        let step = observer.and_then(|place| outcome.steps.get(place));
        let step = step.context("bpftrace has no outcome")?;
        if step.status == 0 {
            return Ok(Ok(()));
        }
        let end = match step.signal {
            Some(signal) => format!("signal {signal}"),
            None => format!("status {}", step.status),
        };
        let said = String::from_utf8_lossy(&step.stderr);
        let mut lines = said.lines().filter(|line| !line.trim().is_empty());
        let said = lines.next_back().map(|line| format!(": {line}"));
        Ok(Err(format!(
            "bpftrace {} ends with {end} in a guest{}",
            self.bpftrace,
            said.unwrap_or_default()
        )))
    }

    /// bpftrace on this machine, with its own libraries.
    pub fn bpftrace_here(&self) -> Result<Command> {
        let mut command = self.loader()?;
        command.arg(self.program());
        Ok(command)
    }

    /// The same as a list in JSON.
    pub fn words_here(&self) -> Result<String> {
        let command = self.bpftrace_here()?;
        let arguments = command.get_args();
        let words = [command.get_program()].into_iter().chain(arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        serde_json::to_string(&words).context("cannot name bpftrace")
    }

    fn program(&self) -> PathBuf {
        self.tree.join("usr/bin").join(BPFTRACE)
    }

    /// Its loader, which looks in its folders for libraries.
    fn loader(&self) -> Result<Command> {
        let folders = [LIBRARIES.to_owned(), format!("/usr{LIBRARIES}")];
        let folders = folders.map(|folder| self.tree.join(&folder[1..]).display().to_string());
        let mut command = Command::new(self.loader_path()?);
        command.args(["--library-path", &folders.join(":")]);
        Ok(command)
    }

    fn loader_path(&self) -> Result<PathBuf> {
        first_of(&self.tree, &[LOADER, &format!("/usr{LOADER}")])
    }

    /// bpftrace, the loader and the libraries, where a guest has them.
    fn files(&self) -> Result<Vec<GuestFile>> {
        let (program, loader) = (self.program(), self.loader_path()?);
        let listed = process::output(self.loader()?.arg("--list").arg(&program))?;
        let mut files = vec![
            GuestFile {
                guest: format!("/bin/{BPFTRACE}"),
                host: program,
            },
            GuestFile {
                guest: LOADER.to_owned(),
                host: loader,
            },
        ];
        for (name, path) in libraries(&listed, &self.tree) {
            files.push(GuestFile {
                guest: format!("{LIBRARIES}/{name}"),
                host: path,
            });
        }
        Ok(files)
    }
}

/// The peers that cannot measure holds of a spinning lock, and why: (name, reason).
pub const UNABLE: [(&str, &str); 2] = [
    (
        "klockstat",
        "it hooks mutexes and rw semaphores alone, and tasklist_lock is neither",
    ),
    (
        "perf lock contention -b, where nobody contends",
        "it measures waits alone: it has no program on the path of such a pair",
    ),
];

fn newest(cache: &Path) -> Result<Option<Peers>> {
    let found = apt::files(cache)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let version = name.strip_prefix(BPFTRACE)?.strip_prefix('-')?.to_owned();
        Some(Peers::of(version, path))
    });
    Ok(found.max_by(|a, b| lab::kernel::version::compare(&a.bpftrace, &b.bpftrace)))
}

/// The first of some places below a tree that exists.
fn first_of(tree: &Path, places: &[&str]) -> Result<PathBuf> {
    let mut paths = places.iter().map(|place| tree.join(&place[1..]));
    paths
        .find(|path| path.exists())
        .with_context(|| format!("{} has none of {places:?}", tree.display()))
}

/// Names and paths of the libraries that the loader lists, `NAME => PATH (ADDRESS)`, inside of a tree.
fn libraries(listed: &str, tree: &Path) -> Vec<(String, PathBuf)> {
    let lines = listed.lines().filter_map(|line| {
        let (name, path) = line.trim().split_once(" => ")?;
        let path = Path::new(path.split(" (").next()?);
        path.starts_with(tree)
            .then(|| (name.to_owned(), path.to_owned()))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_of_the_tree_are_taken() {
        let listed = "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /t/lib/libz.so.1 (0x2)\n\
                      \tlibx.so => /usr/lib/libx.so (0x3)\n\t/lib64/ld.so => /t/lib64/ld.so (0x4)\n";
        let found = libraries(listed, Path::new("/t"));
        assert_eq!(
            found.first(),
            Some(&("libz.so.1".to_owned(), PathBuf::from("/t/lib/libz.so.1")))
        );
        assert!(!found.iter().any(|(name, _)| name == "libx.so"));
    }
}
