//! What a run lost, and what it could not see at all.

use lockprof_abi::Loss;

use super::{Column, Grid};
use crate::{
    kernel::ByTask,
    profile::Profile,
    recording::schema::{AddressSource, Arrangement, Clock, Detail, LockFamily, Tier},
    site::Site,
    units::{self, UNKNOWN},
};

/// Every kind of loss that is counted, and those that this kernel does not count.
pub(in super::super) fn losses(profile: &Profile) -> Grid {
    let losses = &profile.losses;
    let mut grid = Grid::new(&["loss"], &["lost"]).and("what it is", Column::Text);
    for &loss in Loss::ALL {
        let count = losses.counted.get(&loss).copied().unwrap_or(0);
        grid.row([
            loss.name().to_owned(),
            units::count(count),
            meaning(loss).to_owned(),
        ]);
    }
    for (program, count) in &losses.missed {
        grid.row([
            format!("missed: {program}"),
            count.map_or_else(|| UNKNOWN.to_owned(), units::count),
            match count {
                Some(_) => "runs of this program that the kernel refused".to_owned(),
                None => "this kernel does not tell how many runs it refused".to_owned(),
            },
        ]);
    }
    grid
}

const fn meaning(loss: Loss) -> &'static str {
    match loss {
        Loss::HoldWithoutStart => "a release by a task that this CPU had not seen ask for the lock",
        Loss::HoldOverwritten => "a request while a hold was still open on that CPU",
        Loss::HoldSwitched => "a hold whose task was switched out between a clock and the lock",
        Loss::HoldInterrupted => "a hold of which an interrupt came between a clock and the lock",
        Loss::EntryLost => "a return of which the entry was lost (kprobe)",
        Loss::WaitUnclaimed => "a wait for this lock that no hold followed",
        Loss::TargetWaitWithoutEnd => {
            "a wait for this lock without its end, and the hold behind it"
        }
        Loss::TargetWaitWithoutStart => "a wait for this lock without its beginning",
        Loss::BlameUnsettled => "a hold that may be missing among those that a wait was charged to",
        Loss::ClockBackwards => "a length that the clock made negative",
        Loss::BucketOverflow => "a length beyond the last bucket; it is in the totals",
        Loss::SpanUnmatched => "a call of which one end was not seen",
        Loss::WaitOverflow => "waits nested deeper than there is room for",
        Loss::WaitWithoutEnd => "a spinning wait without its end",
        Loss::WaitWithoutStart => "a wait for another lock without its beginning",
        Loss::WaitMigrated => "a spinning wait that began and ended as different tasks",
        Loss::TaskSlotTaken => "a sleeping wait that took the place of another's",
        Loss::ContentionTableFull => {
            "a wait whose lock the table had no place for; it is among the others"
        }
        Loss::WaiterTableFull => {
            "a wait whose task and owner the table had no place for; it is among the others"
        }
        Loss::CallerUnknown => {
            "a wait of which it was not to be told who asked, where only some callers are looked at"
        }
        Loss::StackMissing => "a wait of which no call stack could be taken",
        Loss::CgroupTableFull => {
            "a hold or wait whose cgroup the table had no place for; it is among the others"
        }
        Loss::OffCpuTableFull => {
            "a stretch of a holder that was not running which the table had no place for; it is among the others"
        }
        Loss::ReadOverflow => "read holds nested deeper than there is room for",
        Loss::ReadWaitUnclaimed => "a reader's wait that no acquisition followed",
        Loss::ReadEntryLost => "a reader's entry whose return was not seen (kprobe)",
        Loss::ReadWithoutStart => "a read hold without its beginning",
        Loss::ReadWithoutEnd => "a read hold without its end",
    }
}

/// What nobody can read off this run, in sentences.
pub(in super::super) fn unseen(profile: &Profile) -> Vec<String> {
    let header = &profile.header;
    let mut all = Vec::new();
    match header.tier {
        Tier::Exact if !profile.measures_holds() => {
            all.push("Holds: no window with their probes came before the end.".to_owned());
        }
        Tier::Exact => {}
        Tier::Bounded => {
            all.push(
                "The exact lengths of holds: the unlock is inlined in this kernel.".to_owned(),
            );
        }
        Tier::WaitOnly | Tier::Unsupported | Tier::Off => {
            all.push("Holds: who held the lock, for how long and doing what.".to_owned())
        }
    }
    if let Some(run) = profile.windows.all() {
        all.push(format!(
            "The lock while the probes of its holds or waits were detached or changed, or had others \
             beside them: the numbers are of {} of {}.",
            units::seconds(profile.measured_s),
            units::seconds(run.seconds)
        ));
    }
    match header.clock {
        Clock::Hardware => {}
        Clock::EmulatedWall => all.push(
            "Times of real hardware: an emulated CPU's are longer, and not by the same factor \
             everywhere."
                .to_owned(),
        ),
        Clock::Instructions => all.push(
            "Waits and times: this clock counts instructions, and CPUs take turns.".to_owned(),
        ),
    }
    if header.clock != Clock::Instructions {
        all.push(match profile.spinlock_waits_invisible() {
            Some(why) => format!("Waits for spinlocks: {why}."),
            None => {
                "The first waiter in the line for a spinlock: it emits no event, so waits for spinlocks \
                 are lower bounds."
                    .to_owned()
            }
        });
        all.push(
            "Readers that spin in an interrupt: the kernel emits no event for them.".to_owned(),
        );
    }
    if profile.holds_known() {
        if profile.lock_family() == Some(LockFamily::PercpuRwsem) {
            all.push("Holds of readers: what they do is inlined into their functions.".to_owned());
        } else if profile.may_be_read_unseen() {
            all.push("Holds of readers: they are followed with --readers only.".to_owned());
        }
        if header.lock.address_source == AddressSource::Process && !header.readers {
            all.push(format!(
                "Which waits of readers were for the {0} of this process: they are in the row of all processes' {0}.",
                header.lock.name
            ));
        }
        if profile.is_followed_by_task() {
            let which = ByTask::of(profile.lock_family(), false);
            let which = which.map_or("this lock", |by_task| by_task.one);
            let sleepers = profile.may_be_slept_with() && profile.off_cpu.is_none();
            let unseen = match (header.detail, sleepers) {
                (Detail::Holds, true) => Some((
                    "The calls inside holds, who sleeps in one and for how long",
                    "--span and --off-cpu",
                )),
                (Detail::Holds, false) => Some(("The calls inside holds", "--span")),
                (Detail::Spans, true) => Some(("Tasks that sleep in holds", "--off-cpu")),
                (Detail::Spans, false) => None,
            };
            all.extend(unseen.map(|(what, options)| {
                format!("{what}: of {which} they are not followed without {options}.")
            }));
        } else if header.detail == Detail::Holds {
            all.push(
                "The calls inside holds, and waits for other locks there: they are followed with \
                 --detail spans only."
                    .to_owned(),
            );
        }
        if matches!(
            header.attach.arrangement,
            Some(Arrangement::Exit | Arrangement::Robust)
        ) {
            all.push(
                "Interrupts of vectors that have no tracepoint (Hyper-V's and Xen's, posted \
                 interrupts, NMIs): they lengthen the hold between whose clocks they fall."
                    .to_owned(),
            );
            let missed = profile.losses.missed.get("contention_began");
            if let Some(missed) = missed.copied().flatten().filter(|missed| *missed > 0) {
                all.push(format!(
                    "Whether up to {} holds have the wait before them in their length: the kernel \
                     refused so many runs of the program that sees waits begin.",
                    units::count(missed)
                ));
            }
        }
        for (span, why) in &profile.absent_spans {
            all.push(format!("Calls of {span}: {why}."));
        }
        let unknown = profile
            .site(Site::UNKNOWN)
            .and_then(|site| site.hold.as_ref());
        if let Some(holds) = unknown.filter(|holds| holds.count() > 0) {
            all.push(format!(
                "The site of {} holds: the return address could not be read.",
                units::count(holds.count())
            ));
        }
    }
    all.extend(profile.not_proved());
    let programs: Vec<&str> = profile.losses.unknown().collect();
    if !programs.is_empty() {
        all.push(format!(
            "How many runs of {} the kernel refused: it does not tell.",
            programs.join(", ")
        ));
    }
    all
}
