//! Attaches programs that do nothing, or only read the clock, until SIGINT or SIGTERM: the floor that the bench compares
//! lockprof with. A tool of the lab; users have no need of it.

use std::{fmt, process::ExitCode, str::FromStr};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{Btf, Ebpf, programs::Program};
use clap::Parser;
use lockprof::kernel::Kallsyms;

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lockprof-empty-programs"));

/// Attach eBPF programs that do nothing, say so, and wait for SIGINT or SIGTERM
#[derive(Debug, Parser)]
#[command(name = "lockprof-empty-probes", version)]
struct Arguments {
    /// fentry:FUNCTION, fexit:FUNCTION, kprobe:FUNCTION, kretprobe:FUNCTION or
    /// raw_tracepoint:NAME, attached in this order; clock_fentry:FUNCTION, clock_fexit:FUNCTION and
    /// clock_raw_tracepoint:NAME read the clock
    probes: Vec<Probe>,
    /// Print NAME START END of those of these functions that the kernel has, and NAME ADDRESS
    /// ADDRESS of objects, in hexadecimal, and do nothing else
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "probes")]
    symbols: Vec<String>,
}

/// A program and where it goes.
#[derive(Clone, Debug)]
struct Probe {
    kind: Kind,
    target: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    FEntry,
    FExit,
    ClockFEntry,
    ClockFExit,
    KProbe,
    KRetProbe,
    RawTracePoint,
    ClockRawTracePoint,
}

impl Kind {
    /// The program's name in the object.
    fn program(self) -> &'static str {
        match self {
            Self::FEntry => "empty_fentry",
            Self::FExit => "empty_fexit",
            Self::ClockFEntry => "clock_fentry",
            Self::ClockFExit => "clock_fexit",
            Self::KProbe => "empty_kprobe",
            Self::KRetProbe => "empty_kretprobe",
            Self::RawTracePoint => "empty_raw_tracepoint",
            Self::ClockRawTracePoint => "clock_raw_tracepoint",
        }
    }
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, target) = text.split_once(':').ok_or("expected KIND:TARGET")?;
        let kind = match kind {
            "fentry" => Kind::FEntry,
            "fexit" => Kind::FExit,
            "clock_fentry" => Kind::ClockFEntry,
            "clock_fexit" => Kind::ClockFExit,
            "kprobe" => Kind::KProbe,
            "kretprobe" => Kind::KRetProbe,
            "raw_tracepoint" => Kind::RawTracePoint,
            "clock_raw_tracepoint" => Kind::ClockRawTracePoint,
            _ => return Err(format!("there is no kind {kind}")),
        };
        Ok(Self {
            kind,
            target: target.to_owned(),
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} to {}", self.kind.program(), self.target)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.symbols.is_empty() {
        attach(&arguments.probes)
    } else {
        print_symbols(&arguments.symbols)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockprof-empty-probes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_symbols(names: &[String]) -> Result<()> {
    let symbols = Kallsyms::read().context("cannot read /proc/kallsyms")?;
    for name in names {
        if let Some(range) = symbols.range_of(name) {
            let end = range.start + range.length;
            println!("{name} {:#x} {end:#x}", range.start);
        } else if let Some(address) = symbols.address_of_object(name) {
            println!("{name} {address:#x} {address:#x}");
        }
    }
    Ok(())
}

/// Attaches, and detaches when a signal has come.
fn attach(probes: &[Probe]) -> Result<()> {
    let signals = blocked_signals()?;
    let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF")?;
    let mut loaded = Vec::new();
    for probe in probes {
        loaded.push(attach_one(probe, &btf).with_context(|| format!("cannot attach {probe}"))?);
    }
    println!("attached {} empty probes", loaded.len());
    let mut signal = 0;
    // SAFETY: both pointers are to live values of their types.
    let error = unsafe { libc::sigwait(&raw const signals, &raw mut signal) };
    if error != 0 {
        bail!("cannot wait for a signal: error {error}");
    }
    // Those that came last go first.
    while let Some(one) = loaded.pop() {
        drop(one);
    }
    Ok(())
}

/// Holds SIGINT and SIGTERM back until they are waited for.
fn blocked_signals() -> Result<libc::sigset_t> {
    // SAFETY: sigset_t is plain integers, for which zero bytes are valid, and the calls are given
    // pointers to this one live value.
    let (error, signals) = unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGINT);
        libc::sigaddset(&raw mut signals, libc::SIGTERM);
        let error =
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
        (error, signals)
    };
    if error != 0 {
        bail!("cannot block signals: error {error}");
    }
    Ok(signals)
}

/// A program can be loaded for one function only, so each probe has an object of its own.
fn attach_one(probe: &Probe, btf: &Btf) -> Result<Ebpf> {
    let mut object = Ebpf::load(OBJECT).context("cannot load the object")?;
    let name = probe.kind.program();
    let program = object
        .program_mut(name)
        .ok_or_else(|| anyhow!("the object has no program {name}"))?;
    match program {
        Program::FEntry(program) => {
            program.load(&probe.target, btf)?;
            program.attach()?;
        }
        Program::FExit(program) => {
            program.load(&probe.target, btf)?;
            program.attach()?;
        }
        Program::KProbe(program) => {
            program.load()?;
            program.attach(&probe.target, 0)?;
        }
        Program::RawTracePoint(program) => {
            program.load()?;
            program.attach(&probe.target)?;
        }
        other => bail!("{name} is a program of kind {:?}", other.prog_type()),
    }
    Ok(object)
}
