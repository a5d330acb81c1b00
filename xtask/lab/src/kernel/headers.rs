//! Modules of the tests' own, built with the headers of exactly the kernel that they are loaded into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::image::Kernel;
use super::version;
use crate::apt::{self, Apt, files, write};
use crate::{lock, paths, process};

/// What Debian's kernels for clouds are called behind their release.
const FLAVOUR: &str = "-cloud-amd64";
/// Where Debian's packages have the headers, and where the makefiles look for each other.
const SOURCES: &str = "/usr/src/";

/// The headers of a kernel, and the compiler that they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    folder: PathBuf,
}

/// A module's source: its files by name.
pub type Sources<'a> = &'a [(&'a str, &'a str)];

impl Headers {
    /// Of one of Debian's kernels, from the cache or the mirror; the inner error says why there are none.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn of(kernel: &Kernel) -> Result<Result<Self, String>> {
        let beside = |name: &str| fs::read_to_string(kernel.image.with_file_name(name));
        let (Ok(release), Ok(package)) = (beside("release"), beside("package")) else {
            return Ok(Err(format!("{} is none of Debian's kernels", kernel.name)));
        };
        let (release, package) = (release.trim(), package.trim());
        let parts = release.strip_suffix(FLAVOUR).zip(package.split_once('='));
        let Some((base, (_, version))) = parts else {
            return Ok(Err(format!("no headers are known of {package}")));
        };
        if let Some(missing) = missing_program() {
            return Ok(Err(format!("to build a module needs {missing}")));
        }
        let folder = paths::make(paths::cache()?.join("headers"))?;
        let destination = folder.join(release);
        let apt = paths::make(paths::cache()?.join("apt"))?;
        let _lock = lock::take(&apt.join("lock"))?;
        let headers = format!("linux-headers-{release}");
        if !destination.is_dir() {
            let packages = [
                headers.clone(),
                format!("linux-headers-{base}-common"),
                format!("linux-kbuild-{base}"),
            ];
            match fetch(&apt, &packages, version, &destination) {
                Ok(true) => {}
                Ok(false) => return Ok(Err(format!("the mirror has no {headers}={version}"))),
                Err(error) => return Ok(Err(format!("{headers} cannot be fetched: {error:#}"))),
            }
        }
        let found = Self {
            folder: destination.join(&SOURCES[1..]).join(headers),
        };
        let compiler = found.compiler()?;
        if paths::which(&compiler).is_none() {
            return Ok(Err(format!(
                "there is no {compiler}, which made this kernel"
            )));
        }
        Ok(Ok(found))
    }

    /// The compiler, by Debian's `CC = … $(CROSS_COMPILE)gcc-12`.
    fn compiler(&self) -> Result<String> {
        let path = self.folder.join(".kernelvariables");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = text.lines();
        let named = lines.find_map(|line| line.strip_prefix("CC = ")?.rsplit(')').next());
        let named = named.with_context(|| format!("{} names no compiler", path.display()))?;
        Ok(named.trim().to_owned())
    }

    /// Builds modules in a folder, of which each has a source of its name: `NAME.ko` from `NAME.c`.
    ///
    /// # Errors
    /// They do not compile.
    pub fn build(&self, folder: &Path, modules: &[&str], sources: Sources<'_>) -> Result<()> {
        for (name, text) in sources {
            write(&folder.join(name), text)?;
        }
        let objects = modules.iter().map(|name| format!(" {name}.o"));
        let makefile = format!("obj-m :={}\n", objects.collect::<String>());
        write(&folder.join("Makefile"), &makefile)?;
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(&self.folder)
            .arg(format!("M={}", folder.display()))
            // Types of modules are read by pahole, which need not be there.
            .args(["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
        process::output(&mut command).map(drop)
    }
}

fn missing_program() -> Option<&'static str> {
    let needed = ["make", "apt-get", "apt-cache", "dpkg-deb"];
    needed.into_iter().find(|name| paths::which(name).is_none())
}

/// Fetches packages of this version into `destination`, whole or not at all; false where no suite has them.
fn fetch(lists: &Path, packages: &[String], version: &str, destination: &Path) -> Result<bool> {
    let found = apt::search(lists, |apt| {
        let offered = packages.iter().map(|name| is_offered(apt, name, version));
        let all = offered
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .all(|is| is);
        all.then(|| unpack(apt, packages, version, destination))
            .transpose()
    })?;
    Ok(found.is_some())
}

fn is_offered(apt: &Apt, package: &str, version: &str) -> Result<bool> {
    let listed = process::output(apt.command("apt-cache").args(["madison", package]))?;
    let offered = version::parse_madison(&listed);
    Ok(offered.iter().any(|one| one.version == version))
}

fn unpack(apt: &Apt, packages: &[String], version: &str, destination: &Path) -> Result<()> {
    let beside = destination.parent().unwrap_or(destination);
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(beside)
        .with_context(|| format!("cannot make a folder in {}", beside.display()))?;
    let named = packages.iter().map(|name| format!("{name}={version}"));
    let tree = apt.unpack(named, work.path())?;
    for folder in files(&tree.join(&SOURCES[1..]))? {
        let makefile = folder.join("Makefile");
        let Ok(text) = fs::read_to_string(&makefile) else {
            continue;
        };
        // That of a flavour is one line, which includes the common one by its place where it is installed.
        let here = format!("include {}{SOURCES}", destination.display());
        write(
            &makefile,
            &text.replace(&format!("include {SOURCES}"), &here),
        )?;
    }
    fs::rename(&tree, destination).with_context(|| format!("cannot make {}", destination.display()))
}
