//! The compiler and the linker of the eBPF object, and what cargo must be told about them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::{paths, process};

/// The version of bpf-linker that the project is built with.
pub const BPF_LINKER: &str = "0.13.0";
/// The oldest rustc that builds the workspace.
const OLDEST: u32 = 95;

/// A Rust toolchain that has core's source and may use unstable features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfToolchain {
    /// What `rustup run` calls it, and aya-build with it: a name, or a path such as /usr.
    pub name: String,
    /// Its rustc's version.
    pub version: String,
}

/// What the build of the eBPF object needs from its surroundings.
#[derive(Clone, Debug)]
pub struct Environment {
    toolchain: String,
    path: OsString,
}

impl Environment {
    /// From what set-up has found.
    pub fn new(toolchain: &BpfToolchain) -> Result<Self> {
        let bin = linker_folder()?.join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)))
            .context("cannot put bpf-linker into PATH")?;
        Ok(Self {
            toolchain: toolchain.name.clone(),
            path,
        })
    }

    /// Tells a cargo.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("PATH", &self.path)
            .env("LOCKPROF_BPF_TOOLCHAIN", &self.toolchain);
    }
}

/// Where our bpf-linker is installed.
pub fn linker_folder() -> Result<PathBuf> {
    Ok(paths::cache()?
        .join("tools")
        .join(format!("bpf-linker-{BPF_LINKER}")))
}

/// The linker, if its installation was finished: cargo writes the list of what it has installed
/// last.
pub fn linker() -> Result<Option<PathBuf>> {
    let folder = linker_folder()?;
    let linker = folder.join("bin/bpf-linker");
    let finished = paths::is_executable(&linker) && folder.join(".crates2.json").is_file();
    Ok(finished.then_some(linker))
}

/// The toolchain for the eBPF object: a nightly of rustup's if one has the source, else Debian's.
pub fn bpf_toolchain() -> Option<BpfToolchain> {
    nightly().or_else(debian)
}

fn nightly() -> Option<BpfToolchain> {
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")))?;
    paths::which("rustup")?;
    let mut toolchains = fs::read_dir(home.join("toolchains"))
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("nightly"))
        .collect::<Vec<_>>();
    // `nightly-x86_64-…` sorts behind all dated ones.
    toolchains.sort();
    toolchains.into_iter().rev().find_map(|name| {
        let root = home.join("toolchains").join(&name);
        usable(&root, &root.join("lib/rustlib/src/rust/library"), name)
    })
}

fn debian() -> Option<BpfToolchain> {
    let root = Path::new("/usr");
    if !paths::is_executable(&root.join("bin/cargo")) {
        return None;
    }
    usable(
        root,
        &root.join("lib/rustlib/src/rust/library"),
        "/usr".to_owned(),
    )
}

fn usable(root: &Path, source: &Path, name: String) -> Option<BpfToolchain> {
    let rustc = root.join("bin/rustc");
    if !source.join("core").is_dir() || !paths::is_executable(&rustc) {
        return None;
    }
    let version = process::output(Command::new(rustc).arg("--version")).ok()?;
    new_enough(&version).then(|| BpfToolchain {
        name,
        version: version.trim().to_owned(),
    })
}

fn new_enough(version: &str) -> bool {
    let mut numbers = version
        .strip_prefix("rustc ")
        .unwrap_or_default()
        .split(['.', ' ', '-'])
        .map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(OLDEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_compilers_are_refused() {
        assert!(new_enough(
            "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"
        ));
        assert!(new_enough("rustc 1.97.0-nightly (abc 2026-06-01)"));
        assert!(new_enough("rustc 2.0.0"));
        assert!(!new_enough("rustc 1.63.0"));
        assert!(!new_enough("rustc"));
        assert!(!new_enough(""));
    }
}
