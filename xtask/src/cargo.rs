//! Builds: the static binaries that serve the host and the guests.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use lab::process;
use lab::vm::VmRequest;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::GuestScript;

use crate::checkout;
use crate::toolchain::Environment;

/// Debian's and rustup's name of this machine; static glibc links fine on it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What guests run. The host runs the same lockprof.
#[derive(Clone, Debug)]
pub struct StaticBinaries {
    /// The profiler.
    pub lockprof: PathBuf,
    /// The guests' init.
    pub init: PathBuf,
    /// Programs that do nothing, in the place of another tool's.
    pub empty_probes: PathBuf,
}

impl StaticBinaries {
    /// A boot on two CPUs by the wall clock, with lockprof at /bin/lockprof.
    #[must_use]
    pub fn request(&self, kernel: PathBuf, script: GuestScript) -> VmRequest {
        let lockprof = GuestFile {
            guest: "/bin/lockprof".to_owned(),
            host: self.lockprof.clone(),
        };
        VmRequest {
            files: vec![lockprof],
            ..VmRequest::new(kernel, self.init.clone(), script)
        }
    }
}

/// Cargo, as it was called for us, in the root of the checkout.
pub fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout::root()?);
    Ok(command)
}

/// Cargo with what the build of the eBPF object needs.
pub fn cargo_with(environment: &Environment) -> Result<Command> {
    let mut command = cargo()?;
    environment.apply(&mut command);
    Ok(command)
}

/// Builds lockprof and the guests' init, both static, in a target folder of their own (other
/// flags would build everything again in the common one).
pub fn build_static(environment: &Environment) -> Result<StaticBinaries> {
    build(
        environment,
        &[
            ("lockprof", "lockprof"),
            ("lockprof", "lockprof-empty-probes"),
            ("lab", "guest-init"),
        ],
    )?;
    let folder = static_folder()?;
    Ok(StaticBinaries {
        lockprof: folder.join("lockprof"),
        init: folder.join("guest-init"),
        empty_probes: folder.join("lockprof-empty-probes"),
    })
}

/// Builds the binaries `(package, binary)` like [`build_static`], and gives their folder.
pub fn build(environment: &Environment, binaries: &[(&str, &str)]) -> Result<PathBuf> {
    let mut command = cargo_with(environment)?;
    command.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        TARGET,
    ]);
    for (package, binary) in binaries {
        command.args(["--package", package, "--bin", binary]);
    }
    command
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", checkout::target()?.join("static"));
    process::run(&mut command)?;
    let folder = static_folder()?;
    for (_, binary) in binaries {
        if !folder.join(binary).is_file() {
            bail!("cargo built no {}", folder.join(binary).display());
        }
    }
    Ok(folder)
}

fn static_folder() -> Result<PathBuf> {
    Ok(checkout::target()?
        .join("static")
        .join(TARGET)
        .join("release"))
}
