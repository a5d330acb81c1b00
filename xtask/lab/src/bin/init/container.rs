//! A program in a cgroup namespace, as in a container.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::thread::CapabilitySet;

use crate::user;

/// `in-cgroup-namespace CGROUP own|hosts all|CAPABILITIES PROGRAM…`: the hierarchy that is mounted there is one of the
/// namespace's own, or stays that of the host; the capabilities are a mask, of a user who is nobody else.
pub const IN_CGROUP_NAMESPACE: &str = "in-cgroup-namespace";

/// Where the hierarchy is mounted.
const HIERARCHY: &CStr = c"/sys/fs/cgroup";

/// Executes a program in a namespace of which a cgroup is the root; returns only where it cannot.
pub fn execute(cgroup: &str, mounted: &str, capabilities: &str, program: &[&str]) -> Result<()> {
    let procs = format!("{cgroup}/cgroup.procs");
    fs::write(&procs, "0").with_context(|| format!("cannot write {procs}"))?;
    // SAFETY: this process has one thread, and the call takes an integer.
    succeed("unshare", unsafe {
        libc::unshare(libc::CLONE_NEWCGROUP | libc::CLONE_NEWNS)
    })?;
    if mounted == "own" {
        mount_own()?;
    }
    let (name, arguments) = program.split_first().context("no program")?;
    let mut command = Command::new(name);
    command.args(arguments);
    if capabilities != "all" {
        let mask = capabilities.parse().context("no mask of capabilities")?;
        user::become_nobody(CapabilitySet::from_bits_retain(mask))?;
    }
    Err(command.exec()).with_context(|| format!("cannot execute {name}"))
}

/// Shows a file in the place of another one, to this process and what it executes.
pub fn mount_privately(file: &str, place: &str) -> Result<()> {
    // SAFETY: this process has one thread, and the call takes an integer.
    succeed("unshare", unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    make_private()?;
    let path = |path| CString::new(path).context("no path");
    let (file, place) = (path(file)?, path(place)?);
    let nothing = std::ptr::null();
    // SAFETY: valid strings, and no data.
    succeed("mount --bind", unsafe {
        let kind = std::ptr::null();
        libc::mount(file.as_ptr(), place.as_ptr(), kind, libc::MS_BIND, nothing)
    })
}

/// What is mounted from now on is seen in this namespace alone.
fn make_private() -> Result<()> {
    let nothing = std::ptr::null();
    // SAFETY: a valid path; the call reads nothing else.
    succeed("mount --make-rprivate", unsafe {
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast())
    })
}

/// What is mounted from now on is seen in this namespace alone, and begins at its root.
fn mount_own() -> Result<()> {
    let nothing = std::ptr::null::<libc::c_void>();
    make_private()?;
    // SAFETY: a valid path.
    succeed("umount", unsafe {
        libc::umount2(HIERARCHY.as_ptr(), libc::MNT_DETACH)
    })?;
    let kind = c"cgroup2".as_ptr();
    // SAFETY: valid strings, no flags, and no data.
    succeed("mount", unsafe {
        libc::mount(kind, HIERARCHY.as_ptr(), kind, 0, nothing)
    })
}

fn succeed(what: &str, result: libc::c_int) -> Result<()> {
    if result != 0 {
        bail!("{what}: {}", io::Error::last_os_error());
    }
    Ok(())
}
