//! The loaded programs: their constants, what they write, and what they are told.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, StackTraceMap},
};
use aya_log::EbpfLogger;
use lockprof_abi::{
    ARMED, CGROUP_PLACES, CONTROLS, CgroupEntry, ContentionEntry, Followed, KernelLayout,
    OFF_CPU_PLACES, OTHER_WAITERS_PLACES, OTHERS_PLACES, OWNER_PLACES, OffCpuEntry, OwnerStack,
    Phase, ProcessLock, READERS, RELEASES, RunControl, SiteRanges, TASK_SLOTS, TaskHold, TaskSlot,
    TextRange, WRITERS, WaitFilter, WaiterEntry,
};

use super::{
    cpus::Cpus,
    kernel_calls::PatchedObject,
    links::{Links, Loaded},
    memory::MappedArray,
};
use crate::{
    kernel::{AttachPlan, CallerTexts, FrameCast, Role, SiteNumbers, TaskCalls},
    recording::schema::WindowKind,
    span::Span,
};

/// Places for contended locks on each CPU, where nobody asks for more. A power of two.
const CONTENTION_SLOTS: u32 = 512;
/// Distinct call stacks of waiters that are kept.
const STACKS: u32 = 8192;

/// What the programs must know before they are loaded.
#[derive(Clone, Debug)]
pub struct Constants {
    /// The target lock's address; 0 where it is not known, which no lock has.
    pub target_lock: u64,
    /// Whether the target is the mmap_lock of a process, whose number the programs are told later.
    pub follows_process: bool,
    /// How its holds are kept.
    pub followed: Followed,
    /// `_raw_write_lock_irq`, or functions that take and release a lock that is followed by task.
    pub lock_function: TextRange,
    /// `_raw_write_unlock_irq`.
    pub unlock_function: TextRange,
    /// `_raw_read_lock`, or those of them that stand elsewhere.
    pub read_function: TextRange,
    /// Where the known sites are.
    pub sites: SiteRanges,
    /// Their numbers.
    pub site_numbers: SiteNumbers,
    /// Whether another task than the holder may book its hold.
    pub keep_task: bool,
    /// Where a task_struct has nvcsw, in bytes; 0 where that is not known.
    pub task_switches: u32,
    /// Whether totals by cgroup are kept.
    pub cgroups: bool,
    /// Whether it is kept what holders do instead of running.
    pub off_cpu: bool,
    /// By which text the caller of a waiter is found.
    pub callers: CallerTexts,
    /// Which spinning wait of a CPU's has its call stack walked: every so many. 0: none, nor any that
    /// sleeps.
    pub sample_every: u32,
    /// How the programs may read their trampolines' frames without a helper.
    pub frame_cast: Option<FrameCast>,
    /// How they may take the call stacks of sleeping owners, where they are to.
    pub owner_stacks: Option<TaskCalls>,
    /// Where the kernel's structures have what tells a lock's class and its owner.
    pub layout: KernelLayout,
    /// What is kept of all locks, where that is asked for.
    pub waiters: Option<WaiterTable>,
    /// Possible CPUs.
    pub cpus: u32,
}

/// What is kept of who waits for whom.
#[derive(Clone, Copy, Debug)]
pub struct WaiterTable {
    /// Places for contended locks on each CPU: a power of two.
    pub locks: u32,
    /// Places for who waits for whom on each CPU: a power of two.
    pub waiters: u32,
    /// Which waits are looked at.
    pub only: WaitFilter,
}

/// The loaded programs, what they write, and their links.
#[derive(Debug)]
pub struct Programs {
    /// Away while they are changed.
    links: Option<Links>,
    loaded: Vec<Loaded>,
    /// The calls inside holds that are measured, by number.
    pub spans: Vec<Span>,
    /// What is attached in each kind of window, as the programs are told.
    attached: BTreeMap<WindowKind, u16>,
    kind: Cell<WindowKind>,
    control: Cell<RunControl>,
    /// The state of each CPU, and what each site did there.
    pub cpus: Cpus,
    /// The tables of contended locks.
    pub contention: MappedArray<ContentionEntry>,
    /// The tables of cgroups.
    pub cgroups: MappedArray<CgroupEntry>,
    /// The tables of what holders did instead of running.
    pub off_cpu: MappedArray<OffCpuEntry>,
    /// The tables of who waits for whom; empty where that is not kept.
    pub waiters: MappedArray<WaiterEntry>,
    /// Call stacks of sleeping owners; free where they are not taken.
    pub owners: MappedArray<OwnerStack>,
    /// Tasks between two events.
    pub tasks: MappedArray<TaskSlot>,
    /// Holds of the target lock by task, where it is followed so; else one free place.
    pub task_holds: MappedArray<TaskHold>,
    /// The process whose mmap_lock is the target, where it is one's.
    pub process: Option<FollowedProcess>,
    /// Call stacks of waiters.
    pub stacks: StackTraceMap<MapData>,
    /// The target lock's address; 0 where it is not known.
    pub target_lock: u64,
    /// How its holds are kept.
    pub followed: Followed,
}

/// What the programs know of the process whose mmap_lock they follow.
#[derive(Clone, Debug)]
pub struct FollowedProcess(Arc<MappedArray<ProcessLock>>);

impl FollowedProcess {
    fn open(ebpf: &Ebpf) -> Result<Self> {
        MappedArray::open(ebpf, "PROCESS_LOCK", 1).map(|lock| Self(Arc::new(lock)))
    }

    /// Has the programs follow a process, by its number in the first pid namespace. Nothing but a store: a process that
    /// shares this memory may call it between fork and exec.
    pub fn begin(&self, tgid: u32) {
        self.0.set_first_word(0, tgid.into());
    }

    /// Has them follow none: the process has ended, and what is at its lock's address may be another's.
    pub fn end(&self) {
        self.begin(0);
        self.0.clear(0);
    }

    /// The lock's address, once one of its tasks was seen to take it.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        let mut lock = ProcessLock {
            tgid: 0,
            address: 0,
        };
        self.0.read(0, &mut lock);
        Some(lock.address).filter(|&address| address != 0)
    }
}

impl Programs {
    /// Loads the programs of a plan with their constants, and maps their arrays. Nothing is attached yet.
    ///
    /// # Errors
    /// The kernel refuses a map or a program.
    pub fn load(constants: &Constants, plan: &AttachPlan) -> Result<Self> {
        let patched = PatchedObject::new(constants.frame_cast, constants.owner_stacks);
        let flags = [constants.cgroups, constants.keep_task].map(u32::from);
        let [cgroups, keep_task] = &flags;
        let followed = constants.followed as u32;
        let follows_process = u32::from(constants.follows_process);
        let task_holds = match constants.followed {
            Followed::ByCpu => 1,
            Followed::Mutex | Followed::Rwsem | Followed::PercpuRwsem => TASK_SLOTS,
            Followed::Rwlock => TASK_SLOTS + constants.cpus,
        };
        let task_spans = if plan.spans.is_empty() { 1 } else { task_holds };
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
        let numbers = &constants.site_numbers;
        let site_slots = numbers.slots() as u32;
        let first_learned = numbers.first_learned() as u32;
        let site_entries = constants.cpus * site_slots;
        let callers = &constants.callers;
        let words = |text: &TextRange| [text.start, text.length];
        let [between, lock_text, kernel] =
            [callers.between, callers.lock, callers.kernel].map(|text| words(&text));
        let cgroup_entries = if constants.cgroups {
            constants.cpus * CGROUP_PLACES
        } else {
            1
        };
        let off_cpu_entries = if constants.off_cpu {
            constants.cpus * OFF_CPU_PLACES
        } else {
            1
        };
        let slots = constants
            .waiters
            .map_or(CONTENTION_SLOTS, |table| table.locks);
        let contention_places = constants.cpus * (slots + OTHERS_PLACES);
        let waiter_entries = constants.waiters.map_or(1, |table| {
            constants.cpus * (table.waiters + OTHER_WAITERS_PLACES)
        });
        let owner_places = constants
            .owner_stacks
            .map_or(1, |_| constants.cpus * OWNER_PLACES);
        let only = constants
            .waiters
            .map_or(WaitFilter::EVERYTHING, |table| table.only);
        let masks = [
            slots - 1,
            constants.waiters.map_or(0, |table| table.waiters - 1),
        ];
        let keep_waiters = u32::from(constants.waiters.is_some());
        let is_filtered = u32::from(only != WaitFilter::EVERYTHING);
        let (layout, only) = (constants.layout.to_words(), only.to_words());
        let mut ebpf = EbpfLoader::new()
            .override_global("TARGET_LOCK", &constants.target_lock, true)
            .override_global("FOLLOWED", &followed, true)
            .override_global("FOLLOWS_PROCESS", &follows_process, true)
            .override_global("LOCK_FUNCTION", &lock_function, true)
            .override_global("UNLOCK_FUNCTION", &unlock_function, true)
            .override_global("READ_FUNCTION", &read_function, true)
            .override_global("SITE_RANGES", &sites, true)
            .override_global("SITE_SLOTS", &site_slots, true)
            .override_global("FIRST_LEARNED", &first_learned, true)
            .override_global("CONTROL_SLOTS", &numbers.control_slots(), true)
            .override_global("FRAME_TYPE", &patched.frame_type, true)
            .override_global("KEEP_CGROUPS", cgroups, true)
            .override_global("KEEP_TASK", keep_task, true)
            .override_global("TASK_SWITCHES", &constants.task_switches, true)
            .override_global("SAMPLE_EVERY", &constants.sample_every, true)
            .override_global("BETWEEN_TEXT", &between, true)
            .override_global("LOCK_TEXT", &lock_text, true)
            .override_global("KERNEL_TEXT", &kernel, true)
            .override_global("CONTENTION_MASK", &masks[0], true)
            .override_global("WAITER_MASK", &masks[1], true)
            .override_global("KEEP_WAITERS", &keep_waiters, true)
            .override_global("LAYOUT", &layout, true)
            .override_global("IS_FILTERED", &is_filtered, true)
            .override_global("ONLY", &only, true)
            .map_max_entries("CPUS", constants.cpus)
            .map_max_entries("SITES", site_entries)
            .map_max_entries("BLAME", site_entries * site_slots)
            .map_max_entries("CONTENTION", contention_places)
            .map_max_entries("WAITERS", waiter_entries)
            .map_max_entries("OWNERS", owner_places)
            .map_max_entries("TASK_HOLDS", task_holds)
            .map_max_entries("TASK_SPANS", task_spans)
            .map_max_entries("CGROUPS", cgroup_entries)
            .map_max_entries("OFF_CPU", off_cpu_entries)
            .map_max_entries("STACKS", STACKS)
            .load(patched.object())
            .context("cannot create the maps of the eBPF programs")?;
        let cpus = constants.cpus as usize;
        let stacks = ebpf
            .take_map("STACKS")
            .ok_or_else(|| anyhow!("the eBPF object has no map STACKS"))?;
        let mapped = (
            Cpus::open(&ebpf, cpus, numbers.clone())?,
            MappedArray::open(&ebpf, "CONTENTION", contention_places as usize)?,
            MappedArray::open(&ebpf, "CGROUPS", cgroup_entries as usize)?,
            MappedArray::open(&ebpf, "OFF_CPU", off_cpu_entries as usize)?,
            MappedArray::open(&ebpf, "WAITERS", waiter_entries as usize)?,
            MappedArray::open(&ebpf, "OWNERS", owner_places as usize)?,
            MappedArray::open(&ebpf, "TASKS", TASK_SLOTS as usize)?,
            MappedArray::open(&ebpf, "TASK_HOLDS", task_holds as usize)?,
            FollowedProcess::open(&ebpf)?,
        );
        let (links, loaded) = Links::load(ebpf, plan)?;
        let (cpus, contention, cgroups, off_cpu, waiters, owners, tasks, task_holds, process) =
            mapped;
        Ok(Self {
            links: Some(links),
            loaded,
            spans: plan.spans.clone(),
            attached: plan
                .kinds
                .iter()
                .map(|&kind| (kind, attached(plan, kind)))
                .collect(),
            kind: Cell::new(WindowKind::Bare),
            control: Cell::new(RunControl {
                phase: Phase::WarmUp as u16,
                attached: 0,
                window: 0,
            }),
            cpus,
            contention,
            cgroups,
            off_cpu,
            waiters,
            owners,
            tasks,
            task_holds,
            process: constants.follows_process.then_some(process),
            stacks: StackTraceMap::try_from(stacks).context("cannot use the map STACKS")?,
            target_lock: constants.target_lock,
            followed: constants.followed,
        })
    }

    /// Attaches what windows of this kind have, and tells the programs that it is all there.
    ///
    /// # Errors
    /// The kernel refuses a program. What was attached before is detached when `self` is dropped.
    pub fn attach(&mut self, kind: WindowKind) -> Result<()> {
        self.turn_to(kind);
        if let Some(links) = &mut self.links {
            links.change_to(kind)?;
        }
        self.arm(Phase::WarmUp);
        Ok(())
    }

    /// The kind of the present window; at an edge, of the next one.
    #[must_use]
    pub fn kind(&self) -> WindowKind {
        self.kind.get()
    }

    /// The number of the present window, or edge.
    #[must_use]
    pub fn window(&self) -> u32 {
        self.control.get().window
    }

    /// Ends a window: what is open now is dropped when it ends.
    pub fn turn_to(&self, next: WindowKind) {
        self.kind.set(next);
        self.change(|control| RunControl {
            phase: Phase::Edge as u16,
            attached: self.attached.get(&next).copied().unwrap_or(0),
            window: control.window + 1,
        });
    }

    /// Begins the window whose links are there: what began at the edge and is open now is dropped when it ends.
    pub fn arm(&self, phase: Phase) {
        self.change(|control| RunControl {
            phase: phase as u16,
            attached: control.attached | ARMED,
            window: control.window + 1,
        });
    }

    /// Tells the programs the phase of the run.
    pub fn tell(&self, phase: Phase) {
        self.change(|control| RunControl {
            phase: phase as u16,
            ..control
        });
    }

    /// Has waits of lockprof's own threads pass every filter, or be as all others.
    pub fn let_controls_pass(&self, pass: bool) {
        self.change(|control| RunControl {
            attached: if pass {
                control.attached | CONTROLS
            } else {
                control.attached & !CONTROLS
            },
            ..control
        });
    }

    fn change(&self, change: impl Fn(RunControl) -> RunControl) {
        self.control.set(change(self.control.get()));
        self.cpus.tell(self.control.get());
    }

    /// Hands out the links, to be changed; `None` where they are away.
    pub fn take_links(&mut self) -> Option<Links> {
        self.links.take()
    }

    /// The functions of spans that the kernel had no place on, and why; none are known while the links are away.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<String, String> {
        let links = self.links.as_ref();
        links.map_or_else(BTreeMap::new, |links| links.refused().clone())
    }

    /// Takes the links back.
    pub fn give_back(&mut self, links: Links) {
        self.links = Some(links);
    }

    /// The programs that are attached in the present window, in the order of attaching.
    pub fn attached(&self) -> impl Iterator<Item = &Loaded> {
        let kind = self.kind();
        self.loaded
            .iter()
            .filter(move |loaded| loaded.probe.windows.contains(&kind))
    }

    /// The target lock's address, also of the lock of a process that was seen to take it; 0 where it is not known.
    #[must_use]
    pub fn target_address(&self) -> u64 {
        let of_process = self.process.as_ref().and_then(FollowedProcess::address);
        of_process.unwrap_or(self.target_lock)
    }

    /// Every row of the tables of contended locks.
    pub fn each_contention(&self, mut see: impl FnMut(&ContentionEntry)) {
        let mut entry = ContentionEntry::FREE;
        for place in 0..self.contention.len() {
            if self.contention.read_taken(place, &mut entry) {
                see(&entry);
            }
        }
    }

    /// The logger of the programs, where they log at all.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        self.links.as_mut()?.logger()
    }

    /// Detaches everything. The programs stay loaded, so that what the kernel has counted of them can still be
    /// read.
    ///
    /// # Errors
    /// The kernel refuses; the remaining links close when `self` is dropped.
    pub fn detach(&mut self) -> Result<()> {
        self.change(|control| RunControl {
            phase: Phase::WarmUp as u16,
            attached: control.attached & !ARMED,
            ..control
        });
        self.links.as_mut().map_or(Ok(()), Links::detach)
    }
}

/// What the programs are told of windows of this kind.
fn attached(plan: &AttachPlan, kind: WindowKind) -> u16 {
    [
        (RELEASES, Role::Release),
        (WRITERS, Role::Request),
        (WRITERS, Role::Acquire),
        (READERS, Role::ReadAcquire),
    ]
    .into_iter()
    .filter(|&(_, role)| plan.has(role, kind))
    .fold(0, |all, (bit, _)| all | bit)
}
