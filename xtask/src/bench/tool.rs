//! A tool that a user has today, from a package of the machine's own Debian, with the libraries that it needs, for guests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lab::apt;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;
use lab::{lock, paths, process};

/// The dynamic loader's place, which programs have built in.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// Where the guest's loader looks for libraries.
const LIBRARIES: &str = "/lib/x86_64-linux-gnu";
/// The loader's name in a tool's own folder.
const LOADER_APART: &str = "ld.so";
/// What stdbuf(1) preloads, and where it is: a part of coreutils, which every Debian has.
const LINE_BUFFERED: &str = "libstdbuf.so";
const COREUTILS: &str = "/usr/libexec/coreutils";

/// A tool with its libraries.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its package's version.
    pub version: String,
    name: &'static str,
    program: PathBuf,
    tree: PathBuf,
}

impl Tool {
    /// Fetches it into the user's cache, unless it is there: `program` is its place in the package.
    pub fn fetch(package: &'static str, program: &'static str) -> Result<Self> {
        apt::check_programs()?;
        let cache = paths::make(paths::cache()?.join("peers"))?;
        let folder = paths::make(paths::cache()?.join("apt"))?;
        let _lock = lock::take(&folder.join("lock"))?;
        if let Some(cached) = newest(&cache, package, program)? {
            return Ok(cached);
        }
        // Of all suites, so that the peer is as good as it gets: older ones crash with their better form.
        let apt = apt::open_others(&folder)?;
        let Some(version) = apt.candidate(package)? else {
            bail!("the mirror that apt is set to has no package {package}");
        };
        let work = tempfile::Builder::new()
            .prefix(".fetching-")
            .tempdir_in(&cache)
            .with_context(|| format!("cannot make a folder in {}", cache.display()))?;
        let packages = apt.with_dependencies(package)?;
        let tree = apt.unpack(packages.into_iter(), work.path())?;
        let destination = cache.join(format!("{package}-{version}"));
        std::fs::rename(&tree, &destination)
            .with_context(|| format!("cannot make {}", destination.display()))?;
        Ok(Self::of(version, program, destination))
    }

    /// klockstat, which looks at mutexes and rw semaphores.
    pub fn klockstat() -> Result<Self> {
        Self::fetch("libbpf-tools", "usr/sbin/klockstat-libbpf")
    }

    fn of(version: String, program: &'static str, tree: PathBuf) -> Self {
        Self {
            version,
            name: program.rsplit('/').next().unwrap_or(program),
            program: tree.join(program),
            tree,
        }
    }

    /// The tool on this machine, with its own libraries.
    pub fn command_here(&self) -> Result<Command> {
        let mut command = self.loader()?;
        command.arg(&self.program);
        Ok(command)
    }

    /// The same as a list in JSON.
    pub fn words_here(&self) -> Result<String> {
        let command = self.command_here()?;
        let arguments = command.get_args();
        let words = [command.get_program()].into_iter().chain(arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        serde_json::to_string(&words).with_context(|| format!("cannot name {}", self.name))
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

    /// The tool, the loader and the libraries, where a guest's programs look for them.
    pub fn files(&self) -> Result<Vec<GuestFile>> {
        self.files_at("/bin", LOADER, LIBRARIES)
    }

    /// The same in a folder of their own, where they are in nobody's way, and nobody's libraries in theirs:
    /// [`Self::words_apart`] is the command then.
    pub fn files_apart(&self) -> Result<Vec<GuestFile>> {
        let folder = self.folder_apart();
        let mut files = self.files_at(&folder, &format!("{folder}/{LOADER_APART}"), &folder)?;
        files.push(GuestFile {
            guest: format!("{folder}/{LINE_BUFFERED}"),
            host: Path::new(COREUTILS).join(LINE_BUFFERED),
        });
        Ok(files)
    }

    /// The command, with the tool in a folder of its own.
    pub fn words_apart(&self) -> Vec<String> {
        let folder = self.folder_apart();
        vec![
            format!("{folder}/{LOADER_APART}"),
            "--library-path".to_owned(),
            folder.clone(),
            format!("{folder}/{}", self.name),
        ]
    }

    /// A step of a guest that runs it so, and whose every line comes as soon as it is printed: else what it says stays in
    /// its memory while nobody sits at a terminal.
    pub fn by_the_line(&self, step: Step) -> Step {
        let library = format!("{}/{LINE_BUFFERED}", self.folder_apart());
        step.env("LD_PRELOAD", &library).env("_STDBUF_O", "L")
    }

    fn folder_apart(&self) -> String {
        format!("/{}", self.name)
    }

    fn files_at(&self, programs: &str, loader: &str, libraries: &str) -> Result<Vec<GuestFile>> {
        let listed = process::output(self.loader()?.arg("--list").arg(&self.program))?;
        let mut files = vec![
            GuestFile {
                guest: format!("{programs}/{}", self.name),
                host: self.program.clone(),
            },
            GuestFile {
                guest: loader.to_owned(),
                host: self.loader_path()?,
            },
        ];
        for (name, path) in libraries_of(&listed, &self.tree) {
            files.push(GuestFile {
                guest: format!("{libraries}/{name}"),
                host: path,
            });
        }
        Ok(files)
    }
}

fn newest(cache: &Path, package: &str, program: &'static str) -> Result<Option<Tool>> {
    let found = apt::files(cache)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let version = name.strip_prefix(package)?.strip_prefix('-')?.to_owned();
        Some(Tool::of(version, program, path))
    });
    Ok(found.max_by(|a, b| lab::kernel::version::compare(&a.version, &b.version)))
}

/// The first of some places below a tree that exists.
fn first_of(tree: &Path, places: &[&str]) -> Result<PathBuf> {
    let mut paths = places.iter().map(|place| tree.join(&place[1..]));
    paths
        .find(|path| path.exists())
        .with_context(|| format!("{} has none of {places:?}", tree.display()))
}

/// Names and paths of the libraries that the loader lists, `NAME => PATH (ADDRESS)`, inside of a tree.
fn libraries_of(listed: &str, tree: &Path) -> Vec<(String, PathBuf)> {
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
        let found = libraries_of(listed, Path::new("/t"));
        assert_eq!(
            found.first(),
            Some(&("libz.so.1".to_owned(), PathBuf::from("/t/lib/libz.so.1")))
        );
        assert!(!found.iter().any(|(name, _)| name == "libx.so"));
    }
}
