//! The links by which programs are attached: each kind of window has its own.

use std::{collections::BTreeMap, io};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use aya::{
    Btf, Ebpf,
    programs::{
        Link as _, Program, ProgramError, ProgramFd, fentry::FEntryLink, fexit::FExitLink,
        kprobe::KProbeLink, raw_trace_point::RawTracePointLink, tp_btf::BtfTracePointLink,
    },
};
use aya_log::EbpfLogger;

use crate::{
    kernel::{AttachPlan, PlannedProbe, ProbeKind, Role},
    recording::schema::WindowKind,
};

/// A program that is loaded.
#[derive(Debug)]
pub struct Loaded {
    /// What was planned.
    pub probe: PlannedProbe,
    /// The program's id in the kernel.
    pub id: u32,
    /// The program.
    pub fd: ProgramFd,
}

/// A link of one of the kinds that lockprof attaches; dropping it detaches.
#[derive(Debug)]
enum OwnedLink {
    FEntry(FEntryLink),
    FExit(FExitLink),
    KProbe(KProbeLink),
    RawTracePoint(RawTracePointLink),
    BtfTracePoint(BtfTracePointLink),
}

impl OwnedLink {
    fn detach(self) -> Result<(), ProgramError> {
        match self {
            Self::FEntry(link) => link.detach(),
            Self::FExit(link) => link.detach(),
            Self::KProbe(link) => link.detach(),
            Self::RawTracePoint(link) => link.detach(),
            Self::BtfTracePoint(link) => link.detach(),
        }
    }
}

/// The programs with the links of the present window. They are owned by file descriptors, nothing is pinned:
/// when the process ends, however it ends, the kernel detaches them.
#[derive(Debug)]
pub struct Links {
    ebpf: Ebpf,
    /// In the order of attaching; a link where it is attached.
    places: Vec<(PlannedProbe, Option<OwnedLink>)>,
    /// Functions of spans that the kernel had no place on, and why.
    refused: BTreeMap<String, String>,
}

impl Links {
    /// Loads the programs of a plan. They stay loaded, and nothing is attached yet.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load(mut ebpf: Ebpf, plan: &AttachPlan) -> Result<(Self, Vec<Loaded>)> {
        let tracing = |probe: &PlannedProbe| {
            matches!(
                probe.kind,
                ProbeKind::FEntry | ProbeKind::FExit | ProbeKind::BtfTracepoint
            )
        };
        let btf = if plan.attachable().any(tracing) {
            Some(Btf::from_sys_fs().context("cannot read the kernel's BTF")?)
        } else {
            None
        };
        let loaded = plan
            .attachable()
            .map(|probe| load(&mut ebpf, btf.as_ref(), probe))
            .collect::<Result<_>>()?;
        let places = plan.attachable().map(|probe| (probe.clone(), None));
        let places = places.collect();
        let links = Self {
            ebpf,
            places,
            refused: BTreeMap::new(),
        };
        Ok((links, loaded))
    }

    /// Detaches what the next window is without, in the reverse order of attaching, and attaches what it has
    /// besides, in that order: a probe comes after those that it relies on, so that an event at the moment of
    /// attaching is not half seen. A span that the kernel has no place for is left out from now on.
    ///
    /// # Errors
    /// The kernel refuses what is no span. What is attached by then is detached when `self` is dropped.
    pub fn change_to(&mut self, kind: WindowKind) -> Result<()> {
        for (probe, link) in self.places.iter_mut().rev() {
            if !probe.windows.contains(&kind) {
                detach(probe, link)?;
            }
        }
        for index in 0..self.places.len() {
            let (probe, link) = &mut self.places[index];
            let wanted = probe.windows.contains(&kind) && !self.refused.contains_key(&probe.target);
            if !wanted || link.is_some() {
                continue;
            }
            match attach(&mut self.ebpf, probe) {
                Ok(attached) => *link = Some(attached),
                Err(error) if probe.role == Role::Span => {
                    let target = probe.target.clone();
                    self.leave_out(target, &error)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Leaves out a span, of which the end may be attached already.
    fn leave_out(&mut self, target: String, why: &Error) -> Result<()> {
        for (probe, link) in &mut self.places {
            if probe.target == target {
                detach(probe, link)?;
            }
        }
        self.refused.insert(target, format!("{why:#}"));
        Ok(())
    }

    /// The functions of spans that the kernel had no place on, and why.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// Detaches everything. The programs stay loaded, so that what the kernel has counted of them can still be
    /// read.
    ///
    /// # Errors
    /// The kernel refuses; the remaining links close when `self` is dropped.
    pub fn detach(&mut self) -> Result<()> {
        self.change_to(WindowKind::Bare)
    }

    /// The logger of the programs, where they log at all.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        EbpfLogger::init(&mut self.ebpf).ok()
    }
}

fn detach(probe: &PlannedProbe, link: &mut Option<OwnedLink>) -> Result<()> {
    let detached = link.take().map_or(Ok(()), OwnedLink::detach);
    detached.with_context(|| format!("cannot detach {} from {}", probe.program, probe.target))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    ebpf.program_mut(name)
        .ok_or_else(|| anyhow!("the eBPF object has no program {name}"))
}

fn load(ebpf: &mut Ebpf, btf: Option<&Btf>, probe: &PlannedProbe) -> Result<Loaded> {
    let (name, target) = (&probe.program, &probe.target);
    let program = program(ebpf, &probe.in_object)?;
    let failed = || format!("cannot load {name} for {target}");
    // One program may stand at several tracepoints.
    if program.fd().is_err() {
        load_once(program, btf, probe).with_context(failed)?;
    }
    let fd = program.fd().with_context(failed)?.try_clone();
    let info = program
        .info()
        .with_context(|| format!("cannot read the kernel's information on {name}"))?;
    // Told since Linux 5.16.
    if let Some(count) = info.verified_instruction_count() {
        log::debug!("{name} for {target}: {count} instructions verified");
    }
    Ok(Loaded {
        probe: probe.clone(),
        id: info.id(),
        fd: fd.with_context(failed)?,
    })
}

fn load_once(program: &mut Program, btf: Option<&Btf>, probe: &PlannedProbe) -> Result<()> {
    let target = &probe.target;
    let btf = || btf.ok_or_else(|| anyhow!("tracing programs need the kernel's BTF"));
    match (program, probe.kind) {
        (Program::FEntry(program), ProbeKind::FEntry) => program.load(target, btf()?)?,
        (Program::FExit(program), ProbeKind::FExit) => program.load(target, btf()?)?,
        (Program::KProbe(program), ProbeKind::Kprobe | ProbeKind::Kretprobe) => program.load()?,
        (Program::RawTracePoint(program), ProbeKind::RawTracepoint) => program.load()?,
        (Program::BtfTracePoint(program), ProbeKind::BtfTracepoint) => {
            program.load(target, btf()?)?
        }
        (_, kind) => bail!("the program is not of kind {kind:?}"),
    }
    Ok(())
}

fn attach(ebpf: &mut Ebpf, probe: &PlannedProbe) -> Result<OwnedLink> {
    let (name, target) = (&probe.program, &probe.target);
    link(program(ebpf, &probe.in_object)?, target)
        .map_err(|error| match hint(&error) {
            Some(hint) => error.context(hint),
            None => error,
        })
        .with_context(|| format!("cannot attach {name} to {target}"))
}

/// What the kernel means by an error that says something else.
fn hint(error: &Error) -> Option<&'static str> {
    let mut causes = error.chain();
    let number = causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())?;
    match number {
        // bpf_trampoline_link_prog, kernel/bpf/trampoline.c; BPF_MAX_TRAMP_LINKS, include/linux/bpf.h.
        libc::E2BIG => Some(
            "other programs, which `lockprof doctor` lists, have all the room that a function has: for 38, from \
             Linux 7.2 on for 36",
        ),
        // create_local_trace_kprobe, kernel/trace/trace_kprobe.c, from Linux 6.6 on.
        libc::EADDRNOTAVAIL => {
            Some("several functions of the kernel and its modules have this name")
        }
        _ => None,
    }
}

fn link(program: &mut Program, target: &str) -> Result<OwnedLink> {
    Ok(match program {
        Program::FEntry(program) => {
            let link = program.attach()?;
            OwnedLink::FEntry(program.take_link(link)?)
        }
        Program::FExit(program) => {
            let link = program.attach()?;
            OwnedLink::FExit(program.take_link(link)?)
        }
        Program::KProbe(program) => {
            let link = program.attach(target, 0)?;
            OwnedLink::KProbe(program.take_link(link)?)
        }
        Program::RawTracePoint(program) => {
            let link = program.attach(target)?;
            OwnedLink::RawTracePoint(program.take_link(link)?)
        }
        Program::BtfTracePoint(program) => {
            let link = program.attach()?;
            OwnedLink::BtfTracePoint(program.take_link(link)?)
        }
        _ => bail!("the program is of a kind that lockprof does not attach"),
    })
}
