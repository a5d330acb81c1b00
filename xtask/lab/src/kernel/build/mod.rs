//! Kernels built from source: one tree, one configuration, with and without patches.
//!
//! ```text
//! kernels/sources/VERSION/   what was fetched
//! kernels/trees/KEY/         a source tree and its objects, by source, configuration and compiler
//! kernels/built/NAME/        finished: vmlinuz, vmlinux, config, release, key
//! ```
//!
//! A patch is put into the tree, built with the objects that are there, and taken out again: a patched
//! kernel costs what the patch touches.

mod config;
mod key;
mod make;
mod own;
mod patches;
mod source;
mod tree;

pub use own::{BASE, BUILT_BY_TESTS, DEFERRED};
pub use source::Source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::image::{CONFIG, IMAGE, KEY, Kernel, SYMBOLS};
use crate::apt::write;
use crate::{lock, paths, process};

use key::Key;
use tree::Tree;

/// What building a kernel takes: the package, and a file that it brings.
pub const PACKAGES: [(&str, &str); 11] = [
    ("bc", "/usr/bin/bc"),
    ("binutils", "/usr/bin/ld"),
    ("bison", "/usr/bin/bison"),
    ("dwarves", "/usr/bin/pahole"),
    ("flex", "/usr/bin/flex"),
    ("gcc", "/usr/bin/gcc"),
    ("libelf-dev", "/usr/include/libelf.h"),
    ("libssl-dev", "/usr/include/openssl/ssl.h"),
    ("make", "/usr/bin/make"),
    ("patch", "/usr/bin/patch"),
    ("xz-utils", "/usr/bin/xz"),
];

/// `cargo xtask kernel build`.
#[derive(Clone, Debug, Default, Args)]
pub struct BuildRequest {
    /// What the kernel is called from now on
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// A patch for the tree: a file, or the name of one of xtask/lab/patches; may be given several times, and
    /// they are applied in this order
    #[arg(long = "patch", value_name = "FILE")]
    pub patches: Vec<String>,
    /// The kernel's source: a tree, a tarball, or Debian's of a series (debian:7.3) [default: debian:6.12]
    #[arg(long, value_name = "PATH|debian:SERIES")]
    pub source: Option<PathBuf>,
    /// A fragment of configuration on top of the lab's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl BuildRequest {
    /// One of the project's own kernels: one without patches, or the name of one of its patches.
    #[must_use]
    pub fn own(name: &str) -> Option<Self> {
        let own = own::find(name)?;
        Some(Self {
            name: own.name.to_owned(),
            patches: own.patch.map(|_| own.name.to_owned()).into_iter().collect(),
            source: Some(PathBuf::from(format!("{}{}", source::DEBIAN, own.series))),
            ..Self::default()
        })
    }

    /// What a user types to have it built.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = "cargo xtask kernel build".to_owned();
        let source = self
            .source
            .iter()
            .map(|path| ("source", path.display().to_string()));
        let patches = self.patches.iter().map(|patch| ("patch", patch.clone()));
        for (option, value) in source.chain(patches).chain([("name", self.name.clone())]) {
            command += &format!(" --{option} {value}");
        }
        command
    }

    /// Fails where the name cannot be a kernel's.
    pub fn check(&self) -> Result<()> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if self.name.is_empty()
            || !self.name.chars().all(allowed)
            || self.name.starts_with(['.', '-'])
        {
            bail!(
                "{:?} cannot be a kernel's name: letters, digits, - _ and . make one",
                self.name
            );
        }
        Ok(())
    }
}

/// Builds a kernel, unless it has been built from the same before. Nobody installs [`PACKAGES`] here.
///
/// # Errors
/// A patch does not apply, an option is not to be had, a tool is missing, or make fails. What is not
/// finished is never taken for a kernel.
pub fn ensure(request: &BuildRequest) -> Result<Kernel> {
    request.check()?;
    let inputs = Inputs::of(request)?;
    let kernels = paths::make(paths::cache()?.join("kernels"))?;
    let built = paths::make(kernels.join("built"))?;
    let destination = built.join(&request.name);
    let key = &inputs.key;
    if is_finished(&destination, key) {
        return Ok(kernel(request, &destination));
    }
    let trees = paths::make(kernels.join("trees"))?;
    let _lock = lock::take(&trees.join("lock"))?;
    // Whoever held the lock may have built it.
    if is_finished(&destination, key) {
        return Ok(kernel(request, &destination));
    }
    let started = Instant::now();
    let tree = Tree::open(&trees.join(inputs.tree_key.short()), &inputs.source)?;
    let patched = patches::try_on(&tree.source, &inputs.patches)?;
    tree.configure(&inputs.fragment)?;
    tree.patch(&patched)?;
    let result = make::kernel(&tree, &request.name);
    // Whatever became of it, the next kernel finds the tree as it was.
    tree.restore()?;
    let release = result?;
    finish(&tree, &release, key, &destination)?;
    eprintln!(
        "kernel: built {} (Linux {release}) in {:.0} s",
        request.name,
        started.elapsed().as_secs_f64()
    );
    Ok(kernel(request, &destination))
}

/// One of the project's own kernels, if it is built from what this checkout would build it from.
///
/// # Errors
/// What it is built from cannot be read.
pub fn cached(name: &str) -> Result<Option<Kernel>> {
    let Some(request) = BuildRequest::own(name) else {
        return Ok(None);
    };
    let folder = paths::cache()?.join("kernels").join("built").join(name);
    // Where nothing is built there may be no source either, and no compiler.
    if !folder.join(IMAGE).is_file() {
        return Ok(None);
    }
    let inputs = Inputs::of(&request)?;
    Ok(is_finished(&folder, &inputs.key).then(|| kernel(&request, &folder)))
}

/// What a kernel is built from.
struct Inputs {
    patches: Vec<patches::Patch>,
    fragment: String,
    source: Source,
    /// Of source, configuration and compiler: kernels that differ in patches alone share a tree.
    tree_key: Key,
    /// Of everything.
    key: Key,
}

impl Inputs {
    fn of(request: &BuildRequest) -> Result<Self> {
        let patches = patches::read(&request.patches)?;
        let source = Source::find(request.source.as_deref())?;
        let fragment = config::fragment(source.series(), request.config.as_deref())?;
        let compiler = make::compiler()?;
        let tree_key = Key::of([
            source.identity.as_bytes(),
            fragment.as_bytes(),
            compiler.as_bytes(),
        ])?;
        let changes = patches.iter().map(|patch| patch.changes().as_bytes());
        let key = Key::of(std::iter::once(tree_key.as_bytes()).chain(changes))?;
        Ok(Self {
            patches,
            fragment,
            source,
            tree_key,
            key,
        })
    }
}

fn kernel(request: &BuildRequest, folder: &Path) -> Kernel {
    Kernel {
        name: request.name.clone(),
        image: folder.join(IMAGE),
    }
}

/// Whether a kernel lies there that was built from the same.
fn is_finished(folder: &Path, key: &Key) -> bool {
    fs::read_to_string(folder.join(KEY)).is_ok_and(|text| text.trim() == key.as_str())
        && [IMAGE, SYMBOLS]
            .iter()
            .all(|file| folder.join(file).is_file())
}

/// Puts a kernel where it belongs, whole or not at all.
fn finish(tree: &Tree, release: &str, key: &Key, destination: &Path) -> Result<()> {
    let parent = destination.parent().unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
    for (from, to) in [(tree.image(), IMAGE), (tree.config(), CONFIG)] {
        fs::copy(&from, work.path().join(to))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    // What describes the source to a debugger is most of it.
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o");
    strip.args([work.path().join(SYMBOLS), tree.symbols()]);
    process::output(&mut strip)?;
    write(&work.path().join("release"), release)?;
    write(&work.path().join(KEY), key.as_str())?;
    if destination.exists() {
        fs::remove_dir_all(destination)
            .with_context(|| format!("cannot remove {}", destination.display()))?;
    }
    let finished = work.keep();
    fs::rename(&finished, destination)
        .with_context(|| format!("cannot make {}", destination.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files() {
        let named = |name: &str| BuildRequest {
            name: name.to_owned(),
            ..BuildRequest::default()
        };
        for good in ["base", "mine-2.1", "A_b"] {
            assert!(named(good).check().is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "-x", "a/b", "a b", "debian:6.12"] {
            assert!(named(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_projects_kernels_are_known_by_name() {
        let command = |name| BuildRequest::own(name).map(|request| request.command());
        assert_eq!(
            command(BASE).unwrap(),
            "cargo xtask kernel build --source debian:6.12 --name base"
        );
        assert_eq!(
            command("defer-more-7.3").unwrap(),
            "cargo xtask kernel build --source debian:7.3 --patch defer-more-7.3 --name defer-more-7.3"
        );
        assert_eq!(command("nobody's"), None);
        for name in BUILT_BY_TESTS {
            assert!(command(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_unfinished_or_from_something_else_is_no_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of([&b"a"[..]]).unwrap();
        assert!(!is_finished(folder.path(), &key));
        for file in [IMAGE, SYMBOLS] {
            fs::write(folder.path().join(file), "").unwrap();
            assert!(!is_finished(folder.path(), &key));
        }
        fs::write(folder.path().join(KEY), key.as_str()).unwrap();
        assert!(is_finished(folder.path(), &key));
        assert!(!is_finished(folder.path(), &Key::of([&b"b"[..]]).unwrap()));
        fs::remove_file(folder.path().join(IMAGE)).unwrap();
        assert!(!is_finished(folder.path(), &key));
    }
}
