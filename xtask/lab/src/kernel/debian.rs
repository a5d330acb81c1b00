//! Debian's cloud kernels, fetched with a private apt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::image::{CONFIG, IMAGE};
use super::version::{self, Package};
use crate::apt::{self, Apt, files, write};
use crate::{paths, process};

/// The cloud kernels that the lists offer.
fn offered(apt: &Apt) -> Result<Vec<Package>> {
    let found = process::output(apt.command("apt-cache").args([
        "search",
        "--names-only",
        version::SEARCH,
    ]))?;
    let names = found
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names = names.collect::<Vec<_>>();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let versions = process::output(apt.command("apt-cache").arg("madison").args(names))?;
    Ok(version::parse_madison(&versions))
}

/// Fetches the newest cloud kernel of a series into `kernels`/VERSION/, whole or not at all, and
/// gives that folder.
pub fn fetch(series: &str, apt_folder: &Path, kernels: &Path) -> Result<PathBuf> {
    apt::check_programs().context("give the path of a bzImage instead")?;
    let found = apt::search(apt_folder, |apt| {
        let offered = offered(apt)?;
        let newest = version::newest(&offered, series);
        newest
            .map(|package| unpack(apt, package, kernels))
            .transpose()
    })?;
    found.with_context(|| {
        format!(
            "the mirror that apt is set to has no cloud kernel of the series {series}; `cargo xtask \
             kernel list` shows what is in the cache"
        )
    })
}

fn unpack(apt: &Apt, package: &Package, kernels: &Path) -> Result<PathBuf> {
    let destination = kernels.join(&package.version);
    if destination.join(IMAGE).is_file() {
        return Ok(destination);
    }
    // Beside the destination, so that the last step is a rename.
    let work = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(kernels)
        .with_context(|| format!("cannot make a folder in {}", kernels.display()))?;
    let download = format!("{}={}", package.name, package.version);
    let companion = version::companion(package);
    let companion = companion.map(|companion| format!("{companion}={}", package.version));
    let packages = std::iter::once(download.clone()).chain(companion);
    let tree = apt.unpack(packages, work.path())?;
    let kernel = paths::make(work.path().join("kernel"))?;
    let (release, parts) = find_kernel(&tree)
        .with_context(|| format!("{download} holds no kernel, in none of the known places"))?;
    for (path, kept) in parts {
        fs::rename(&path, kernel.join(kept))
            .with_context(|| format!("cannot move {}", path.display()))?;
    }
    write(&kernel.join("release"), &release)?;
    write(&kernel.join("package"), &download)?;
    match fs::rename(&kernel, &destination) {
        Ok(()) => Ok(destination),
        // Somebody else has fetched it meanwhile.
        Err(_) if destination.join(IMAGE).is_file() => Ok(destination),
        Err(error) => Err(error).with_context(|| format!("cannot make {}", destination.display())),
    }
}

/// A kernel's release and its files, from either of the places where Debian has put them:
/// /boot/NAME-RELEASE up to 7.1, /usr/lib/modules/RELEASE/NAME since then.
fn find_kernel(tree: &Path) -> Option<(String, Vec<(PathBuf, &'static str)>)> {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let boot = files(&tree.join("boot")).unwrap_or_default();
    let modules = files(&tree.join("usr/lib/modules")).unwrap_or_default();
    let old = boot.iter().find_map(|path| {
        let release = name(path).strip_prefix("vmlinuz-")?.to_owned();
        let config = path.with_file_name(format!("config-{release}"));
        Some((release, path.clone(), config))
    });
    let new = modules
        .iter()
        .find(|folder| folder.join("vmlinuz").is_file());
    let new = new.map(|folder| (name(folder), folder.join("vmlinuz"), folder.join("config")));
    let (release, image, config) = old.or(new)?;
    let parts = [(image, IMAGE), (config, CONFIG)];
    Some((
        release,
        parts
            .into_iter()
            .filter(|(path, _)| path.is_file())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_in_both_places() {
        for (image, config) in [
            ("boot/vmlinuz-6.1.0-56", "boot/config-6.1.0-56"),
            (
                "usr/lib/modules/6.1.0-56/vmlinuz",
                "usr/lib/modules/6.1.0-56/config",
            ),
        ] {
            let tree = tempfile::tempdir().unwrap();
            assert!(find_kernel(tree.path()).is_none());
            let image = tree.path().join(image);
            fs::create_dir_all(image.parent().unwrap()).unwrap();
            fs::write(&image, "").unwrap();
            let found = find_kernel(tree.path()).unwrap();
            assert_eq!(found, ("6.1.0-56".to_owned(), vec![(image.clone(), IMAGE)]));
            fs::write(tree.path().join(config), "").unwrap();
            assert_eq!(find_kernel(tree.path()).unwrap().1.len(), 2);
        }
    }
}
