//! Learns the target lock's address where kallsyms hides it.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Btf, EbpfLoader,
    maps::Array,
    programs::{FEntry, FExit, KProbe},
};
use aya_log::EbpfLogger;

use super::object::OBJECT;
use crate::kernel::LOCK_FUNCTION;
use crate::recording::schema::Method;

/// How long children are made and reaped before learning is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The address of the first lock that is written inside this function, in which every task ends.
///
/// # Errors
/// The kernel refuses a program, or no reap was seen.
pub fn address(method: Method, inside: &str) -> Result<u64> {
    let mut ebpf = EbpfLoader::new()
        .map_max_entries("CPUS", 1)
        .load(OBJECT)
        .context("cannot create the maps of the learning programs")?;
    let mut logger = EbpfLogger::init(&mut ebpf).ok();
    match method {
        Method::Fentry => {
            let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF")?;
            for (name, function) in [
                ("learn_lock_requested", LOCK_FUNCTION),
                ("learn_function_entered", inside),
            ] {
                let program: &mut FEntry = program(&mut ebpf, name)?;
                program
                    .load(function, &btf)
                    .and_then(|()| program.attach().map(|_link| ()))
                    .with_context(|| format!("cannot attach {name} to {function}"))?;
            }
            let program: &mut FExit = program(&mut ebpf, "learn_function_left")?;
            program
                .load(inside, &btf)
                .and_then(|()| program.attach().map(|_link| ()))
                .with_context(|| format!("cannot attach learn_function_left to {inside}"))?;
        }
        Method::Kprobe => {
            for (name, function) in [
                ("kprobe_learn_lock_requested", LOCK_FUNCTION),
                ("kretprobe_learn_function_left", inside),
                ("kprobe_learn_function_entered", inside),
            ] {
                let program: &mut KProbe = program(&mut ebpf, name)?;
                program
                    .load()
                    .and_then(|()| program.attach(function, 0).map(|_link| ()))
                    .with_context(|| format!("cannot attach {name} to {function}"))?;
            }
        }
        Method::Wait | Method::Off => {
            return Err(anyhow!(
                "the lock's address can be learned only where {inside} can be probed"
            ));
        }
    }
    let learned = ebpf
        .map("LEARNED")
        .ok_or_else(|| anyhow!("the eBPF object has no map LEARNED"))?;
    let learned: Array<_, [u64; 2]> = Array::try_from(learned)?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        reap_one_child()?;
        let [_task, lock] = learned.get(&0, 0).context("cannot read what was learned")?;
        if lock != 0 {
            if let Some(logger) = &mut logger {
                logger.flush();
            }
            return Ok(lock);
        }
    }
    Err(anyhow!(
        "no reap was seen in {} s, so the lock's address could not be learned",
        PATIENCE.as_secs()
    ))
}

fn program<'ebpf, P>(ebpf: &'ebpf mut aya::Ebpf, name: &str) -> Result<&'ebpf mut P>
where
    &'ebpf mut P: TryFrom<&'ebpf mut aya::programs::Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| anyhow!("the eBPF object has no program {name} of the expected kind"))
}

/// Makes a child that ends at once, and reaps it.
fn reap_one_child() -> Result<()> {
    Command::new("/proc/self/exe")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_status| ())
        .context("cannot start a child whose reaping would show the lock")
}
