//! Loads the programs that a plan names, attaches them in its order, and detaches them in reverse.

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{MapData, StackTraceMap},
    programs::{
        Link as _, Program, ProgramError, ProgramFd, fentry::FEntryLink, fexit::FExitLink,
        kprobe::KProbeLink, raw_trace_point::RawTracePointLink,
    },
};
use aya_log::EbpfLogger;
use lockprof_abi::{
    CGROUP_SLOTS, CgroupEntry, ContentionEntry, CpuState, OTHERS_PLACES, Phase, SiteRanges,
    TextRange,
};

use super::{casting::Casting, memory::MappedArray};
use crate::kernel::{AttachPlan, CallerTexts, FrameCast, PlannedProbe, ProbeKind};

/// The compiled eBPF programs.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lockprof-programs"));

/// Places for contended locks on each CPU. A power of two.
const CONTENTION_SLOTS: u32 = 512;
/// The same with the rows for all that find no place.
const CONTENTION_PLACES: u32 = CONTENTION_SLOTS + OTHERS_PLACES;
/// Distinct call stacks of waiters that are kept.
const STACKS: u32 = 8192;

/// What the programs must know before they are loaded.
#[derive(Clone, Debug)]
pub struct Constants {
    /// The target lock's address; 0 where it is not known, which no lock has.
    pub target_lock: u64,
    /// `_raw_write_lock_irq`.
    pub lock_function: TextRange,
    /// `_raw_write_unlock_irq`.
    pub unlock_function: TextRange,
    /// `_raw_read_lock`.
    pub read_function: TextRange,
    /// Known sites.
    pub sites: SiteRanges,
    /// Whether requests or acquisitions of the lock are probed.
    pub claim_waits: bool,
    /// Whether another task than the holder may book its hold.
    pub keep_task: bool,
    /// Whether a program stands at the entry of the unlock.
    pub release_probed: bool,
    /// Where a task_struct has nvcsw, in bytes; 0 where that is not known.
    pub task_switches: u32,
    /// Whether read acquisitions are probed.
    pub claim_read_waits: bool,
    /// Whether totals by cgroup are kept.
    pub cgroups: bool,
    /// By which text the caller of a waiter is found.
    pub callers: CallerTexts,
    /// Which spinning wait of a CPU's has its call stack walked: every so many. 0: none, nor any that
    /// sleeps.
    pub sample_every: u32,
    /// How the programs may read their trampolines' frames without a helper.
    pub frame_cast: Option<FrameCast>,
    /// Possible CPUs.
    pub cpus: u32,
}

/// A program that is attached, for as long as it lives.
#[derive(Debug)]
pub struct Attached {
    /// What was planned.
    pub probe: PlannedProbe,
    /// The program's id in the kernel.
    pub id: u32,
    link: OwnedLink,
}

/// A link of one of the kinds that lockprof attaches; dropping it detaches.
#[derive(Debug)]
enum OwnedLink {
    FEntry(FEntryLink),
    FExit(FExitLink),
    KProbe(KProbeLink),
    RawTracePoint(RawTracePointLink),
}

impl OwnedLink {
    fn detach(self) -> Result<(), ProgramError> {
        match self {
            Self::FEntry(link) => link.detach(),
            Self::FExit(link) => link.detach(),
            Self::KProbe(link) => link.detach(),
            Self::RawTracePoint(link) => link.detach(),
        }
    }
}

/// The loaded and attached programs. The links are owned by file descriptors, nothing is pinned: when
/// the process ends, however it ends, the kernel detaches them.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    attached: Vec<Attached>,
    /// The state of each CPU.
    pub cpus: MappedArray<CpuState>,
    /// The tables of contended locks.
    pub contention: MappedArray<ContentionEntry>,
    /// The tables of cgroups.
    pub cgroups: MappedArray<CgroupEntry>,
    /// Call stacks of waiters.
    pub stacks: StackTraceMap<MapData>,
}

impl Programs {
    /// Loads the object with its constants and maps its arrays. Nothing is attached yet.
    ///
    /// # Errors
    /// The kernel refuses a map or the object.
    pub fn load(constants: &Constants) -> Result<Self> {
        let casting = Casting::of(constants.frame_cast);
        let flags = [
            u32::from(constants.claim_waits),
            u32::from(constants.claim_read_waits),
            u32::from(constants.cgroups),
            u32::from(constants.keep_task),
            u32::from(constants.release_probed),
        ];
        let [
            claim_waits,
            claim_read_waits,
            cgroups,
            keep_task,
            release_probed,
        ] = &flags;
        let lock_function = [
            constants.lock_function.start,
            constants.lock_function.length,
        ];
        let unlock_function = [
            constants.unlock_function.start,
            constants.unlock_function.length,
        ];
        let read_function = [
            constants.read_function.start,
            constants.read_function.length,
        ];
        let sites = constants.sites.to_words();
        let callers = &constants.callers;
        let words = |text: &TextRange| [text.start, text.length];
        let [between, lock_text, kernel] =
            [callers.between, callers.lock, callers.kernel].map(|text| words(&text));
        let cgroup_entries = if constants.cgroups {
            constants.cpus * CGROUP_SLOTS
        } else {
            1
        };
        let mut ebpf = EbpfLoader::new()
            .override_global("TARGET_LOCK", &constants.target_lock, true)
            .override_global("LOCK_FUNCTION", &lock_function, true)
            .override_global("UNLOCK_FUNCTION", &unlock_function, true)
            .override_global("READ_FUNCTION", &read_function, true)
            .override_global("SITE_RANGES", &sites, true)
            .override_global("FRAME_TYPE", &casting.frame_type, true)
            .override_global("CLAIM_WAITS", claim_waits, true)
            .override_global("CLAIM_READ_WAITS", claim_read_waits, true)
            .override_global("KEEP_CGROUPS", cgroups, true)
            .override_global("KEEP_TASK", keep_task, true)
            .override_global("RELEASE_PROBED", release_probed, true)
            .override_global("TASK_SWITCHES", &constants.task_switches, true)
            .override_global("SAMPLE_EVERY", &constants.sample_every, true)
            .override_global("BETWEEN_TEXT", &between, true)
            .override_global("LOCK_TEXT", &lock_text, true)
            .override_global("KERNEL_TEXT", &kernel, true)
            .override_global("CONTENTION_MASK", &(CONTENTION_SLOTS - 1), true)
            .map_max_entries("CPUS", constants.cpus)
            .map_max_entries("CONTENTION", constants.cpus * CONTENTION_PLACES)
            .map_max_entries("CGROUPS", cgroup_entries)
            .map_max_entries("STACKS", STACKS)
            .load(casting.object())
            .context("cannot create the maps of the eBPF programs")?;
        let cpus = constants.cpus as usize;
        let stacks = ebpf
            .take_map("STACKS")
            .ok_or_else(|| anyhow!("the eBPF object has no map STACKS"))?;
        Ok(Self {
            cpus: MappedArray::open(&ebpf, "CPUS", cpus)?,
            contention: MappedArray::open(&ebpf, "CONTENTION", cpus * CONTENTION_PLACES as usize)?,
            cgroups: MappedArray::open(&ebpf, "CGROUPS", cgroup_entries as usize)?,
            stacks: StackTraceMap::try_from(stacks).context("cannot use the map STACKS")?,
            ebpf,
            attached: Vec::new(),
        })
    }

    /// Attaches what the plan says, in its order: a probe comes after those that it relies on, so
    /// that an event at the moment of attaching is not half seen.
    ///
    /// # Errors
    /// The kernel refuses a program. What was attached before is detached when `self` is dropped.
    pub fn attach(&mut self, plan: &AttachPlan) -> Result<()> {
        let btf = if plan.probes.iter().any(is_tracing) {
            Some(Btf::from_sys_fs().context("cannot read the kernel's BTF")?)
        } else {
            None
        };
        for probe in plan.probes.iter().filter(|probe| probe.absent.is_none()) {
            let attached = attach_one(&mut self.ebpf, btf.as_ref(), probe)?;
            self.attached.push(attached);
        }
        self.cpus.tell(Phase::WarmUp, true);
        Ok(())
    }

    /// What is attached, in the order of attaching.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// The file descriptor of an attached program.
    ///
    /// # Errors
    /// The program is not loaded.
    pub fn program_fd(&self, name: &str) -> Result<&ProgramFd> {
        self.ebpf
            .program(name)
            .ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?
            .fd()
            .with_context(|| format!("the program {name} is not loaded"))
    }

    /// The logger of the programs, where they log at all.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        EbpfLogger::init(&mut self.ebpf).ok()
    }

    /// Detaches everything, in the reverse order of attaching. The programs stay loaded, so that
    /// what the kernel has counted of them can still be read.
    ///
    /// # Errors
    /// The kernel refuses; the remaining links close when `self` is dropped.
    pub fn detach(&mut self) -> Result<()> {
        self.cpus.tell(Phase::WarmUp, false);
        while let Some(Attached { probe, link, .. }) = self.attached.pop() {
            link.detach().with_context(|| {
                format!("cannot detach {} from {}", probe.program, probe.target)
            })?;
        }
        Ok(())
    }
}

fn is_tracing(probe: &PlannedProbe) -> bool {
    matches!(probe.kind, ProbeKind::FEntry | ProbeKind::FExit)
}

/// Loads and attaches one program.
fn attach_one(ebpf: &mut Ebpf, btf: Option<&Btf>, probe: &PlannedProbe) -> Result<Attached> {
    let (name, target) = (&probe.program, &probe.target);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?;
    let link = load_and_link(program, btf, probe)
        .with_context(|| format!("cannot attach {name} to {target}"))?;
    let info = program
        .info()
        .with_context(|| format!("cannot read the kernel's information on {name}"))?;
    Ok(Attached {
        probe: probe.clone(),
        id: info.id(),
        link,
    })
}

fn load_and_link(
    program: &mut Program,
    btf: Option<&Btf>,
    probe: &PlannedProbe,
) -> Result<OwnedLink> {
    let target = &probe.target;
    let btf = || btf.ok_or_else(|| anyhow!("tracing programs need the kernel's BTF"));
    Ok(match (program, probe.kind) {
        (Program::FEntry(program), ProbeKind::FEntry) => {
            program.load(target, btf()?)?;
            let link = program.attach()?;
            OwnedLink::FEntry(program.take_link(link)?)
        }
        (Program::FExit(program), ProbeKind::FExit) => {
            program.load(target, btf()?)?;
            let link = program.attach()?;
            OwnedLink::FExit(program.take_link(link)?)
        }
        (Program::KProbe(program), ProbeKind::Kprobe | ProbeKind::Kretprobe) => {
            program.load()?;
            let link = program.attach(target, 0)?;
            OwnedLink::KProbe(program.take_link(link)?)
        }
        (Program::RawTracePoint(program), ProbeKind::RawTracepoint) => {
            // One program may stand at several tracepoints.
            if program.fd().is_err() {
                program.load()?;
            }
            let link = program.attach(target)?;
            OwnedLink::RawTracePoint(program.take_link(link)?)
        }
        (_, kind) => bail!("the program is not of kind {kind:?}"),
    })
}
