//! Kernels for guests: Debian's, the user's own, and built ones, all by name.

pub mod build;
mod debian;
pub mod headers;
mod image;
pub mod version;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{lock, paths};
use image::IMAGE;

pub use image::{Kernel, SYMBOLS};

/// The kernels that `cargo xtask test` boots.
pub const TESTED: [&str; 3] = ["debian:6.1", "debian:6.12", "debian:7.2"];
/// Those where the tests hold what is counted against what loads know of themselves: the newest one, too.
pub const COUNTED: [&str; 4] = ["debian:6.1", "debian:6.12", "debian:7.2", "debian:7.3"];
/// The kernel of `--vm` alone.
pub const DEFAULT: &str = "debian:6.12";

/// What a user's KERNEL means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name<'a> {
    Debian(&'a str),
    File(&'a Path),
    Built(&'a str),
}

fn parse(name: &str) -> Result<Name<'_>> {
    if let Some(series) = name.strip_prefix("debian:") {
        let numbers = series.split('.').collect::<Vec<_>>();
        let numeric =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if numbers.len() != 2 || !numbers.iter().all(numeric) {
            bail!("{name}: a Debian kernel is named by its series, such as {DEFAULT}");
        }
        return Ok(Name::Debian(series));
    }
    Ok(if name.contains('/') {
        Name::File(Path::new(name))
    } else {
        Name::Built(name)
    })
}

/// The kernel that a user's KERNEL means; one of Debian's is fetched if it is not in the cache.
pub fn resolve(name: &str) -> Result<Kernel> {
    let image = match parse(name)? {
        Name::Debian(series) => debian_image(series, false)?,
        Name::File(path) => path.to_owned(),
        Name::Built(built) => {
            let image = folder()?.join("built").join(built).join(IMAGE);
            if !image.is_file() && Path::new(name).is_file() {
                PathBuf::from(name)
            } else {
                image
            }
        }
    };
    if !image.is_file() {
        bail!(
            "there is no kernel {name}: KERNEL is debian:SERIES (such as {DEFAULT}), the name of a \
             built kernel, or a path to a bzImage; `cargo xtask kernel list` shows what is here"
        );
    }
    Ok(Kernel {
        name: name.to_owned(),
        image,
    })
}

/// Fetches a Debian kernel; does nothing if it is in the cache, unless a newer one is wanted.
pub fn fetch(name: &str, update: bool) -> Result<Kernel> {
    match parse(name)? {
        Name::Debian(series) => Ok(Kernel {
            name: name.to_owned(),
            image: debian_image(series, update)?,
        }),
        _ => bail!("{name} cannot be fetched: only Debian's kernels can, such as {DEFAULT}"),
    }
}

fn debian_image(series: &str, update: bool) -> Result<PathBuf> {
    let kernels = paths::make(folder()?.join(format!("debian-{series}")))?;
    if !update && let Some(cached) = newest_in(&kernels) {
        return Ok(cached.join(IMAGE));
    }
    // Two set-ups at once would disturb each other's lists.
    let apt = paths::make(paths::cache()?.join("apt"))?;
    let _lock = lock::take(&apt.join("lock"))?;
    if !update && let Some(cached) = newest_in(&kernels) {
        return Ok(cached.join(IMAGE));
    }
    let fetched = debian::fetch(series, &apt, &kernels)
        .with_context(|| format!("cannot fetch the kernel debian:{series}"))?;
    Ok(fetched.join(IMAGE))
}

/// The newest kernel that lies in a folder of versions.
fn newest_in(kernels: &Path) -> Option<PathBuf> {
    let mut versions = fs::read_dir(kernels)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().join(IMAGE).is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect::<Vec<_>>();
    versions.sort_by(|a, b| version::compare(a, b));
    versions.pop().map(|version| kernels.join(version))
}

/// Where kernels are cached.
fn folder() -> Result<PathBuf> {
    Ok(paths::cache()?.join("kernels"))
}

/// Prints the kernels that are in the cache, and those that can be fetched by name.
pub fn list() -> Result<()> {
    let folder = folder()?;
    let mut rows = Vec::new();
    for entry in sorted(&folder) {
        let group = paths::file_name(&entry);
        for kernel in sorted(&entry).into_iter().filter(|kernel| {
            kernel.join(IMAGE).is_file() && !paths::file_name(kernel).starts_with('.')
        }) {
            let name = match group.strip_prefix("debian-") {
                Some(series) => format!("debian:{series}"),
                None => paths::file_name(&kernel),
            };
            let release = fs::read_to_string(kernel.join("release")).unwrap_or_default();
            rows.push((
                name,
                release.trim().to_owned(),
                kernel.join(IMAGE).display().to_string(),
            ));
        }
    }
    for name in COUNTED {
        if !rows.iter().any(|(known, ..)| known == name) {
            rows.push((
                name.to_owned(),
                "-".to_owned(),
                "not fetched yet".to_owned(),
            ));
        }
    }
    rows.sort_by(|a, b| version::compare(&a.0, &b.0).then_with(|| version::compare(&a.1, &b.1)));
    let widest =
        |column: fn(&(String, String, String)) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let (names, releases) = (widest(|row| row.0.len()), widest(|row| row.1.len()));
    for (name, release, place) in &rows {
        println!("{name:<names$}  {release:<releases$}  {place}");
    }
    Ok(())
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path()).collect::<Vec<_>>();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernels() {
        assert_eq!(parse("debian:6.12").unwrap(), Name::Debian("6.12"));
        assert_eq!(
            parse("./bzImage").unwrap(),
            Name::File(Path::new("./bzImage"))
        );
        assert_eq!(parse("patched").unwrap(), Name::Built("patched"));
        for bad in [
            "debian:",
            "debian:6",
            "debian:6.1.1",
            "debian:../x",
            "debian:6.x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_cached_kernel_is_used_and_unfinished_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_in(folder.path()), None);
        for version in ["6.12.9-1", "6.12.117-1", "6.12.20-1", ".fetching-1"] {
            paths::make(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join(IMAGE), "").unwrap();
        }
        paths::make(folder.path().join("6.12.999-1")).unwrap();
        assert_eq!(
            newest_in(folder.path()),
            Some(folder.path().join("6.12.117-1"))
        );
    }
}
