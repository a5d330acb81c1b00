//! Behind whose holds a wait stood.
//!
//! Each hold is put into a ring when it is booked, after its release. A wait is booked after the
//! waiter's own hold, and laid over the holds that ended before that one: what they have in common with
//! it is charged to them, and the rest to readers and hand-over. So a wait behind a queue is not
//! charged to its last holder.
//!
//! A holder whose booking was delayed, by an interrupt that had waited for its release, may be late for
//! a wait behind it: it finds that out, and counts it.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
};

use lockprof_abi::{
    CpuState, EndedHold, HoldRing, Loss, MAX_BEHIND, OTHER_READER, RING_HOLDS, overlap_ns,
    site_slot,
};

use super::{
    constants,
    maps::{self, RING, lose},
};

/// Holds in a row that ended before the wait began, after which no other is looked for: bookings may
/// change places with few others.
const OLDER: u64 = 4;

/// The number that comes next in a count, which is one more then.
#[inline(always)]
pub fn take_number(count: *mut u64) -> u64 {
    let number: u64;
    // SAFETY: the instruction adds r2 to the eight aligned bytes at r1, and leaves there what was in them
    // before (BPF_STX | BPF_ATOMIC | BPF_DW, BPF_ADD | BPF_FETCH; v5.12). The assembler of this target's
    // default version does not know it.
    unsafe {
        asm!(".quad 0x00000001000021db", in("r1") count, inlateout("r2") 1_u64 => number);
    }
    number
}

#[inline(always)]
fn place(ring: *mut HoldRing, number: u64) -> *mut EndedHold {
    // SAFETY: the index is masked, and so in bounds.
    unsafe {
        (&raw mut (*ring).holds)
            .cast::<EndedHold>()
            .add(number as usize & (RING_HOLDS - 1))
    }
}

/// Puts a hold that has ended into the ring; its number.
#[inline(always)]
pub fn ended(start_ns: u64, end_ns: u64, slot: usize) -> u64 {
    let ring = RING.get();
    // SAFETY: the variable lives as long as the programs; the number is this CPU's alone until the ring
    // comes round. Readers check the sequence before and after; x86-64 keeps the order of stores, and
    // volatile keeps the compiler's.
    unsafe {
        let number = take_number(&raw mut (*ring).count);
        let hold = place(ring, number);
        write_volatile(&raw mut (*hold).sequence, 0);
        write_volatile(&raw mut (*hold).start_ns, start_ns);
        write_volatile(&raw mut (*hold).end_ns, end_ns);
        write_volatile(&raw mut (*hold).site, slot as u64);
        write_volatile(&raw mut (*hold).sequence, number + 1);
        number
    }
}

/// Counts a hold that was put into the ring after a wait behind it may have been laid over the ring.
#[inline(always)]
pub fn check_late(cpu: &mut CpuState, end_ns: u64) {
    // SAFETY: as in `ended`; the word is read whole.
    if unsafe { read_volatile(&raw const (*RING.get()).laid_until_ns) } > end_ns {
        lose(cpu, Loss::BlameUnsettled);
    }
}

/// How many holds have been put into the ring.
#[inline(always)]
pub fn newest() -> u64 {
    // SAFETY: as in `check_late`.
    unsafe { read_volatile(&raw const (*RING.get()).count) }
}

/// When the hold began that was put into the ring last; 0 where it is being written, or there is none.
#[inline(always)]
pub fn newest_start_ns() -> u64 {
    let number = newest().wrapping_sub(1);
    read(RING.get(), number).map_or(0, |hold| hold.start_ns)
}

/// Books behind whose holds a wait of a site stood, of those with a number below `newest`; whether all were there.
///
/// Cold like every function that is called here: aya's linker knows functions by their place in their
/// section, so that all have to be in one (aya-obj 0.3, src/relocation.rs).
#[cold]
#[inline(never)]
pub fn lay(site: u32, began_ns: u64, ended_ns: u64, newest: u64) -> u64 {
    let ring = RING.get();
    // SAFETY: as in `ended`. Of two waits that end at once the later one may be lost here, which makes
    // late holders count less.
    unsafe {
        if read_volatile(&raw const (*ring).laid_until_ns) < ended_ns {
            write_volatile(&raw mut (*ring).laid_until_ns, ended_ns);
        }
    }
    let mut rest_ns = ended_ns.wrapping_sub(began_ns);
    let mut older = 0;
    let mut complete = 0;
    for back in 1..=MAX_BEHIND {
        let number = newest.wrapping_sub(back);
        if number >> 63 != 0 {
            complete = 1;
            break;
        }
        let Some(hold) = read(ring, number) else {
            continue;
        };
        // By arithmetic: a counter whose value the verifier knew would have it follow the rest once for each.
        let is_older = hold.end_ns.wrapping_sub(began_ns).wrapping_sub(1) >> 63;
        older += is_older;
        if is_older != 0 {
            if older >= OLDER {
                complete = 1;
                break;
            }
            continue;
        }
        let mut behind_ns = overlap_ns(began_ns, ended_ns, &hold);
        // The clocks of two CPUs may differ by some nanoseconds: no more is booked than was waited.
        if behind_ns > rest_ns {
            behind_ns = rest_ns;
        }
        rest_ns -= behind_ns;
        charge(site, hold.site as u32, behind_ns);
    }
    charge(site, OTHER_READER, rest_ns);
    complete
}

/// Adds to what a site has waited for the holds of another.
#[inline(always)]
fn charge(site: u32, holder: u32, behind_ns: u64) {
    let slot = site_slot(holder, constants::site_slots() as usize);
    if let Some(sum_ns) = maps::blame(site, slot) {
        maps::add(sum_ns, behind_ns);
    }
}

/// A hold of the ring; `None` while it is being written, or where another one has taken its place.
#[inline(always)]
fn read(ring: *mut HoldRing, number: u64) -> Option<EndedHold> {
    let hold = place(ring, number);
    // SAFETY: as in `ended`.
    unsafe {
        let sequence = read_volatile(&raw const (*hold).sequence);
        let copy = EndedHold {
            sequence,
            start_ns: read_volatile(&raw const (*hold).start_ns),
            end_ns: read_volatile(&raw const (*hold).end_ns),
            site: read_volatile(&raw const (*hold).site),
        };
        (sequence == number + 1 && read_volatile(&raw const (*hold).sequence) == sequence)
            .then_some(copy)
    }
}
