//! What was lost, and what the run is doing: enumerations that index the tables of both sides.

/// Declares an enumeration whose discriminants are table indices from 0, with its number of
/// variants, all of them in order, and the name by which recordings and reports know each.
macro_rules! table_index {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the discriminants.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many variants there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in recordings and reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The variant that has this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The position in tables.
            #[inline(always)]
            #[must_use]
            pub const fn index(self) -> usize { self as usize }

            /// The variant at a position of tables.
            #[must_use]
            pub fn from_index(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }
        }
    };
}

table_index! {
    /// What happened and is not in the numbers, counted per CPU by the programs. Losses that the
    /// kernel counts (recursion misses, kretprobe misses) are read from it, and are not here.
    Loss {
        /// The lock was released by a task that this CPU had not seen ask for it: its request was not
        /// seen, or the task has moved since. Of a mutex, by one that was not seen to take it.
        HoldWithoutStart = "hold_without_start",
        /// The lock was asked for where a hold was still open on this CPU, or of this task. That hold is counted where
        /// it is released, or as a missed run of the program that ends it.
        HoldOverwritten = "hold_overwritten",
        /// The task was switched out between its request and the clock at the end of its hold, so
        /// that the hold has no length. Of a mutex: the kernel refused a program at its end, for another task was switched
        /// out in that one; or another task took its place in the table before it was booked.
        HoldSwitched = "hold_switched",
        /// An interrupt came between a clock and the lock, and it is not known when: the hold has no length.
        HoldInterrupted = "hold_interrupted",
        /// kprobe only: the lock's address, kept from the entry, was gone at the return.
        EntryLost = "entry_lost",
        /// A writer's wait for the target lock ended, and no hold of the same task followed on this
        /// CPU.
        WaitUnclaimed = "wait_unclaimed",
        /// A writer's wait for the target lock began, and its end was not seen: the hold behind it has
        /// no beginning. Of a mutex the hold is known, but not the wait; so it is where another task took its place in the
        /// table.
        TargetWaitWithoutEnd = "target_wait_without_end",
        /// A wait for the target lock ended without its beginning.
        TargetWaitWithoutStart = "target_wait_without_start",
        /// A hold that was booked after a wait that may have stood behind it, or a wait longer than the
        /// holds that are kept: what is not known is in the column of readers and hand-over. The wait
        /// itself is in the numbers.
        BlameUnsettled = "blame_unsettled",
        /// A clock went backwards; the duration was dropped.
        ClockBackwards = "clock_backwards",
        /// A duration beyond the last bucket; it is in totals and in the last bucket.
        BucketOverflow = "bucket_overflow",
        /// A span was left that this hold had not entered, or entered that was not left.
        SpanUnmatched = "span_unmatched",
        /// More waits nested on a CPU than the stack of waits has places.
        WaitOverflow = "wait_overflow",
        /// A spinning wait whose end was not seen: the kernel skips a program that would interrupt
        /// itself.
        WaitWithoutEnd = "wait_without_end",
        /// A wait, spinning or sleeping, for a lock that is not the target ended without its
        /// beginning, or before it by the clock.
        WaitWithoutStart = "wait_without_start",
        /// A spinning wait began as one task and ended as another; it was dropped.
        WaitMigrated = "wait_migrated",
        /// A sleeping wait took the place of another task's in the table by task.
        TaskSlotTaken = "task_slot_taken",
        /// No free place in the table of contended locks: the wait is counted among all others, without its
        /// lock and its caller.
        ContentionTableFull = "contention_table_full",
        /// No free place in the table of who waits for whom: the wait is counted among those of all others there,
        /// without its task and its owner.
        WaiterTableFull = "waiter_table_full",
        /// Only waits that some function asks for are looked at, and of a wait it was not to be told who asked: it is
        /// in no number.
        CallerUnknown = "caller_unknown",
        /// No call stack could be taken for a wait.
        StackMissing = "stack_missing",
        /// No free place in the table of cgroups: the hold or wait is counted among those of all others.
        CgroupTableFull = "cgroup_table_full",
        /// No free place in the table of what holders did instead of running: the stretch is counted among all others.
        OffCpuTableFull = "off_cpu_table_full",
        /// More read holds nested on a CPU than the stack has places.
        ReadOverflow = "read_overflow",
        /// A reader's wait for the target lock ended, and no acquisition by the same task followed on
        /// this CPU.
        ReadWaitUnclaimed = "read_wait_unclaimed",
        /// kprobe only: a reader asked for the target lock again before its last acquisition was seen.
        ReadEntryLost = "read_entry_lost",
        /// A read hold was released that this CPU had not seen acquired (or its task had moved). Of a lock that is followed
        /// by task, one that the releasing task, or an interrupt, had not been seen to acquire.
        ReadWithoutStart = "read_without_start",
        /// A read hold whose end was not seen: another task gave it back, or an interrupt, or the kernel refused a program
        /// at its end.
        ReadWithoutEnd = "read_without_end",
    }
}

impl Loss {
    /// Whether a write hold or a wait of the target lock is missing, and so counts towards the
    /// threshold above which a run is void.
    #[must_use]
    pub const fn is_of_target(self) -> bool {
        matches!(
            self,
            Self::HoldWithoutStart
                | Self::HoldSwitched
                | Self::HoldInterrupted
                | Self::EntryLost
                | Self::WaitUnclaimed
                | Self::TargetWaitWithoutEnd
                | Self::TargetWaitWithoutStart
                | Self::ClockBackwards
        )
    }
}

impl Loss {
    /// Whether it falls on holds at random, so that those that are left are like those that are lost.
    #[must_use]
    pub const fn is_at_random(self) -> bool {
        matches!(self, Self::HoldInterrupted)
    }
}

table_index! {
    /// What the run is doing; maxima are kept for each phase apart.
    Phase {
        /// Calibration and the load's warm-up: in no result.
        WarmUp = "warm-up",
        /// The measured time.
        Measured = "measured",
        /// Windows in which calls inside holds are measured as well, where others measure the holds.
        Spans = "spans",
        /// Between two windows: in no result.
        Edge = "edge",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for loss in Loss::ALL {
            assert_eq!(Loss::from_name(loss.name()), Some(*loss));
        }
    }
}
