//! What the probes see of what lockprof does, and what follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use lockprof_abi::MAX_SPANS;

use super::{
    super::programs::Programs,
    OwnHolds, contend,
    contend::{Contended, Turn, contend, cpus},
    fcntl, file_position, life, memory_map,
};
use crate::{
    kernel::{ByTask, Obstructions, Role, SiteNumbers},
    known_locks::hold_by_setpgid,
    profile::LockKind,
    recording::schema::{Control, LockFamily, Method, Proof, Proves},
    site::Site,
};

/// Children whose lives are looked at.
const LIVES: u64 = 10;
/// Null holds before the footer.
const NULL_HOLDS: u64 = 100;
/// At least this share of what was made has to be seen, in tenths: an interrupt may cost a hold its length.
const TENTHS: u64 = 9;
/// Threads that slept so often while they contended a lock have waited for it: what else they sleep for is rarer.
const SLEPT: u64 = 20;
/// Threads that contend a spinlock, at most.
const SPINNERS: usize = 4;

/// What decides which controls can be made.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// By which kind of probe holds are followed.
    pub method: Method,
    /// Whether a control holds the target: by setpgid(), which changes nothing.
    pub holds_target: bool,
    /// How the target is followed, where that is by task: a control takes another lock of its kind by the same functions,
    /// and the kernel counts the programs' runs.
    pub takes_another: Option<&'static ByTask>,
    /// Whether the target lock itself may be contended: the machine is there to be measured with a load.
    pub may_contend_target: bool,
    /// Why waits for spinlocks are invisible here, where they are.
    pub spinlocks_invisible: Option<String>,
}

impl Circumstances {
    /// Why probes that are attached see nothing, as far as that can be found out: a part of a sentence.
    #[must_use]
    pub fn cause(&self) -> String {
        let found = Obstructions::read().cause(self.method);
        found.unwrap_or_else(|| "why was not found".to_owned())
    }
}

/// Null holds before the footer: how many were made, and seen.
#[must_use]
pub fn null_holds(own: OwnHolds, programs: &Programs) -> (u64, u64) {
    (NULL_HOLDS, own.make_and_look(NULL_HOLDS, programs))
}

/// What holds prove that were made on purpose: null holds of the target, or holds of another lock of its kind.
#[must_use]
pub fn prove_holds(done: u64, seen: u64, circumstances: &Circumstances) -> Control {
    let cause = || circumstances.cause();
    if let Some(by_task) = circumstances.takes_another {
        let what = format!(
            "runs of the programs with {} of lockprof's own",
            by_task.one
        );
        of_holds(done, seen, &what, cause)
    } else if circumstances.holds_target {
        of_holds(done, seen, "null holds", cause)
    } else {
        not_proved(Proves::Holds, OTHER_LOCK)
    }
}

/// That nothing is proved of holds, and why: a part of a sentence.
#[must_use]
pub fn holds_not_proved(why: &str) -> Control {
    not_proved(Proves::Holds, why)
}

/// Makes the controls of what is attached, with that of holds, where they are followed and it was made.
#[must_use]
pub fn prove(
    programs: &Programs,
    circumstances: &Circumstances,
    holds: Option<Control>,
) -> Vec<Control> {
    programs.let_controls_pass(true);
    let controls = prove_all(programs, circumstances, holds);
    programs.let_controls_pass(false);
    controls
}

fn prove_all(
    programs: &Programs,
    circumstances: &Circumstances,
    holds: Option<Control>,
) -> Vec<Control> {
    let sees_waits = programs
        .attached()
        .any(|loaded| loaded.probe.role == Role::Contention);
    // First what makes threads, which end a little later than they say: the lives come after them.
    let waits = if sees_waits {
        waits(programs, circumstances)
    } else {
        let why = "the contention tracepoints are not attached (Linux before 5.19 has none)";
        let families = LockFamily::ALL.map(Proves::Waits);
        families.map(|proves| not_proved(proves, why)).into()
    };
    let Some(holds) = holds else {
        return waits;
    };
    let possible = sees_waits && holds.outcome == Proof::Proved;
    let contended = contended_holds(programs, circumstances, possible);
    let life = prove_life(programs, circumstances);
    [holds]
        .into_iter()
        .chain(life)
        .chain([contended])
        .chain(waits)
        .collect()
}

/// By the lives of some children: the sites and the spans that are attached.
#[must_use]
pub fn prove_life(programs: &Programs, circumstances: &Circumstances) -> Vec<Control> {
    let before = Counts::of(programs);
    let lived = (0..LIVES).try_for_each(|_| life::live());
    let after = Counts::of(programs);
    let dead = if circumstances.holds_target && after.holds() == before.holds() {
        Some(circumstances.cause())
    } else {
        None
    };
    let judge = |proves, seen: u64, unseen: &str| match &lived {
        Err(error) => not_proved(proves, &format!("no child could be made: {error}")),
        Ok(()) => of_life(proves, seen, dead.as_deref(), unseen),
    };
    let sites = [Site::FORK, Site::EXIT, Site::REAP].map(|site| {
        let seen = after.holds_of(site) - before.holds_of(site);
        let unseen = if circumstances.holds_target {
            "holds were seen, and none of them known as this site's"
        } else {
            OTHER_LOCK
        };
        judge(Proves::Site(site), seen, unseen)
    });
    let attached: BTreeSet<&str> = programs
        .attached()
        .filter(|loaded| loaded.probe.role == Role::Span)
        .map(|loaded| loaded.probe.target.as_str())
        .collect();
    let spans = (0..).zip(&programs.spans);
    // Whether a child's life has anything to do with others nobody knows.
    let spans = spans.filter(|(_, span)| attached.contains(span.name()) && span.known().is_some());
    let spans = spans.map(|(number, &span): (usize, _)| {
        let seen = after.calls[number] - before.calls[number];
        let unseen = "no child's life was seen to call it: this kernel has inlined it there, or does without";
        judge(Proves::Span(span), seen, unseen)
    });
    sites.into_iter().chain(spans).collect()
}

fn not_proved(proves: Proves, why: &str) -> Control {
    Control {
        proves,
        outcome: Proof::NotProved,
        done: 0,
        seen: 0,
        why: Some(why.to_owned()),
    }
}

/// What holds prove that were made on purpose; `what` is what was to be seen of them.
fn of_holds(done: u64, seen: u64, what: &str, cause: impl FnOnce() -> String) -> Control {
    let seen = seen.min(done);
    let (outcome, why) = if seen == 0 {
        (Proof::Dead, Some(cause()))
    } else if seen * 10 < done * TENTHS {
        let why = format!("only {seen} of {done} {what} were seen");
        (Proof::NotProved, Some(why))
    } else {
        (Proof::Proved, None)
    };
    Control {
        proves: Proves::Holds,
        outcome,
        done,
        seen,
        why,
    }
}

/// What children's lives prove. A call that none of them made may be one that this kernel does not make.
fn of_life(proves: Proves, seen: u64, dead: Option<&str>, unseen: &str) -> Control {
    let seen = seen.min(LIVES);
    let (outcome, why) = match (seen, dead) {
        (0, Some(cause)) => (Proof::Dead, Some(cause.to_owned())),
        (0, None) => (Proof::NotProved, Some(unseen.to_owned())),
        (seen, _) if seen * 10 < LIVES * TENTHS => {
            let why = format!("only {seen} of {LIVES} were seen");
            (Proof::NotProved, Some(why))
        }
        _ => (Proof::Proved, None),
    };
    Control {
        proves,
        outcome,
        done: LIVES,
        seen,
        why,
    }
}

/// The target lock itself, contended.
fn contended_holds(programs: &Programs, circumstances: &Circumstances, possible: bool) -> Control {
    let proves = Proves::ContendedHolds;
    if !circumstances.holds_target {
        return not_proved(proves, OTHER_LOCK);
    }
    if !circumstances.may_contend_target {
        return not_proved(proves, "only `run` contends the lock that it watches");
    }
    if !possible {
        return not_proved(proves, "it needs the probes of holds and of waits");
    }
    if cpus().len() < 2 {
        return not_proved(proves, ONE_CPU);
    }
    let turn = || -> Turn<'static> {
        Box::new(|| {
            hold_by_setpgid(1);
            Ok(())
        })
    };
    let waits = || {
        let counts = Counts::of(programs);
        let slots = 0..counts.waits.len();
        let of_controls = slots.filter(|slot| counts.numbers.control_slots() >> slot & 1 != 0);
        of_controls.map(|slot| counts.waits[slot]).sum::<u64>()
    };
    let before = waits();
    let did = contend(vec![turn(), turn()], || waits() > before);
    of_contention(proves, did, waits() - before, false)
}

const ONE_CPU: &str = "with one CPU nobody can be made to wait";
const OTHER_LOCK: &str = "lockprof knows no way to hold this lock, only tasklist_lock";

/// Private locks of each family, contended.
fn waits(programs: &Programs, circumstances: &Circumstances) -> Vec<Control> {
    type Make = fn() -> io::Result<Vec<Turn<'static>>>;
    let spinlock: Result<Make, &str> = match &circumstances.spinlocks_invisible {
        Some(why) => Err(why),
        None => Ok(|| fcntl::flags_turns(cpus().len().min(SPINNERS))),
    };
    let families: [(LockFamily, Result<Make, &str>); 6] = [
        (LockFamily::Mutex, Ok(file_position::turns)),
        (LockFamily::Rwsem, Ok(memory_map::turns)),
        (LockFamily::Rwlock, Ok(fcntl::owner_turns)),
        (LockFamily::Spinlock, spinlock),
        (
            LockFamily::PercpuRwsem,
            Err("nothing that lockprof may do contends one"),
        ),
        (
            LockFamily::RtMutex,
            Err("nothing that lockprof contends is one on this kernel"),
        ),
    ];
    let mut by_realtime = 0;
    let mut controls = Vec::new();
    for (family, make) in families {
        let proves = Proves::Waits(family);
        let control = match make {
            Err(_) if family == LockFamily::RtMutex && by_realtime > 0 => Control {
                proves,
                outcome: Proof::Proved,
                done: by_realtime,
                seen: by_realtime,
                why: None,
            },
            Err(why) => not_proved(proves, why),
            Ok(_) if cpus().len() < 2 => not_proved(proves, ONE_CPU),
            Ok(make) => {
                let before = Waits::of(programs);
                let did = make().and_then(|turns| {
                    contend(turns, || Waits::of(programs).since(&before, family) > 0)
                });
                let after = Waits::of(programs);
                let seen = after.seen(&before, family);
                let realtime = after.seen(&before, LockFamily::RtMutex);
                by_realtime += realtime;
                if seen == 0 && realtime > 0 {
                    not_proved(proves, "on this kernel it is an rt_mutex")
                } else {
                    let sleeps = matches!(family, LockFamily::Mutex | LockFamily::Rwsem);
                    of_contention(proves, did, seen, sleeps)
                }
            }
        };
        controls.push(control);
    }
    controls
}

/// What threads that contended a lock prove. That none was seen to wait proves that the probes are dead only where
/// the threads know that they have waited: of a lock that is slept for.
fn of_contention(proves: Proves, did: io::Result<Contended>, seen: u64, sleeps: bool) -> Control {
    let did = match did {
        Ok(did) => did,
        Err(error) => {
            return not_proved(proves, &format!("the lock could not be contended: {error}"));
        }
    };
    let (outcome, why) = if seen > 0 {
        (Proof::Proved, None)
    } else if sleeps && did.slept >= SLEPT {
        let why = format!("its own threads waited {} times, unseen", did.slept);
        (Proof::Dead, Some(why))
    } else {
        let why = format!(
            "{} acquisitions in {} ms, and nobody was seen to wait",
            did.acquisitions,
            contend::TIME.as_millis()
        );
        (Proof::NotProved, Some(why))
    };
    Control {
        proves,
        outcome,
        done: did.acquisitions.max(seen),
        seen,
        why,
    }
}

/// What the programs have counted, over all CPUs.
struct Counts<'a> {
    numbers: &'a SiteNumbers,
    /// By slot, like the next.
    holds: Vec<u64>,
    waits: Vec<u64>,
    /// By the number of the span.
    calls: [u64; MAX_SPANS],
}

impl<'a> Counts<'a> {
    fn of(programs: &'a Programs) -> Self {
        let numbers = programs.cpus.numbers();
        let mut counts = Self {
            numbers,
            holds: vec![0; numbers.slots()],
            waits: vec![0; numbers.slots()],
            calls: [0; MAX_SPANS],
        };
        let sum = |numbers: &[u32]| numbers.iter().map(|number| u64::from(*number)).sum::<u64>();
        programs.cpus.each_booked(|cpu| {
            for index in 0..cpu.used() {
                let site = cpu.site(index);
                counts.holds[index] += sum(&site.holds);
                counts.waits[index] += sum(&site.waits);
                for (calls, span) in counts.calls.iter_mut().zip(&site.spans) {
                    *calls += span.calls;
                }
            }
            for (calls, outside) in counts.calls.iter_mut().zip(&cpu.state.calls_outside) {
                *calls += outside;
            }
        });
        counts
    }

    fn holds(&self) -> u64 {
        self.holds.iter().sum()
    }

    fn holds_of(&self, site: Site) -> u64 {
        self.numbers.slot(site).map_or(0, |slot| self.holds[slot])
    }
}

/// Waits of all locks by family.
struct Waits(BTreeMap<LockFamily, u64>);

impl Waits {
    fn of(programs: &Programs) -> Self {
        let mut waits = BTreeMap::new();
        programs.each_contention(|entry| {
            if let Some(family) = LockKind::of(entry.flags).family() {
                *waits.entry(family).or_default() += entry.waits + u64::from(entry.sampled);
            }
        });
        Self(waits)
    }

    /// Those of a family since an earlier reading.
    fn seen(&self, before: &Self, family: LockFamily) -> u64 {
        let [now, before] =
            [self, before].map(|waits| waits.0.get(&family).copied().unwrap_or_default());
        now - before
    }

    /// The same, or of those of a real-time kernel, which has its own in the place of each.
    fn since(&self, before: &Self, family: LockFamily) -> u64 {
        self.seen(before, family) + self.seen(before, LockFamily::RtMutex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    #[test]
    fn null_holds_are_proof_where_nearly_all_are_seen() {
        for (done, seen, outcome) in [
            (1000, 1000, Proof::Proved),
            // Somebody else's are no more than all.
            (1000, 1003, Proof::Proved),
            (1000, 950, Proof::Proved),
            (1000, 412, Proof::NotProved),
            (1000, 0, Proof::Dead),
        ] {
            let control = of_holds(done, seen, "null holds", || "ftrace is off".to_owned());
            assert_eq!(control.outcome, outcome, "{seen}");
            assert!(control.seen <= control.done);
            assert_eq!(control.why.is_some(), outcome != Proof::Proved);
        }
    }

    #[test]
    fn what_was_not_seen_is_named() {
        let of = |kind: LockFamily| Circumstances {
            method: Method::Fentry,
            holds_target: kind == LockFamily::Rwlock,
            takes_another: ByTask::of(Some(kind), true),
            may_contend_target: false,
            spinlocks_invisible: None,
        };
        for (kind, why) in [
            (LockFamily::Rwlock, "only 80 of 200 null holds were seen"),
            (
                LockFamily::Mutex,
                "only 80 of 200 runs of the programs with a mutex of lockprof's own were seen",
            ),
            (
                LockFamily::Rwsem,
                "only 80 of 200 runs of the programs with an rwsem of lockprof's own were seen",
            ),
        ] {
            let control = prove_holds(200, 80, &of(kind));
            assert_eq!(control.why.as_deref(), Some(why));
        }
    }

    #[test]
    fn a_call_that_no_life_makes_is_not_dead() {
        let span = Proves::Span(Span::FREE_PID);
        for (seen, dead, outcome) in [
            (40, None, Proof::Proved),
            (10, None, Proof::Proved),
            (3, None, Proof::NotProved),
            (0, None, Proof::NotProved),
            (0, Some("ftrace is off"), Proof::Dead),
        ] {
            let control = of_life(span, seen, dead, "not called");
            assert_eq!(control.outcome, outcome, "{seen} {dead:?}");
        }
    }

    #[test]
    fn threads_that_slept_unseen_prove_that_nothing_sees_them() {
        let waits = Proves::Waits(LockFamily::Mutex);
        let did = |slept| {
            Ok(Contended {
                acquisitions: 500,
                slept,
            })
        };
        for (slept, seen, sleeps, outcome) in [
            (300, 17, true, Proof::Proved),
            (300, 0, true, Proof::Dead),
            // Spinning has no witness.
            (300, 0, false, Proof::NotProved),
            (2, 0, true, Proof::NotProved),
        ] {
            let control = of_contention(waits, did(slept), seen, sleeps);
            assert_eq!(control.outcome, outcome, "{slept} {seen}");
        }
        let failed = of_contention(
            waits,
            Err(io::Error::from_raw_os_error(libc::EPERM)),
            0,
            true,
        );
        assert_eq!(failed.outcome, Proof::NotProved);
    }
}
