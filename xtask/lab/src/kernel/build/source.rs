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

/// What a series stands behind that names Debian's source.
pub const DEBIAN: &str = "debian:";
/// The series that is built where nobody names a source.
const SERIES: &str = "6.12";

/// Debian's package of a series.
fn package(series: &str) -> String {
    format!("linux-source-{series}")
}

/// The tarball in it, which the cache has too.
fn tarball(series: &str) -> String {
    format!("{}.tar.xz", package(series))
}

/// A source.
#[derive(Clone, Debug)]
pub struct Source {
    /// What tells it from others: for Debian's its version, for a tarball its content, for a tree the
    /// names, sizes and times of its files, which is what make itself goes by.
    pub identity: String,
    /// Of Debian's.
    series: Option<String>,
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
            return debian(SERIES);
        };
        if let Some(series) = path.to_str().and_then(|text| text.strip_prefix(DEBIAN)) {
            return debian(series);
        }
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
                series: None,
                form: Form::Tree(path),
            });
        }
        if !path.is_file() {
            bail!(
                "there is no source {}: --source takes a kernel's tree, its tarball, or {DEBIAN}{SERIES}",
                path.display()
            );
        }
        let text = process::output(Command::new("sha256sum").arg(path))
            .with_context(|| format!("cannot read the source {}", path.display()))?;
        let sum = text.split_whitespace().next().unwrap_or_default();
        Ok(Self {
            identity: format!("tarball {sum}"),
            series: None,
            form: Form::Tarball(path.to_owned()),
        })
    }

    /// The series, where it is known.
    #[must_use]
    pub(super) fn series(&self) -> Option<&str> {
        self.series.as_deref()
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

/// The newest of a series that is in the cache; else the one that the mirror of the machine's apt offers.
fn debian(series: &str) -> Result<Source> {
    if !series.starts_with(|first: char| first.is_ascii_digit()) || series.contains('/') {
        bail!(
            "{DEBIAN}{series}: Debian's sources are named by their series, such as {DEBIAN}{SERIES}"
        );
    }
    let sources = paths::make(paths::cache()?.join("kernels/sources"))?;
    if let Some(source) = cached(&sources, series) {
        return Ok(source);
    }
    apt::check_programs().context("give a kernel's source with --source instead")?;
    let folder = paths::make(paths::cache()?.join("apt"))?;
    let _lock = lock::take(&folder.join("lock"))?;
    if let Some(source) = cached(&sources, series) {
        return Ok(source);
    }
    let package = package(series);
    let fetched = apt::search(&folder, |apt| {
        let version = apt.candidate(&package)?;
        version
            .map(|version| fetch(apt, series, &version, &sources))
            .transpose()
    })?;
    if fetched.is_none() {
        bail!(
            "the mirror that apt is set to has no package {package}: give a kernel's source with \
             --source"
        );
    }
    cached(&sources, series).context("the source that was fetched is not there")
}

/// Puts the tarball of a package into `sources`/VERSION/, whole or not at all.
fn fetch(apt: &Apt, series: &str, version: &str, sources: &Path) -> Result<()> {
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(sources)
        .with_context(|| format!("cannot make a folder in {}", sources.display()))?;
    let package = package(series);
    let tree = apt.unpack(std::iter::once(package.clone()), work.path())?;
    let place = paths::make(work.path().join("done"))?;
    let name = tarball(series);
    fs::rename(tree.join("usr/src").join(&name), place.join(&name))
        .with_context(|| format!("{package} has no usr/src/{name}"))?;
    let destination = sources.join(version);
    fs::rename(&place, &destination)
        .with_context(|| format!("cannot make {}", destination.display()))
}

fn cached(sources: &Path, series: &str) -> Option<Source> {
    let name = tarball(series);
    let mut versions: Vec<String> = apt::files(sources)
        .ok()?
        .iter()
        .filter(|folder| folder.join(&name).is_file())
        .map(|folder| paths::file_name(folder))
        .filter(|version| !version.starts_with('.'))
        .collect();
    versions.sort_by(|a, b| version::compare(a, b));
    let newest = versions.pop()?;
    Some(Source {
        form: Form::Tarball(sources.join(&newest).join(&name)),
        identity: format!("{}={newest}", package(series)),
        series: Some(series.to_owned()),
    })
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
        assert!(Source::find(Some(Path::new("debian:../x"))).is_err());
    }

    #[test]
    fn the_newest_source_of_a_series_is_used() {
        let sources = tempfile::tempdir().unwrap();
        for (version, series) in [
            ("6.12.9-1", "6.12"),
            ("6.12.117-1", "6.12"),
            ("7.3.4-1", "7.3"),
        ] {
            let folder = sources.path().join(version);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(tarball(series)), "").unwrap();
        }
        let found = |series| cached(sources.path(), series).map(|source| source.identity);
        assert_eq!(
            found("6.12").as_deref(),
            Some("linux-source-6.12=6.12.117-1")
        );
        assert_eq!(found("7.3").as_deref(), Some("linux-source-7.3=7.3.4-1"));
        assert_eq!(found("7.2"), None);
    }
}
