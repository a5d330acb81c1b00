//! Kernel modules, as steps of a script load and unload them.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, bail};

/// `insert FILE`.
pub const INSERT: &str = "insert";
/// `remove NAME`.
pub const REMOVE: &str = "remove";

/// `write FILE TEXT`.
pub const WRITE: &str = "write";

/// Writes a text to a file of /sys, where a module takes it.
pub fn write(file: &str, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {text} to {file}"))
}

/// Loads a module, and prints the line that /proc/modules has of it.
pub fn insert(path: &str) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    // SAFETY: the descriptor is that of an open file, the parameters are an empty string.
    let loaded =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if loaded != 0 {
        let error = io::Error::last_os_error();
        bail!("cannot load {path}: {error}");
    }
    let name = path.trim_start_matches('/').trim_end_matches(".ko");
    let modules = fs::read_to_string("/proc/modules").context("cannot read /proc/modules")?;
    let mut lines = modules.lines();
    let line = lines.find(|line| line.split(' ').next() == Some(name));
    println!("{}", line.with_context(|| format!("{name} is not there"))?);
    Ok(())
}

/// Unloads a module, and prints how often its function was called by shortly before.
pub fn remove(name: &str) -> Result<()> {
    let calls = format!("/sys/module/{name}/parameters/calls");
    let calls = fs::read_to_string(&calls).with_context(|| format!("cannot read {calls}"))?;
    let module = CString::new(name)?;
    // SAFETY: the name is a valid string, and the flags are those that delete_module(2) has.
    let unloaded =
        unsafe { libc::syscall(libc::SYS_delete_module, module.as_ptr(), libc::O_NONBLOCK) };
    if unloaded != 0 {
        let error = io::Error::last_os_error();
        bail!("cannot unload {name}: {error}");
    }
    println!("{}", calls.trim());
    Ok(())
}
