//! A plugin for QEMU: counts the instructions that each of a guest's CPUs executes while it holds a lock
//! for writing, a mutex, or an rwsem, and on its way into the lock's queue. It stands outside of the guest, so what it counts has
//! no part of its own, and everything that the guest's own observers do meanwhile.
//!
//! Its arguments, addresses in hexadecimal: `lock=START-END`, `slow=START-END` and `unlock=START-END`, those
//! of `_raw_write_lock_irq`, `queued_write_lock_slowpath` and `_raw_write_unlock_irq`, or of `mutex_lock`,
//! `__mutex_lock` and `mutex_unlock`, or of `down_write` or `down_read`, its slow path, and `up_write` or `up_read`;
//! `at=ADDRESS`, the lock itself, of which alone holds are counted; `mark=START`, a function whose call begins the next section;
//! `out=FILE`, which gets one line a section, `SECTION HOLDS HELD PERIOD HELD_180 PERIOD_180 CONTENDED
//! HELD_CONTENDED TO_THE_QUEUE`; and `holds=FILE`, if it is given, which gets one line a hold, `SECTION CPU
//! CALLER HELD TO_THE_QUEUE`, in each CPU's order.
//!
//! HOLDS are uncontended ones, and what follows are medians: of one hold and of 180 in a row, the
//! instructions inside the holds, and those from one release to the next. CONTENDED are those that were had
//! in the slow path, with the median inside of them, and that from the slow path's first instruction (it
//! calls contention_begin, if somebody listens) to the one that joins the queue, the compare-and-exchange on
//! the queue's own lock, four bytes behind the lock; a mutex or an rwsem has no such queue, and 0 there. A mutex for which
//! somebody waits is given back a little later than here, after its holder has tried to. A reader that waits for an rwsem
//! is given it by another task, so that its hold has no beginning here: only readers who do not wait have one. CALLER is the
//! instruction that called the lock's function; TO_THE_QUEUE is `-` for an uncontended hold.
//!
//! Virtual CPUs are threads of their own, so that each has a counter and a state of its own.
//!
//! The plugin interface is that of QEMU's include/qemu/qemu-plugin.h, version 1 (QEMU 4.2 to 8.x).

mod arguments;
mod instructions;
mod interface;
mod sections;

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use arguments::Settings;
use instructions::{calls, exchanges, gives_back};
use interface::{Info, Instruction, Translation};
use sections::Cpu;

/// The version of the interface that this plugin is made for; QEMU reads it.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// Virtual CPUs that are told apart; what others do is not counted.
const MOST_CPUS: usize = 64;
/// The lock of a qrwlock's queue, behind the lock.
const QUEUE: u64 = 4;

static SETTINGS: OnceLock<Settings> = OnceLock::new();
/// Sections that have begun.
static SECTION: AtomicUsize = AtomicUsize::new(0);
static CPUS: [Counted; MOST_CPUS] = [const { Counted::new() }; MOST_CPUS];

/// One virtual CPU, on cache lines of its own.
#[repr(align(128))]
struct Counted {
    /// Instructions executed so far: a block's are added at its start, by the CPU's own thread.
    executed: AtomicU64,
    /// Nobody else takes this before the end.
    cpu: Mutex<Cpu>,
}

impl Counted {
    const fn new() -> Self {
        Self {
            executed: AtomicU64::new(0),
            cpu: Mutex::new(Cpu::new()),
        }
    }

    fn cpu(&self) -> MutexGuard<'_, Cpu> {
        self.cpu.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an instruction that is watched means.
#[derive(Clone, Copy)]
enum Event {
    /// It calls the lock's function.
    Asked,
    /// It is the slow path's first.
    Began,
    /// It compares and exchanges: the lock, or its queue.
    Exchanged,
    /// It gives a lock back.
    Released,
    /// It is the marking function's first.
    Mark,
}

/// What a callback is given: the event's bits, the instructions from this one to its block's end, which
/// are counted already, and the lower half of its address.
#[derive(Clone, Copy)]
struct Watched(u64);

impl Watched {
    const AHEAD: u32 = 4;
    const ADDRESS: u32 = 32;

    fn new(event: Event, ahead: usize, address: u64) -> Self {
        Self(address << Self::ADDRESS | (ahead as u64) << Self::AHEAD | event as u64)
    }

    fn data(self) -> *mut c_void {
        self.0 as usize as *mut c_void
    }

    fn of(data: *mut c_void) -> Self {
        Self(data as usize as u64)
    }

    fn is(self, event: Event) -> bool {
        self.0 & ((1 << Self::AHEAD) - 1) == event as u64
    }

    /// Of a CPU that is about to execute the instruction, or does.
    fn count(self, counted: &Counted) -> u64 {
        let ahead = self.0 as u32 >> Self::AHEAD;
        counted.executed.load(Ordering::Relaxed) - u64::from(ahead)
    }

    fn address(self) -> u32 {
        (self.0 >> Self::ADDRESS) as u32
    }
}

/// QEMU calls this once.
///
/// # Safety
/// `argv` must point to `argc` strings, as QEMU says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let arguments = (0..count).map(|index| {
        // SAFETY: QEMU gives `argc` pointers to strings that end in a zero byte.
        unsafe { CStr::from_ptr(*argv.add(index)) }.to_string_lossy()
    });
    match arguments::parse(arguments) {
        Ok(settings) => {
            let _ = SETTINGS.set(settings);
        }
        Err(message) => {
            eprintln!("hold-counter: {message}");
            return 1;
        }
    }
    // SAFETY: the functions have the types that QEMU calls, and live as long as the plugin.
    unsafe {
        interface::qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        interface::qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut());
    }
    0
}

/// A block of guest code has been translated: decides what of it is watched.
extern "C" fn translated(_id: u64, block: *mut Translation) {
    let Some(settings) = SETTINGS.get() else {
        return;
    };
    // SAFETY: QEMU gives a block that lives for this call, and indexes are below its length.
    unsafe {
        let length = interface::qemu_plugin_tb_n_insns(block);
        interface::qemu_plugin_register_vcpu_tb_exec_cb(
            block,
            block_executed,
            interface::NO_REGISTERS,
            length as *mut c_void,
        );
        for index in 0..length {
            let instruction = interface::qemu_plugin_tb_get_insn(block, index);
            watch(settings, instruction, length - index);
        }
    }
}

/// Watches an instruction that means something. `ahead` are the instructions from it to its block's end.
///
/// # Safety
/// The instruction must be one of the block that is being translated.
unsafe fn watch(settings: &Settings, instruction: *mut Instruction, ahead: usize) {
    // SAFETY: the caller's promise; the bytes live for this call.
    let (address, bytes) = unsafe {
        let size = interface::qemu_plugin_insn_size(instruction);
        let data = interface::qemu_plugin_insn_data(instruction);
        (
            interface::qemu_plugin_insn_vaddr(instruction),
            std::slice::from_raw_parts(data, size),
        )
    };
    let watched = |event| Watched::new(event, ahead, address).data();
    // SAFETY: the caller's promise; the callbacks have the types that QEMU calls.
    let on_execution = |event| unsafe {
        interface::qemu_plugin_register_vcpu_insn_exec_cb(
            instruction,
            executed,
            interface::NO_REGISTERS,
            watched(event),
        );
    };
    // SAFETY: the same.
    let on_access = |event, accesses| unsafe {
        interface::qemu_plugin_register_vcpu_mem_cb(
            instruction,
            accessed,
            interface::NO_REGISTERS,
            accesses,
            watched(event),
        );
    };
    if address == settings.mark {
        on_execution(Event::Mark);
    } else if address == settings.slow.start {
        on_execution(Event::Began);
    } else if calls(address, bytes, settings.lock.start) {
        on_execution(Event::Asked);
    }
    let locks = settings.lock.contains(&address) || settings.slow.contains(&address);
    let unlocks = settings.unlock.contains(&address);
    if locks && exchanges(bytes) {
        // Once for each, where it is one access and where it is two.
        on_access(Event::Exchanged, interface::READS);
    } else if unlocks && exchanges(bytes) {
        on_access(Event::Released, interface::READS);
    } else if unlocks && gives_back(bytes) {
        on_access(Event::Released, interface::WRITES);
    }
}

extern "C" fn block_executed(cpu: c_uint, length: *mut c_void) {
    if let Some(counted) = CPUS.get(cpu as usize) {
        // One thread alone writes, so that this need not be one operation.
        let executed = counted.executed.load(Ordering::Relaxed) + length as u64;
        counted.executed.store(executed, Ordering::Relaxed);
    }
}

extern "C" fn executed(cpu: c_uint, data: *mut c_void) {
    let Some(counted) = CPUS.get(cpu as usize) else {
        return;
    };
    let watched = Watched::of(data);
    if watched.is(Event::Mark) {
        SECTION.fetch_add(1, Ordering::Relaxed);
    } else if watched.is(Event::Began) {
        counted.cpu().began(watched.count(counted));
    } else {
        counted.cpu().asked(watched.address());
    }
}

extern "C" fn accessed(cpu: c_uint, _info: u32, address: u64, data: *mut c_void) {
    let (Some(counted), Some(settings)) = (CPUS.get(cpu as usize), SETTINGS.get()) else {
        return;
    };
    let watched = Watched::of(data);
    let count = watched.count(counted);
    let section = SECTION.load(Ordering::Relaxed);
    if address == settings.at {
        if watched.is(Event::Released) {
            counted.cpu().released(section, count);
        } else {
            counted.cpu().acquired(section, count);
        }
    } else if address == settings.at + QUEUE {
        counted.cpu().queued(count);
    }
}

extern "C" fn ended(_id: u64, _data: *mut c_void) {
    let Some(settings) = SETTINGS.get() else {
        return;
    };
    let cpus: Vec<MutexGuard<'_, Cpu>> = CPUS.iter().map(Counted::cpu).collect();
    let cpus: Vec<&Cpu> = cpus.iter().map(|cpu| &**cpu).collect();
    let sections = SECTION.load(Ordering::Relaxed);
    let write = |path: &str, text: String| {
        if let Err(error) = std::fs::write(path, text) {
            eprintln!("hold-counter: cannot write {path}: {error}");
        }
    };
    write(&settings.out, sections::summary(&cpus, sections));
    if let Some(path) = &settings.holds {
        write(path, sections::each_hold(&cpus, sections));
    }
}
