//! Builds the eBPF object, with the toolchain that `cargo xtask setup` has found or installed.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use aya_build::{Package, Toolchain, build_ebpf};

/// What a build without the toolchain says.
const SET_UP_FIRST: &str = "the eBPF toolchain is not complete: run `cargo xtask setup` once \
                            (it installs bpf-linker and a toolchain that has core's source)";

/// Where Debian's rustc, cargo and core's source are, as a toolchain that rustup runs by its path.
const DEBIAN_TOOLCHAIN: &str = "/usr";

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed=LOCKPROF_BPF_TOOLCHAIN");
    let linker = linker_folder().ok_or_else(|| anyhow!("no bpf-linker; {SET_UP_FIRST}"))?;
    let toolchain =
        toolchain().ok_or_else(|| anyhow!("no source of Rust's core; {SET_UP_FIRST}"))?;

    let mut path = vec![linker];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path).context("cannot put bpf-linker's folder into PATH")?;
    set_variable("PATH", &path);
    if toolchain == DEBIAN_TOOLCHAIN {
        // Lets a stable compiler build core. Set for this build alone: in the environment of the
        // whole build it would switch on the nightly features of other crates.
        set_variable("RUSTC_BOOTSTRAP", &OsString::from("1"));
    }
    // aya-build passes on what cargo prints as warnings of this build.
    set_variable("CARGO_TERM_QUIET", &OsString::from("true"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiler-ebpf");
    let root_dir = root.to_str().context("the checkout's path is not UTF-8")?;
    build_ebpf(
        [Package {
            name: "profiler-ebpf",
            root_dir,
            ..Default::default()
        }],
        Toolchain::Custom(&toolchain),
    )
    .context(
        "cannot build the eBPF programs: what the compiler says of them stands above; if it says \
         nothing, the toolchain may be broken (`cargo xtask setup`)",
    )
}

fn set_variable(name: &str, value: &OsString) {
    // SAFETY: a build script has one thread until aya-build starts its own.
    unsafe { env::set_var(name, value) };
}

/// The folder of bpf-linker: the user's cache where set-up puts it, or any folder of PATH.
fn linker_folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")))?;
    let built = cache.join("lockprof/tools/bpf-linker-0.13.0/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(built)
        .chain(env::split_paths(&path))
        .find(|folder| folder.join("bpf-linker").is_file())
}

/// The toolchain that has core's source: the one that set-up chose, a rustup nightly, or Debian's.
fn toolchain() -> Option<String> {
    if let Ok(chosen) = env::var("LOCKPROF_BPF_TOOLCHAIN")
        && !chosen.is_empty()
    {
        return Some(chosen);
    }
    let rustup = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")))?;
    let nightly = std::fs::read_dir(rustup.join("toolchains"))
        .ok()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .join("lib/rustlib/src/rust/library/core")
                .is_dir()
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| name.starts_with("nightly"));
    nightly.or_else(|| {
        Path::new(DEBIAN_TOOLCHAIN)
            .join("lib/rustlib/src/rust/library/core")
            .exists()
            .then(|| DEBIAN_TOOLCHAIN.to_owned())
    })
}
