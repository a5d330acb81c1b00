//! Sentences about absence: each is fed with a recording in which it would be false, or in which nobody can
//! know, and is not to be said; and with one that proves it.

use lockprof::{
    export::{Format, Picture},
    profile::{Absence, Profile},
    recording::schema::{
        AddressSource, Control, Died, Interval, Line, LockFamily, Proof, Proves, Tier,
    },
    site::Site,
    span::Span,
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_READ, LCB_F_RT, LCB_F_SPIN, LCB_F_WRITE};

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{joined, text},
};

/// What may be said only of what is proved.
const NEVER_TAKEN: &str = "never taken for writing";
const NOBODY_WAITED: &str = "Nobody was seen waiting";
const NEVER_INSIDE: &str = "never inside a hold";
const DEFERRAL: &str = "the deferral is seen";
const NO_OTHER_WAIT: &str = "No wait for any other lock was seen.";
const NOT_TRIED: &str = "whether the probes would have seen one was not tried";

/// All that a person or a program can read of a profile, in one line of text.
pub fn all_views(profile: &Profile) -> String {
    let texts = [
        Format::Table {
            width: 100,
            color: false,
            by: None,
        },
        Format::Json,
        Format::Csv,
        Format::Markdown,
        Format::Html,
    ];
    let pictures = Picture::of(profile)
        .iter()
        .map(|&picture| Format::Svg(picture));
    let mut all = String::new();
    for format in texts.into_iter().chain(pictures) {
        all.push_str(&text(profile, format));
    }
    // Views break lines, escape, and keep numbers and units together.
    let all = all.replace('\\', "").replace('\u{a0}', " ");
    joined(&all)
}

/// A recording after a change to its lines.
pub fn changed(synthetic: &Synthetic, mut change: impl FnMut(&mut Line)) -> Profile {
    let mut lines = synthetic.lines();
    lines.iter_mut().for_each(&mut change);
    profile_of(lines)
}

/// Takes everything of the target lock out of an interval, as if it had not been taken or not been seen.
fn without_target(interval: &mut Interval) {
    interval.cpus.clear();
    interval.spans.clear();
    interval.calls_outside.clear();
    interval.blame.clear();
    interval.longest.clear();
    interval.contention.clear();
    interval.machine.tasks_created = 0;
}

pub fn idle(mut change: impl FnMut(&mut Line)) -> Profile {
    changed(&Synthetic::default(), |line| {
        if let Line::Interval(interval) = line {
            without_target(interval);
        }
        change(line);
    })
}

/// Every family, and holds, with one outcome.
fn controls(outcome: Proof) -> Vec<Control> {
    let families = LockFamily::ALL.into_iter().map(Proves::Waits);
    let all = families.chain([Proves::Holds, Proves::Span(Span::FREE_PID)]);
    all.map(|proves| Control {
        proves,
        outcome,
        done: 10,
        seen: if outcome == Proof::Proved { 10 } else { 0 },
        why: (outcome != Proof::Proved).then(|| "kernel.ftrace_enabled is 0".to_owned()),
    })
    .collect()
}

pub fn set_controls(line: &mut Line, outcome: Proof) {
    if let Line::Calibration(calibration) = line {
        calibration.controls = controls(outcome);
    }
}

pub fn says_none_of(text: &str, sentences: &[&str]) {
    for sentence in sentences {
        let around = text.find(sentence).map(|at| {
            let around: String = text[at.saturating_sub(100)..].chars().take(250).collect();
            around
        });
        assert_eq!(around, None, "{sentence:?} is said");
    }
}

#[test]
fn what_is_proved_is_said() {
    let profile = idle(|line| {
        set_controls(line, Proof::Proved);
        if let Line::Header(header) = line {
            header.kernel.cpus_online = 4;
        }
    });
    let text = all_views(&profile);
    for said in [
        "tasklist_lock was never taken for writing in 3.00 s.",
        "Nobody was seen waiting for tasklist_lock.",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert_eq!(profile.write_holds(), Some(0));
    // Of spinlocks, whose first waiter is silent, it is never certain.
    assert!(text.contains(
        "No wait for any other lock was seen. The probes see those for mutexes, rwsems, rwlocks, \
         percpu-rwsems and rt_mutexes; whether there were any for spinlocks is not known."
    ));
    says_none_of(&text, &[NOT_TRIED, "is not known: "]);
}

#[test]
fn an_older_recording_says_that_nobody_tried() {
    let text = all_views(&idle(|_| {}));
    says_none_of(&text, &[NEVER_TAKEN, NOBODY_WAITED, NO_OTHER_WAIT]);
    for said in [
        "No write hold of tasklist_lock was seen in 3.00 s; whether the probes would have seen one was not tried.",
        "No wait for tasklist_lock was seen; whether the probes would have seen one was not tried.",
        "No wait for any other lock was seen; whether the probes would have seen one was not tried.",
    ] {
        assert!(text.contains(said), "{said}");
    }
}

/// The kernel itself contradicts: each of the tasks that it created was linked in under the lock.
#[test]
fn tasks_that_were_created_prove_that_the_lock_was_taken() {
    for outcome in [None, Some(Proof::Proved)] {
        let profile = idle(|line| {
            if let Some(outcome) = outcome {
                set_controls(line, outcome);
            }
            if let Line::Interval(interval) = line {
                interval.machine.tasks_created = 2792;
            }
        });
        let text = all_views(&profile);
        says_none_of(&text, &[NEVER_TAKEN, "0 % of the time", "0.0 task lives"]);
        assert!(text.contains(
            "No write hold of tasklist_lock was seen in 3.00 s, though there were: the kernel created 8,376 \
             tasks meanwhile, each of them under this lock."
        ));
        // Nothing is 0 that nobody knows.
        let unknown = (profile.write_holds(), profile.held_ns(), profile.lives());
        assert_eq!(unknown, (None, None, None));
        assert!(profile.series.iter().all(|point| point.holds.is_none()));
    }
}

#[test]
fn dead_probes_prove_nothing() {
    for outcome in [Proof::Dead, Proof::NotProved] {
        let profile = idle(|line| set_controls(line, outcome));
        let text = all_views(&profile);
        says_none_of(
            &text,
            &[NEVER_TAKEN, NOBODY_WAITED, NO_OTHER_WAIT, NOT_TRIED],
        );
        assert!(
            text.contains("kernel.ftrace_enabled is 0"),
            "the cause is said"
        );
        assert_eq!(profile.write_holds(), None);
    }
}

#[test]
fn probes_that_died_on_the_way_prove_nothing_afterwards() {
    let profile = idle(|line| {
        set_controls(line, Proof::Proved);
        if let Line::Footer(footer) = line {
            footer.died = Some(Died {
                at_s: 1.5,
                proves: Proves::Holds,
                why: "kernel.ftrace_enabled is 0".into(),
            });
        }
    });
    let text = all_views(&profile);
    says_none_of(&text, &[NEVER_TAKEN]);
    assert!(matches!(
        profile.absence_in_holds(Span::FREE_PID),
        Absence::Unknown(_)
    ));
}

/// A lock of which only some kinds of events can be seen.
fn another_lock(name: &'static str, kind: Option<LockFamily>) -> impl FnMut(&mut Line) {
    move |line| {
        set_controls(line, Proof::Proved);
        if let Line::Header(header) = line {
            header.lock.name = name.into();
            header.lock.kind = kind;
        }
    }
}

#[test]
fn only_locks_that_are_followed_are_never_taken() {
    for (name, kind, said) in [
        (
            "pidmap_lock",
            Some(LockFamily::Spinlock),
            "only holds of mutexes, rwsems, rwlocks, and of those who write percpu-rwsems, are followed, and this is one of the spinlocks",
        ),
        (
            "some_lock",
            None,
            "are followed, and what kind of lock this is is not known",
        ),
        (
            "some_lock",
            Some(LockFamily::Rwlock),
            "by write_lock_irq() are followed, and whether anybody does is not known",
        ),
    ] {
        let profile = idle(another_lock(name, kind));
        let text = all_views(&profile);
        says_none_of(&text, &[NEVER_TAKEN, DEFERRAL]);
        assert!(text.contains(said), "{said}");
        assert_eq!(profile.write_holds(), None);
    }
    // One whose holds were seen before is taken so.
    let profile = changed(&Synthetic::default(), |line| {
        another_lock("some_lock", None)(line);
        if let Line::Interval(interval) = line
            && interval.at_s > 1.0
        {
            without_target(interval);
        }
    });
    assert!(all_views(&profile).contains("some_lock was never taken for writing in 3.00 s."));
}

/// The first contender of a queued spinlock emits nothing, and with two CPUs there is no second one.
#[test]
fn a_spinlock_of_which_nobody_would_be_seen_waiting() {
    for kind in [Some(LockFamily::Spinlock), None] {
        // A recording of a version that made no controls, and said nothing of spinlocks.
        let text = all_views(&idle(|line| {
            another_lock("pidmap_lock", kind)(line);
            match line {
                Line::Header(header) => header.schema = 1,
                Line::Calibration(calibration) => calibration.controls.clear(),
                _ => {}
            }
        }));
        says_none_of(&text, &[NOBODY_WAITED]);
        assert!(text.contains("waits for spinlocks are invisible here (with two CPUs"));
    }
    let four = all_views(&idle(|line| {
        another_lock("pidmap_lock", Some(LockFamily::Spinlock))(line);
        if let Line::Header(header) = line {
            header.kernel.cpus_online = 4;
        }
    }));
    says_none_of(&four, &[NOBODY_WAITED, "invisible here"]);
    assert!(four.contains("the first waiter in the line for a spinlock emits no event"));
    // Of one CPU everybody knows.
    let one = all_views(&idle(|line| {
        another_lock("pidmap_lock", Some(LockFamily::Spinlock))(line);
        if let Line::Header(header) = line {
            (header.kernel.cpus_online, header.kernel.cpus_possible) = (1, 1);
        }
    }));
    assert!(one.contains("Nobody was seen waiting for pidmap_lock."));
}

#[test]
fn why_waits_for_spinlocks_are_invisible_is_handed_on() {
    let text = all_views(&idle(|line| {
        another_lock("pidmap_lock", Some(LockFamily::Spinlock))(line);
        match line {
            Line::Header(header) => {
                header.kernel.spinlock_waits_invisible = Some("of this cause".into());
            }
            Line::Calibration(calibration) => {
                let spinlocks = Proves::Waits(LockFamily::Spinlock);
                calibration
                    .controls
                    .retain(|control| control.proves != spinlocks);
            }
            _ => {}
        }
    }));
    assert!(text.contains("waits for spinlocks are invisible here (of this cause)"));
}

/// Waits for a lock that is no site's are told by who asked for it.
#[test]
fn waits_for_a_spinlock_are_told_by_caller() {
    for tier in [Tier::Exact, Tier::WaitOnly] {
        let synthetic = Synthetic {
            tier,
            ..Synthetic::default()
        };
        let profile = changed(&synthetic, |line| {
            another_lock("pidmap_lock", None)(line);
            match line {
                Line::Header(header) => {
                    header.lock.address = Some("0xffffffff82611c40".into());
                    header.lock.address_source = AddressSource::Kallsyms;
                }
                Line::Interval(interval) => {
                    let mut entry = interval.contention[1].clone();
                    without_target(interval);
                    entry.lock = "0xffffffff82611c40".into();
                    entry.flags = LCB_F_SPIN;
                    entry.caller = Some("alloc_pid+0x12".into());
                    interval.contention = vec![entry];
                }
                _ => {}
            }
        });
        assert_eq!(profile.lock_family(), Some(LockFamily::Spinlock));
        let text = all_views(&profile);
        says_none_of(&text, &[NEVER_TAKEN, NOBODY_WAITED, DEFERRAL]);
        assert!(text.contains(
            "alloc_pid waits most: 120 times, 24.0 µs on average, all the waiting that was seen."
        ));
        assert!(text.contains("Waits for it, by who asked for it: caller kind waits"));
    }
}

/// Where only writers are followed, readers wait all the same.
#[test]
fn who_only_reads_waits_too() {
    let profile = idle(|line| {
        set_controls(line, Proof::Proved);
        if let Line::Interval(interval) = line {
            let mut readers = Synthetic::default().lines();
            let Some(Line::Interval(other)) = readers.get_mut(3) else {
                panic!("an interval");
            };
            let mut entry = other.contention[1].clone();
            entry.flags = LCB_F_SPIN | LCB_F_READ;
            entry.caller = Some("do_wait+0x8d".into());
            interval.contention = vec![entry];
        }
    });
    let text = all_views(&profile);
    says_none_of(&text, &[NOBODY_WAITED, "No wait for tasklist_lock"]);
    assert!(text.contains("do_wait waits most: 120 times"));
}

/// On PREEMPT_RT a reader-writer lock is made of an rt_mutex, which is eight bytes into it.
#[test]
fn a_lock_is_a_range_of_addresses() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let profile = changed(&wait_only, |line| match line {
        Line::Header(header) => {
            header.kernel.version = "#1 SMP PREEMPT_RT Debian 7.3.2-1".into();
            header.lock.address = Some("0xffffffff8260a080".into());
            header.lock.address_source = AddressSource::Kallsyms;
            header.lock.bytes = Some(64);
            header.lock.kind = Some(LockFamily::RtMutex);
        }
        Line::Interval(interval) => {
            let mut all = Vec::new();
            // Two writers for the rt_mutex, one of whom waits for readers too, and a reader.
            for (lock, flags, caller) in [
                ("0xffffffff8260a088", LCB_F_RT, "release_task+0x9c"),
                ("0xffffffff8260a088", LCB_F_RT, "copy_process+0x1f"),
                (
                    "0xffffffff8260a080",
                    LCB_F_RT | LCB_F_WRITE,
                    "release_task+0x9c",
                ),
                ("0xffffffff8260a080", LCB_F_RT | LCB_F_READ, "do_wait+0x8d"),
                // The next object.
                ("0xffffffff8260a0c0", LCB_F_RT, "somebody_else+0x1"),
            ] {
                let mut entry = interval.contention[1].clone();
                entry.lock = lock.into();
                entry.flags = flags;
                entry.stack = None;
                entry.caller = Some(caller.into());
                all.push(entry);
            }
            interval.contention = all;
        }
        _ => {}
    });
    let count = |site| {
        let waits = profile.site(site).and_then(|site| site.wait.as_ref());
        waits.map_or(0, lockprof::profile::Durations::count)
    };
    assert_eq!(count(Site::REAP), 240);
    assert_eq!(count(Site::FORK), 120);
    assert_eq!(count(Site::READ_OTHER), 120);
    assert_eq!(profile.other_locks().count(), 1);
    let text = all_views(&profile);
    says_none_of(&text, &[NOBODY_WAITED, "No wait for tasklist_lock"]);
    assert!(text.contains("reap waits most: 240 times"));
}

/// Calls that were seen, where no hold was, were in no hold that anybody saw.
#[test]
fn never_inside_needs_holds() {
    let calls_alone = |outcome| {
        idle(move |line| {
            set_controls(line, outcome);
            if let Line::Interval(interval) = line {
                interval.calls_outside.insert("free_pid".into(), 60);
            }
        })
    };
    for outcome in [Proof::Proved, Proof::Dead, Proof::NotProved] {
        let text = all_views(&calls_alone(outcome));
        says_none_of(&text, &[NEVER_INSIDE, DEFERRAL]);
        assert!(text.contains(
            "free_pid: 180 calls, and whether inside a hold is not known: no hold of tasklist_lock was seen"
        ));
    }
}

/// The recording of a kernel that frees pids outside of its holds.
fn deferred(mut change: impl FnMut(&mut Line)) -> Profile {
    changed(&Synthetic::default(), |line| {
        if let Line::Interval(interval) = line {
            interval.spans.retain(|span| span.span != "free_pid");
            interval.calls_outside.insert("free_pid".into(), 60);
        }
        change(line);
    })
}

#[test]
fn the_deferral_is_seen_where_tasks_were_reaped_and_pids_freed() {
    let seen = all_views(&deferred(|_| {}));
    assert!(seen.contains("free_pid: 180 calls, never inside a hold (the deferral is seen)"));
    let without_reaps = deferred(|line| {
        if let Line::Interval(interval) = line {
            let all = interval.cpus.iter_mut();
            all.for_each(|cpu| cpu.sites.retain(|site| site.site != "reap"));
        }
    });
    let text = all_views(&without_reaps);
    says_none_of(&text, &[DEFERRAL]);
    assert!(text.contains("free_pid: 180 calls, never inside a hold"));
    let of_another_lock = deferred(|line| another_lock("some_lock", None)(line));
    says_none_of(&all_views(&of_another_lock), &[DEFERRAL]);
    let dead = deferred(|line| set_controls(line, Proof::Dead));
    says_none_of(&all_views(&dead), &[DEFERRAL, NEVER_INSIDE]);
    // One inside is enough.
    let inside = changed(&Synthetic::default(), |line| {
        if let Line::Interval(interval) = line {
            interval.calls_outside.insert("free_pid".into(), 6000);
        }
    });
    says_none_of(&all_views(&inside), &[DEFERRAL]);
}

#[test]
fn a_lock_whose_address_nobody_knows_is_not_idle() {
    for source in [AddressSource::Unknown, AddressSource::Stacks] {
        let wait_only = Synthetic {
            tier: Tier::WaitOnly,
            ..Synthetic::default()
        };
        let profile = changed(&wait_only, |line| {
            set_controls(line, Proof::Proved);
            match line {
                Line::Header(header) => header.lock.address_source = source,
                Line::Interval(interval) => {
                    // Somebody waits, and nobody knows whether for this lock.
                    for entry in &mut interval.contention {
                        entry.stack = None;
                    }
                }
                _ => {}
            }
        });
        let text = all_views(&profile);
        says_none_of(&text, &[NOBODY_WAITED]);
        assert!(text.contains("the lock's address is not known"));
    }
}

#[test]
fn what_sees_nothing_loses_nothing() {
    let text = all_views(&idle(|line| set_controls(line, Proof::Dead)));
    says_none_of(&text, &["that this kernel lets us count"]);
    assert!(text.contains("nothing of the lock was seen that could be lost"));
    // Losses that the kernel does not count are not none.
    let uncounted = changed(&Synthetic::default(), |line| {
        if let Line::Interval(interval) = line {
            interval.losses.insert("stack_missing".into(), 1);
            interval
                .missed
                .insert("kretprobe_lock_acquired".into(), None);
        }
    });
    let text = all_views(&uncounted);
    says_none_of(&text, &["(none of the lock's holds and waits)"]);
    assert!(text.contains("(none counted of the lock's holds and waits)"));
}

/// That no fork was seen is no agreement with a kernel that has counted none.
#[test]
fn nothing_and_nothing_is_not_all() {
    let text = all_views(&idle(|line| {
        if let Line::Footer(footer) = line {
            footer.tasks_created = 0;
        }
    }));
    assert!(text.contains("holds seen: fork 0, exit 0"), "{text}");
    says_none_of(&text, &["(all)"]);
}

/// A machine on which spinlocks' waits are invisible may wait for one most of all.
#[test]
fn what_is_waited_for_most_is_of_what_is_seen() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let profile = changed(&wait_only, |line| {
        if let Line::Header(header) = line {
            header.kernel.spinlock_waits_invisible = Some("of this cause".into());
        }
        if let Line::Interval(interval) = line {
            interval
                .contention
                .retain(|entry| entry.lock == "0xffff888100a0b0c0");
            interval.contention[0].flags = LCB_F_MUTEX;
        }
    });
    let text = all_views(&profile);
    says_none_of(
        &text,
        &["No lock is waited for", "What this machine waits for"],
    );
    assert!(text.contains("Little waiting was seen: the most for an unnamed mutex of __vm_munmap"));
    assert!(text.contains("; waits for spinlocks are invisible here."));
}

/// Little, and nobody waits: only where who waits would have been seen.
#[test]
fn a_quiet_lock_is_not_what_is_waited_for_where_that_is_known() {
    let quiet = |outcome: Option<Proof>| {
        let profile = changed(&Synthetic::default(), |line| {
            if let Some(outcome) = outcome {
                set_controls(line, outcome);
            }
            if let Line::Interval(interval) = line {
                for site in interval.cpus.iter_mut().flat_map(|cpu| &mut cpu.sites) {
                    (site.waits, site.waited_ns) = (0, 0);
                    site.wait_buckets.clear();
                }
                interval.longest.clear();
                interval.blame.clear();
                interval.contention.clear();
            }
        });
        all_views(&profile)
    };
    let not_it = "is not what this machine waits for";
    assert!(quiet(Some(Proof::Proved)).contains(not_it));
    let dead = quiet(Some(Proof::Dead));
    says_none_of(&dead, &[not_it, NOBODY_WAITED]);
    assert!(dead.contains("the probes do not see waits for rwlocks"));
    let untried = quiet(None);
    says_none_of(&untried, &[not_it, NOBODY_WAITED]);
    assert!(untried.contains("That is little."));
}
