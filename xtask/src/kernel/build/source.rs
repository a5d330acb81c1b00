//! Where a kernel's source comes from: Debian's package, or a tree or tarball of the user's, which is
//! only ever copied.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Apt};
use crate::kernel::version;
use crate::{lock, paths, process};

use super::key::Key;

/// Debian's package, and the tarball in it.
const PACKAGE: &str = "linux-source-6.12";
const TARBALL: &str = "usr/src/linux-source-6.12.tar.xz";

/// A source.
#[derive(Clone, Debug)]
pub struct Source {
    /// What tells it from others: for Debian's its version, for a tarball its content, for a tree the
    /// names, sizes and times of its files, which is what make itself goes by.
    pub identity: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Tarball(PathBuf),
    Tree(PathBuf),
}

impl Source {
    /// The user's, or Debian's.
    pub fn find(user: Option<&Path>) -> Result<Self> {
        let Some(path) = user else {
            return debian();
        };
        if path.is_dir() {
            if !path.join("Kbuild").is_file() || !path.join("kernel/exit.c").is_file() {
                bail!("{} is no source tree of a kernel", path.display());
            }
            let path = fs::canonicalize(path)
                .with_context(|| format!("cannot find {}", path.display()))?;
            let mut listing = Vec::new();
            list(&path, &path, &mut listing)?;
            let key = Key::of([listing.join("\n").as_bytes()])?;
            return Ok(Self {
                identity: format!("tree {}", key.as_str()),
                form: Form::Tree(path),
            });
        }
        if !path.is_file() {
            bail!(
                "there is no source {}: --source takes a kernel's tree or its tarball",
                path.display()
            );
        }
        let text = process::output(Command::new("sha256sum").arg(path))
            .with_context(|| format!("cannot read the source {}", path.display()))?;
        let sum = text.split_whitespace().next().unwrap_or_default();
        Ok(Self {
            identity: format!("tarball {sum}"),
            form: Form::Tarball(path.to_owned()),
        })
    }

    /// Puts a copy into a folder that does not exist yet.
    pub fn unpack(&self, destination: &Path) -> Result<()> {
        match &self.form {
            Form::Tarball(path) => {
                paths::make(destination.to_owned())?;
                process::run(
                    Command::new("tar")
                        .args(["--extract", "--strip-components=1", "--file"])
                        .arg(path)
                        .arg("--directory")
                        .arg(destination),
                )?;
            }
            Form::Tree(path) => {
                process::run(
                    Command::new("cp")
                        .args(["--archive", "--reflink=auto", "--no-target-directory"])
                        .arg(path)
                        .arg(destination),
                )?;
                // A tree that was built in cannot be built from another folder.
                process::run(
                    Command::new("make")
                        .args(["--silent", "mrproper"])
                        .current_dir(destination),
                )?;
            }
        }
        if destination.join("kernel/exit.c").is_file() {
            return Ok(());
        }
        bail!("the source has no kernel/exit.c: it is no kernel's")
    }
}

/// Every file with its size and time, in order; version control's own are left out.
fn list(root: &Path, folder: &Path, listing: &mut Vec<String>) -> Result<()> {
    let mut entries = apt::files(folder)?;
    entries.sort();
    for path in entries {
        if path.file_name().is_some_and(|name| name == ".git") {
            continue;
        }
        let meta = fs::symlink_metadata(&path)
            .with_context(|| format!("cannot look at {}", path.display()))?;
        if meta.is_dir() {
            list(root, &path, listing)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path);
            listing.push(format!(
                "{} {} {}.{:09}",
                name.display(),
                meta.len(),
                meta.mtime(),
                meta.mtime_nsec()
            ));
        }
    }
    Ok(())
}

/// The newest that is in the cache; else the one that the machine's own package sources offer.
fn debian() -> Result<Source> {
    let sources = paths::make(paths::cache()?.join("kernels/sources"))?;
    if let Some(source) = cached(&sources) {
        return Ok(source);
    }
    apt::check_programs().context("give a kernel's source with --source instead")?;
    let folder = paths::make(paths::cache()?.join("apt"))?;
    let _lock = lock::take(&folder.join("lock"))?;
    if let Some(source) = cached(&sources) {
        return Ok(source);
    }
    let apt = Apt::open(&folder.join("own"), &apt::own_sources()?)?;
    let Some(version) = apt.candidate(PACKAGE)? else {
        bail!(
            "the mirror that apt is set to has no package {PACKAGE}: give a kernel's source with \
             --source"
        );
    };
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(&sources)
        .with_context(|| format!("cannot make a folder in {}", sources.display()))?;
    let tree = apt.unpack(std::iter::once(PACKAGE.to_owned()), work.path())?;
    let place = paths::make(work.path().join("done"))?;
    let tarball = tree.join(TARBALL);
    fs::rename(&tarball, place.join(file_name(&tarball)))
        .with_context(|| format!("{PACKAGE} has no {TARBALL}"))?;
    let destination = sources.join(&version);
    fs::rename(&place, &destination)
        .with_context(|| format!("cannot make {}", destination.display()))?;
    cached(&sources).context("the source that was fetched is not there")
}

fn cached(sources: &Path) -> Option<Source> {
    let name = file_name(Path::new(TARBALL));
    let mut versions: Vec<String> = apt::files(sources)
        .ok()?
        .iter()
        .filter(|folder| folder.join(&name).is_file())
        .map(|folder| file_name(folder))
        .filter(|version| !version.starts_with('.'))
        .collect();
    versions.sort_by(|a, b| version::compare(a, b));
    let newest = versions.pop()?;
    Some(Source {
        form: Form::Tarball(sources.join(&newest).join(&name)),
        identity: format!("{PACKAGE}={newest}"),
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_tree_is_known_by_its_files() {
        let tree = tempfile::tempdir().unwrap();
        let error = Source::find(Some(tree.path())).unwrap_err().to_string();
        assert!(error.contains("no source tree"), "{error}");
        fs::create_dir(tree.path().join("kernel")).unwrap();
        fs::write(tree.path().join("Kbuild"), "").unwrap();
        fs::write(tree.path().join("kernel/exit.c"), "a").unwrap();
        let identity = || Source::find(Some(tree.path())).unwrap().identity;
        let first = identity();
        assert_eq!(identity(), first);
        fs::write(tree.path().join("kernel/exit.c"), "ab").unwrap();
        assert_ne!(identity(), first);
        assert!(Source::find(Some(Path::new("/nonexistent.tar"))).is_err());
    }
}
