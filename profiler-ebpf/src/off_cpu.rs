//! What holders of a lock that is followed by task did instead of running.

use core::mem::size_of;

/// Places for sites and call stacks on each CPU; a power of two.
pub const OFF_CPU_SLOTS: u32 = 256;
/// With the one behind them for all that found none.
pub const OFF_CPU_PLACES: u32 = OFF_CPU_SLOTS + 1;
/// The key of that one.
pub const OTHERS_OFF_CPU: u64 = u64::MAX;

/// Stretches in which holders of one site, who went to sleep by one call stack, were not running, booked on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OffCpuEntry {
    /// The site's number in the upper half, and in the lower one the call stack's, plus 2, where the holder went to sleep
    /// (1: no stack could be taken), or 0 where another task was put in its place; all of it plus 1, so that 0 is a
    /// free place. Or [`OTHERS_OFF_CPU`].
    pub key: u64,
    /// How many have ended.
    pub stretches: u64,
    /// Of their time, in nanoseconds, what the holder slept, until it was woken.
    pub asleep_ns: u64,
    /// What it could have run, but another task did.
    pub runnable_ns: u64,
    /// The longest.
    pub longest_ns: u64,
}

impl OffCpuEntry {
    /// A free place.
    pub const FREE: Self = Self {
        key: 0,
        stretches: 0,
        asleep_ns: 0,
        runnable_ns: 0,
        longest_ns: 0,
    };

    /// The key of a site's stretches: `stack` is `None` where the holder did not go to sleep by itself, and negative where
    /// its call stack could not be taken.
    #[inline(always)]
    #[must_use]
    pub const fn key(site: u32, stack: Option<i32>) -> u64 {
        let stack = match stack {
            None => 0,
            Some(id) if id < 0 => 1,
            Some(id) => id as u32 + 2,
        };
        ((site as u64) << 32 | stack as u64) + 1
    }

    /// The site and the call stack of a key that is none of others.
    #[must_use]
    pub const fn site_and_stack(key: u64) -> (u32, Option<i32>) {
        let key = key.wrapping_sub(1);
        let stack = match key as u32 {
            0 => None,
            1 => Some(-1),
            stack => Some((stack - 2) as i32),
        };
        ((key >> 32) as u32, stack)
    }
}

const _: () = {
    assert!(OFF_CPU_SLOTS.is_power_of_two());
    assert!(size_of::<OffCpuEntry>() == 40);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_site_and_stack_and_is_never_free() {
        for site in [0, 7, 1 << 31 | 5] {
            for stack in [None, Some(-1), Some(0), Some(8191)] {
                let key = OffCpuEntry::key(site, stack);
                assert!(key != 0 && key != OTHERS_OFF_CPU);
                assert_eq!(OffCpuEntry::site_and_stack(key), (site, stack));
            }
        }
    }
}
