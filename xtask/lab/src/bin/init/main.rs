//! The guest's init: runs the steps of a script and sends back what they did.
//!
//! It is the only program in the guest that the lab adds beside the steps' own. It makes one process
//! for each step and no thread, because on an idle guest every fork counts; it sleeps in poll()
//! until a step prints or ends.

mod cgroups;
mod container;
mod fifos;
mod folders;
mod machine;
mod modules;
mod output;
mod proc_entries;
mod rwsems;
mod smoke;
mod sockets;
mod steps;
mod symbols;
mod terminal;
mod user;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lab::vm::fdinfo;
use lab::vm::protocol::{GuestScript, Kind, OUT_DIR, SCRIPT_PATH};

use output::Port;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(done) = folders::run(&words).or_else(|| fifos::run(&words)) {
        return ended(words[0], done);
    }
    match words[..] {
        [smoke::CHECKS] => return ended(smoke::CHECKS, smoke::run()),
        [smoke::EXIT, status] => return ExitCode::from(status.parse::<u8>().unwrap_or(1)),
        [terminal::WRITE] => return ended(terminal::WRITE, terminal::run()),
        [modules::INSERT, file] => return ended(modules::INSERT, modules::insert(file)),
        [sockets::JOIN, count] => return ended(sockets::JOIN, sockets::join(count)),
        [fdinfo::STEP] => return ended(fdinfo::STEP, print_fdinfo()),
        [modules::WRITE, file, text] => return ended(modules::WRITE, modules::write(file, text)),
        [modules::REMOVE, name] => return ended(modules::REMOVE, modules::remove(name)),
        [
            container::IN_CGROUP_NAMESPACE,
            cgroup,
            mounted,
            capabilities,
            ref program @ ..,
        ] => {
            let executed = container::execute(cgroup, mounted, capabilities, program);
            return ended(container::IN_CGROUP_NAMESPACE, executed);
        }
        [rwsems::CHANGE, tasks, times] => {
            return ended(rwsems::CHANGE, rwsems::change(tasks, times));
        }
        [proc_entries::NAMESPACE] => {
            return ended(proc_entries::NAMESPACE, proc_entries::unshare());
        }
        [proc_entries::LOAD, lookups, namespaces] => {
            return ended(proc_entries::LOAD, proc_entries::run(lookups, namespaces));
        }
        [rwsems::LIST, tasks, times] => return ended(rwsems::LIST, rwsems::list(tasks, times)),
        [rwsems::MAP, tasks, times, ref program @ ..] => {
            return ended(rwsems::MAP, rwsems::map(tasks, times, program));
        }
        [rwsems::READ_BY_ANOTHER, tasks, times] => {
            return ended(rwsems::READ_BY_ANOTHER, rwsems::be_read(tasks, times));
        }
        [rwsems::READ, process, address, times] => {
            return ended(rwsems::READ, rwsems::read(process, address, times));
        }
        [rwsems::MASK, times] => return ended(rwsems::MASK, rwsems::mask(times)),
        [symbols::WITHOUT_DATA, map, ref program @ ..] => {
            return ended(symbols::WITHOUT_DATA, symbols::execute(map, program));
        }
        _ => {}
    }
    // Whatever happens the guest must end: the host waits for it, and a PID 1 that returns is a
    // kernel panic, which is also the right answer to the early errors that cannot be reported.
    if let Err(error) = guest() {
        eprintln!("lockprof guest init: {error:#}");
    }
    // SAFETY: reboot() with this constant takes no pointer; there is no file system to lose.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    ExitCode::FAILURE
}

/// As a step of a script, this program does what no other one in the guest can.
fn ended(what: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{what}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the kernel tells of everybody's programs, for the host.
fn print_fdinfo() -> Result<()> {
    println!("{}", serde_json::to_string(&fdinfo::of_all()?)?);
    Ok(())
}

fn guest() -> Result<()> {
    // SAFETY: getpid() has no preconditions.
    if unsafe { libc::getpid() } != 1 {
        bail!("this is the init of lockprof's guests, started by `cargo xtask vm`");
    }
    let mounted = machine::mount_all();
    let mut port = Port::open().context("cannot open the results port")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    port.send(Kind::Hello, 0, release.trim().as_bytes())?;
    match mounted.and_then(|()| run_script(&mut port)) {
        Ok(()) => port.send(Kind::Done, 0, &[])?,
        Err(error) => port.send(Kind::Trouble, 0, format!("{error:#}").as_bytes())?,
    }
    port.drain();
    Ok(())
}

fn run_script(port: &mut Port) -> Result<()> {
    machine::raise_limits()?;
    let text = fs::read(SCRIPT_PATH).with_context(|| format!("cannot read {SCRIPT_PATH}"))?;
    let script: GuestScript = serde_json::from_slice(&text).context("cannot parse the script")?;
    machine::seed_random_numbers(script.seed)?;
    machine::let_the_kernel_settle();
    steps::run(port, &script)?;
    output::send_files(port, Path::new(OUT_DIR), "")
}
