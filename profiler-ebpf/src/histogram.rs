//! The log-linear histogram: eight equal steps in each octave of nanoseconds.
//!
//! Values below eight have a bucket each. Above, the bucket of `v` is given by its highest set bit
//! and the three bits below it, so a bucket is at most 1/8 of its lower bound wide, and its middle
//! is within [`RELATIVE_ERROR`] of every value in it.

/// log2 of [`BUCKETS_PER_OCTAVE`].
const STEP_BITS: u32 = 3;

/// Equal steps in each octave.
pub const BUCKETS_PER_OCTAVE: u32 = 1 << STEP_BITS;

/// The highest octave with buckets of its own: values of 2^38 ns (4.6 minutes) and more are counted
/// in the last bucket and as [`Loss::BucketOverflow`](crate::Loss::BucketOverflow).
const LAST_OCTAVE: u32 = 37;

/// Buckets in a histogram.
pub const BUCKETS: usize = ((LAST_OCTAVE - STEP_BITS + 2) * BUCKETS_PER_OCTAVE) as usize;

/// The middle of a bucket is at most this fraction away from any value in it.
pub const RELATIVE_ERROR: f64 = 1.0 / (2.0 * BUCKETS_PER_OCTAVE as f64);

/// The position of the highest set bit; 0 for 0.
///
/// eBPF has no instruction that counts leading zeroes, so this is a binary search.
#[inline(always)]
#[must_use]
pub const fn floor_log2(value: u64) -> u32 {
    let mut rest = value;
    let mut position = 0;
    if rest >> 32 != 0 {
        rest >>= 32;
        position += 32;
    }
    if rest >> 16 != 0 {
        rest >>= 16;
        position += 16;
    }
    if rest >> 8 != 0 {
        rest >>= 8;
        position += 8;
    }
    if rest >> 4 != 0 {
        rest >>= 4;
        position += 4;
    }
    if rest >> 2 != 0 {
        rest >>= 2;
        position += 2;
    }
    if rest >> 1 != 0 {
        position += 1;
    }
    position
}

/// Durations below this have their bucket in [`FIRST_BUCKETS`]; in nanoseconds, 2 µs.
const FIRST_DURATIONS: usize = 1 << (SHIFT + STEP_BITS);
/// Octaves by which a longer duration is shortened, so that the table has it: it keeps its four highest
/// bits, which alone decide the step.
const SHIFT: u32 = 8;
/// How many buckets the shift stands for.
const BUCKETS_PER_SHIFT: usize = (SHIFT * BUCKETS_PER_OCTAVE) as usize;

/// The buckets of the shortest durations. A look-up costs a program less than the search for the
/// highest bit.
static FIRST_BUCKETS: [u8; FIRST_DURATIONS] = {
    let mut buckets = [0; FIRST_DURATIONS];
    let mut duration = 0;
    while duration < FIRST_DURATIONS {
        buckets[duration] = searched_bucket_of(duration as u64) as u8;
        duration += 1;
    }
    buckets
};

/// The bucket of a duration; always below [`BUCKETS`]. By a look-up up to half a millisecond.
#[inline(always)]
#[must_use]
pub fn bucket_of(duration_ns: u64) -> usize {
    if duration_ns < FIRST_DURATIONS as u64 {
        first_bucket(duration_ns)
    } else if duration_ns < (FIRST_DURATIONS as u64) << SHIFT {
        first_bucket(duration_ns >> SHIFT) + BUCKETS_PER_SHIFT
    } else {
        searched_bucket_of(duration_ns)
    }
}

/// An entry of [`FIRST_BUCKETS`].
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
fn first_bucket(duration: u64) -> usize {
    usize::from(FIRST_BUCKETS[duration as usize])
}

/// An entry of [`FIRST_BUCKETS`]. Which durations come here the verifier of 6.1 forgets where the compiler keeps the
/// duration on the stack, so it is told once more, by an instruction that the compiler cannot take for needless.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn first_bucket(duration: u64) -> usize {
    let mut index = duration;
    // SAFETY: the instruction changes this register alone, and leaves in it a number below the table's length.
    unsafe {
        core::arch::asm!(
            "{index} &= {last}",
            index = inlateout(reg) index,
            last = const FIRST_DURATIONS - 1,
        );
        *FIRST_BUCKETS.get_unchecked(index as usize) as usize
    }
}

/// The bucket of a duration, by its highest bit.
#[cold]
#[inline(never)]
const fn searched_bucket_of(duration_ns: u64) -> usize {
    if duration_ns < BUCKETS_PER_OCTAVE as u64 {
        return duration_ns as usize;
    }
    let octave = floor_log2(duration_ns);
    if octave > LAST_OCTAVE {
        return BUCKETS - 1;
    }
    let step = (duration_ns >> (octave - STEP_BITS)) & (BUCKETS_PER_OCTAVE as u64 - 1);
    ((octave - STEP_BITS + 1) * BUCKETS_PER_OCTAVE) as usize + step as usize
}

/// The smallest duration of a bucket.
#[must_use]
pub const fn bucket_low_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let steps = BUCKETS_PER_OCTAVE as u64;
    if bucket < steps {
        return bucket;
    }
    let octave = bucket / steps - 1;
    (steps + bucket % steps) << octave
}

/// The smallest duration above a bucket.
#[must_use]
pub const fn bucket_high_ns(bucket: usize) -> u64 {
    bucket_low_ns(bucket + 1)
}

const _: () = assert!(searched_bucket_of(u64::MAX) == BUCKETS - 1);
const _: () = assert!(searched_bucket_of((1 << (LAST_OCTAVE + 1)) - 1) == BUCKETS - 1);
const _: () = assert!(bucket_low_ns(BUCKETS) == 1 << (LAST_OCTAVE + 1));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_contain_their_bounds() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(bucket_low_ns(bucket)), bucket);
            assert_eq!(bucket_of(bucket_high_ns(bucket) - 1), bucket);
            assert!(bucket_low_ns(bucket) < bucket_high_ns(bucket));
        }
    }

    #[test]
    fn the_table_agrees_with_the_search() {
        for bit in 0..64 {
            for below in 0..bit.min(7) {
                let value = 1_u64 << bit | (1_u64 << bit) >> (below + 1);
                for value in [value - 1, value, value + 1] {
                    assert_eq!(bucket_of(value), searched_bucket_of(value), "{value}");
                }
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_error_bound_holds_at_every_bucket_edge() {
        for bucket in BUCKETS_PER_OCTAVE as usize..BUCKETS {
            let low = bucket_low_ns(bucket) as f64;
            let high = bucket_high_ns(bucket) as f64;
            let middle = (low + high) / 2.0;
            assert!((middle - low) / low <= RELATIVE_ERROR);
            assert!((high - middle) / high <= RELATIVE_ERROR);
        }
    }

    #[test]
    fn floor_log2_agrees_with_the_standard_library() {
        for bit in 0..64 {
            let value = 1_u64 << bit;
            assert_eq!(floor_log2(value), value.ilog2());
            assert_eq!(floor_log2(value | 1), (value | 1).ilog2());
            assert_eq!(floor_log2(u64::MAX >> bit), (u64::MAX >> bit).ilog2());
        }
        assert_eq!(floor_log2(0), 0);
    }
}
