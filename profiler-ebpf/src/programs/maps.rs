//! All maps. Each is an array that user space maps into its memory (`BPF_F_MMAPABLE`), so that a
//! refresh costs no system call; elements that belong to one CPU are found by its number.

use core::{arch::asm, cell::UnsafeCell, ffi::c_void, ptr::read_volatile};

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, bpf_map_def, bpf_map_type::BPF_MAP_TYPE_STACK_TRACE},
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::Array,
};
use lockprof_abi::{
    ARMED, Callers, CgroupEntry, ContentionEntry, CpuState, HoldRing, Loss, OffCpuEntry, OpenSpans,
    OwnerStack, Phase, ProcessLock, STACK_FRAMES, SiteState, TASK_SLOTS, TaskHold, TaskSlot,
    WaiterEntry, site_slot,
};

use super::constants;

/// One element a possible CPU; the loader sets the number.
#[map]
static CPUS: Array<CpuState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What each site did, its slots one after the other for each possible CPU; the loader sets the number.
#[map]
static SITES: Array<SiteState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Waited time in nanoseconds, for each slot of a CPU by the slot of the holder; the loader sets the number.
#[map]
static BLAME: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The callers that were learned.
#[map]
static CALLERS: Array<Callers> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A table of contended locks a possible CPU; the loader sets the number.
#[map]
pub static CONTENTION: Array<ContentionEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Tasks between two events.
#[map]
static TASKS: Array<TaskSlot> = Array::with_max_entries(TASK_SLOTS, BPF_F_MMAPABLE);

/// Holds by task, and then those of each possible CPU's interrupts, where they may have the target; the loader sets the
/// number, 1 where the target is not followed so.
#[map]
static TASK_HOLDS: Array<TaskHold> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What is open in the hold at the same place; the loader sets the number, 1 where spans are not followed so.
#[map]
static TASK_SPANS: Array<OpenSpans> = Array::with_max_entries(1, 0);

/// What holders did instead of running, a table a possible CPU; the loader sets the number, 1 where that is not kept.
#[map]
pub static OFF_CPU: Array<OffCpuEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The process whose lock is the target, where it is one's.
#[map]
static PROCESS_LOCK: Array<ProcessLock> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A table of cgroups a possible CPU; the loader sets the number, 1 where they are not kept.
#[map]
pub static CGROUPS: Array<CgroupEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// A table of who waits for whom a possible CPU; the loader sets the number, 1 where that is not kept.
#[map]
pub static WAITERS: Array<WaiterEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Call stacks of sleeping owners, some places a possible CPU; the loader sets the number, 1 where they are not
/// taken.
#[map]
pub static OWNERS: Array<OwnerStack> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Call stacks of waiters; the loader sets the number.
#[map]
pub static STACKS: StackMap = StackMap::new();

/// What the learner keeps: the task that is inside the function where the lock is learned, and the lock that it asked
/// for.
#[map]
pub static LEARNED: Array<[u64; 2]> = Array::with_max_entries(1, 0);

/// A map of call stacks that are cut after [`STACK_FRAMES`] frames: how long a walk takes is in the
/// number of frames. (aya's own has as many as the kernel allows.)
#[repr(transparent)]
pub struct StackMap(UnsafeCell<bpf_map_def>);

// SAFETY: the definition is for the loader; programs use its address alone.
unsafe impl Sync for StackMap {}

impl StackMap {
    const fn new() -> Self {
        Self(UnsafeCell::new(bpf_map_def {
            type_: BPF_MAP_TYPE_STACK_TRACE,
            key_size: size_of::<u32>() as u32,
            value_size: size_of::<[u64; STACK_FRAMES]>() as u32,
            max_entries: 1,
            map_flags: 0,
            id: 0,
            pinning: 0,
        }))
    }

    #[inline(always)]
    pub fn as_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }
}

/// A variable that all CPUs share: programs reach it by its address, without a look-up.
#[repr(transparent)]
pub struct SharedVariable<T>(UnsafeCell<T>);

// SAFETY: nobody gets a reference to the value, only a pointer; who follows it says how.
unsafe impl<T> Sync for SharedVariable<T> {}

impl<T> SharedVariable<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[inline(always)]
    pub fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The holds that ended last.
pub static RING: SharedVariable<HoldRing> = SharedVariable::new(HoldRing::EMPTY);

/// The number of this CPU.
#[inline(always)]
pub fn this_cpu() -> u32 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_get_smp_processor_id() }
}

/// The state of this CPU.
#[inline(always)]
pub fn cpu_state() -> Option<&'static mut CpuState> {
    let state = CPUS.get_ptr_mut(this_cpu())?;
    // SAFETY: the element is aligned, initialised (zeroes are a valid state) and lives as long as
    // the program. It is written only on this CPU; programs that interrupt one another here touch
    // different parts or leave them as they found them (see `wait`).
    Some(unsafe { &mut *state })
}

/// What a site did on this CPU.
#[inline(always)]
pub fn site_state(site: u32) -> Option<&'static mut SiteState> {
    let state = SITES.get_ptr_mut(site_place(site))?;
    // SAFETY: as in `cpu_state`; a task that preempts a program adds as that one does, see `add`.
    Some(unsafe { &mut *state })
}

/// For how long a site on this CPU has waited behind the holds of a slot.
#[inline(always)]
pub fn blame(site: u32, holder: usize) -> Option<&'static mut u64> {
    let place = site_place(site) * constants::site_slots() + holder as u32;
    // SAFETY: as in `site_state`.
    Some(unsafe { &mut *BLAME.get_ptr_mut(place)? })
}

#[inline(always)]
fn site_place(site: u32) -> u32 {
    let slots = constants::site_slots();
    this_cpu() * slots + site_slot(site, slots as usize) as u32
}

/// The callers that were learned.
#[inline(always)]
pub fn callers() -> Option<*mut Callers> {
    CALLERS.get_ptr_mut(0)
}

/// The phase of the run, as an index that is in bounds.
#[inline(always)]
pub fn phase(cpu: &CpuState) -> usize {
    // SAFETY: a reference is valid for reading; user space changes all of it with one store.
    unsafe { read_volatile(&raw const cpu.control.phase) as usize & (Phase::COUNT - 1) }
}

/// Whether every program of this window is attached.
#[inline(always)]
pub fn armed(cpu: &CpuState) -> bool {
    attached(cpu, ARMED)
}

/// Whether these programs are attached in this window.
#[inline(always)]
pub fn attached(cpu: &CpuState, programs: u16) -> bool {
    // SAFETY: as in `phase`.
    unsafe { read_volatile(&raw const cpu.control.attached) & programs != 0 }
}

/// The number of this window.
#[inline(always)]
pub fn window(cpu: &CpuState) -> u32 {
    // SAFETY: as in `phase`.
    unsafe { read_volatile(&raw const cpu.control.window) }
}

/// Whether the lock is known to be held on this CPU.
#[inline(always)]
pub fn is_held(cpu: &CpuState) -> bool {
    cpu.hold.held != 0 && cpu.hold.window == window(cpu)
}

/// Whether the daemon lives, so that something may begin at this moment.
#[inline(always)]
pub fn awake(cpu: &CpuState, now_ns: u64) -> bool {
    // SAFETY: as in `phase`.
    now_ns <= unsafe { read_volatile(&raw const cpu.awake_until_ns) }
}

/// The place of a task.
#[inline(always)]
pub fn task_slot(pid: u32) -> Option<*mut TaskSlot> {
    TASKS.get_ptr_mut(pid & (TASK_SLOTS - 1))
}

/// The place of a task's hold.
#[inline(always)]
pub fn task_hold(pid: u32) -> Option<*mut TaskHold> {
    TASK_HOLDS.get_ptr_mut(pid & (TASK_SLOTS - 1))
}

/// The place of the holds of this CPU's interrupts; `None` where those are not followed.
#[inline(always)]
pub fn interrupt_hold() -> Option<*mut TaskHold> {
    TASK_HOLDS.get_ptr_mut(TASK_SLOTS + this_cpu())
}

/// What is open in a task's hold.
#[inline(always)]
pub fn task_spans(pid: u32) -> Option<*mut OpenSpans> {
    TASK_SPANS.get_ptr_mut(pid & (TASK_SLOTS - 1))
}

/// The process whose lock is the target, and where that is.
#[inline(always)]
pub fn process_lock() -> Option<*mut ProcessLock> {
    PROCESS_LOCK.get_ptr_mut(0)
}

/// Takes a place of a table that is free, or has this key already: whether it is the key's now.
#[inline(always)]
pub fn claim(place: &mut u64, key: u64) -> bool {
    if *place == 0 {
        *place = key;
    }
    *place == key
}

/// Counts a loss on this CPU.
#[inline(always)]
pub fn lose(cpu: &mut CpuState, loss: Loss) {
    add(&mut cpu.losses[loss.index()], 1);
}

/// Adds to a counter. Outside of a hold, an interrupt or, where the kernel preempts, another task may
/// run a program that adds to it between the load and the store of a plain addition; Rust's atomics do
/// not exist on this target.
#[inline(always)]
pub fn add(counter: &mut u64, number: u64) {
    // SAFETY: the instruction adds to eight aligned bytes that the reference keeps valid, and changes
    // no register.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {number}", counter = in(reg) counter, number = in(reg) number);
    }
}

/// Adds one to a count of a histogram, as [`add`] does.
#[inline(always)]
pub fn increment(counter: &mut u32) {
    // SAFETY: the instruction adds r2 to the four aligned bytes at r1 (BPF_STX | BPF_ATOMIC | BPF_W,
    // BPF_ADD). The assembler takes it only with registers that this target has no class for.
    unsafe {
        asm!(".quad 0x21c3", in("r1") counter, in("r2") 1_u64);
    }
}
