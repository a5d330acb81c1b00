//! How often functions are called on this machine: counted for a moment, before anything else is attached.

use std::thread;
use std::time::Instant;

use super::bpf_syscall::Counter;
use super::btf::{Btf, BtfKind};
use super::lock_rates::{WATCH, attach};
use super::trials::counting;
use crate::span::Span;

/// Calls of these functions a second, of all together and over all CPUs.
///
/// # Errors
/// BTF does not have one of them, or the kernel refuses a program that counts: what was tried, and the kernel's answer.
pub fn calls_per_s(spans: &[Span]) -> Result<f64, String> {
    let names: Vec<&str> = spans.iter().map(|span| span.name()).collect();
    let btf = Btf::from_sys_fs().map_err(|error| error.to_string())?;
    let functions = btf.find(BtfKind::Func, &names);
    let functions = functions.map_err(|error| error.to_string())?;
    let is_there = |name: &&&str| functions.iter().any(|function| function.name == **name);
    if let Some(missing) = names.iter().find(|name| !is_there(name)) {
        return Err(format!("BTF does not have {missing}"));
    }
    let counter = Counter::new().map_err(|error| format!("creating a map: {error}"))?;
    let attached = attach(&functions, &counting(counter.fd()))?;
    let read = || {
        let count = counter.read();
        count.map_err(|error| format!("reading a map: {error}"))
    };
    let before = read()?;
    let since = Instant::now();
    thread::sleep(WATCH);
    let seconds = since.elapsed().as_secs_f64();
    let calls = read()? - before;
    drop(attached);
    Ok(calls as f64 / seconds)
}
