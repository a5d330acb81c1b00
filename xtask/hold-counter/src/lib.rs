//! A plugin for QEMU: counts the instructions that a guest of one CPU executes while it holds a
//! lock for writing. It stands outside of the guest, so what it counts has no part of its own, and
//! everything that the guest's own observers do between taking and giving back the lock.
//!
//! Its arguments, all but the last in hexadecimal: `lock=START-END` and `unlock=START-END`, the
//! addresses of `_raw_write_lock_irq` and `_raw_write_unlock_irq`; `mark=START`, a function whose
//! call begins the next section; and `out=FILE`, which gets one line a section:
//! `SECTION HOLDS HELD PERIOD HELD_180 PERIOD_180`, all but the first two medians, of one hold and of
//! 180 in a row: the instructions inside the holds, and those from one release to the next.
//!
//! The plugin interface is that of QEMU's include/qemu/qemu-plugin.h, version 1 (QEMU 4.2 to 8.x).

mod instructions;
mod interface;
mod sections;

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use instructions::{gives_back, takes};
use interface::{Info, Instruction, Translation};
use sections::Sections;

/// The version of the interface that this plugin is made for; QEMU reads it.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

/// Instructions executed so far. QEMU's own code adds to it at the start of each block.
static EXECUTED: AtomicU64 = AtomicU64::new(0);
static SETTINGS: OnceLock<Settings> = OnceLock::new();
static SECTIONS: Mutex<Sections> = Mutex::new(Sections::new());

/// What the arguments say.
struct Settings {
    lock: Range<u64>,
    unlock: Range<u64>,
    mark: u64,
    out: String,
}

/// What an instruction that is watched means.
#[derive(Clone, Copy)]
enum Event {
    Acquired,
    Released,
    Mark,
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
    match parse(arguments) {
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

fn parse<S: AsRef<str>>(arguments: impl Iterator<Item = S>) -> Result<Settings, String> {
    let (mut lock, mut unlock, mut mark, mut out) = (None, None, None, None);
    for argument in arguments {
        let argument = argument.as_ref();
        let Some((name, value)) = argument.split_once('=') else {
            return Err(format!("{argument} is not NAME=VALUE"));
        };
        match name {
            "lock" => lock = Some(range(value)?),
            "unlock" => unlock = Some(range(value)?),
            "mark" => mark = Some(number(value)?),
            "out" => out = Some(value.to_owned()),
            _ => return Err(format!("there is no argument {name}")),
        }
    }
    match (lock, unlock, mark, out) {
        (Some(lock), Some(unlock), Some(mark), Some(out)) => Ok(Settings {
            lock,
            unlock,
            mark,
            out,
        }),
        _ => Err("lock, unlock, mark and out are needed".to_owned()),
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text
        .split_once('-')
        .ok_or(format!("{text} is not START-END"))?;
    Ok(number(start)?..number(end)?)
}

fn number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| format!("{text} is not a hexadecimal number"))
}

/// A block of guest code has been translated: decides what of it is watched.
extern "C" fn translated(_id: u64, block: *mut Translation) {
    let Some(settings) = SETTINGS.get() else {
        return;
    };
    // SAFETY: QEMU gives a block that lives for this call; indexes are below its length, and the
    // counter lives for ever.
    unsafe {
        let length = interface::qemu_plugin_tb_n_insns(block);
        interface::qemu_plugin_register_vcpu_tb_exec_inline(
            block,
            interface::ADD_U64,
            EXECUTED.as_ptr().cast(),
            length as u64,
        );
        for index in 0..length {
            let instruction = interface::qemu_plugin_tb_get_insn(block, index);
            if let Some(event) = event_of(settings, instruction) {
                // The block's whole length is added at its start: less this is the count here.
                let ahead = length - index;
                let data = (ahead << 2 | event as usize) as *mut c_void;
                interface::qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    executed,
                    interface::NO_REGISTERS,
                    data,
                );
            }
        }
    }
}

/// What the execution of an instruction means.
///
/// # Safety
/// The instruction must be one of the block that is being translated.
unsafe fn event_of(settings: &Settings, instruction: *const Instruction) -> Option<Event> {
    // SAFETY: the caller's promise; the bytes live for this call.
    let (address, bytes) = unsafe {
        let size = interface::qemu_plugin_insn_size(instruction);
        let data = interface::qemu_plugin_insn_data(instruction);
        (
            interface::qemu_plugin_insn_vaddr(instruction),
            std::slice::from_raw_parts(data, size),
        )
    };
    if address == settings.mark {
        Some(Event::Mark)
    } else if settings.lock.contains(&address) && takes(bytes) {
        Some(Event::Acquired)
    } else if settings.unlock.contains(&address) && gives_back(bytes) {
        Some(Event::Released)
    } else {
        None
    }
}

extern "C" fn executed(_cpu: c_uint, data: *mut c_void) {
    let data = data as usize;
    let count = EXECUTED.load(Ordering::Relaxed) - (data >> 2) as u64;
    let mut sections = SECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    match data & 3 {
        0 => sections.acquired(count),
        1 => sections.released(count),
        _ => sections.mark(),
    }
}

extern "C" fn ended(_id: u64, _data: *mut c_void) {
    let Some(settings) = SETTINGS.get() else {
        return;
    };
    let sections = SECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = std::fs::write(&settings.out, sections.lines()) {
        eprintln!("hold-counter: cannot write {}: {error}", settings.out);
    }
}
