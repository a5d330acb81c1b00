//! How often functions are called on this machine: counted for a moment, before anything else is attached.

use std::os::fd::AsFd as _;
use std::thread;
use std::time::Instant;

use super::bpf_syscall::{Counter, ProgramKind, load, open_raw_tracepoint};
use super::btf::{Btf, BtfKind, BtfType};
use super::instruction::instruction;
use super::lock_rates::WATCH;
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
    let instructions = counting(counter.fd());
    let attach = |function: &BtfType<'_>| {
        let what = |what: &str, why: &dyn std::fmt::Display| {
            format!(
                "{what} a program that counts calls of {}: {why}",
                function.name
            )
        };
        let program = load(ProgramKind::Fentry(function.id), &instructions)
            .map_err(|error| what("loading", &error))?;
        open_raw_tracepoint(None, program.as_fd()).map_err(|error| what("attaching", &error))
    };
    let attached = functions
        .iter()
        .map(attach)
        .collect::<Result<Vec<_>, _>>()?;
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

/// `*counter += 1; r0 = 0; exit`. The counter is named by the descriptor of its map (BPF_PSEUDO_MAP_VALUE, v5.2).
const fn counting(counter: i32) -> [u64; 6] {
    [
        instruction(0x18, 1 | (2 << 4), 0, counter),
        0,
        instruction(0xb7, 2, 0, 1),
        instruction(0xdb, 1 | (2 << 4), 0, 0),
        instruction(0xb7, 0, 0, 0),
        instruction(0x95, 0, 0, 0),
    ]
}
