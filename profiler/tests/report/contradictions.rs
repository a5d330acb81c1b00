//! What a recording says of itself (losses, full tables, unproved controls, the kernel's own count of tasks, the kind
//! of windows that came) against what a report would say without it.

use lockprof::{
    export::Format,
    profile::{Absence, Profile},
    recording::schema::{
        AddressSource, ContentionInterval, Control, Interval, Line, LockFamily, Phase, Probe,
        Proof, Proves, Tier,
        WindowKind::{Bare, Holds, Spans, Waits},
        WindowPlan,
    },
    report::Validity,
    site::Site,
    span::Span,
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_SPIN, LCB_F_WRITE};

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{Windowed, joined, text},
};

const NEVER_TAKEN: &str = "never taken for writing";
const NOBODY_WAITED: &str = "Nobody was seen waiting";
const NEVER_INSIDE: &str = "never inside a hold";

/// What people read, in one line of text.
fn views(profile: &Profile) -> String {
    let table = Format::Table {
        width: 100,
        color: false,
        by: None,
    };
    let all = [table, Format::Markdown, Format::Html]
        .map(|format| text(profile, format).replace(['\u{a0}', '\\'], " "));
    joined(&all.join(" "))
}

fn changed(mut lines: Vec<Line>, change: impl FnMut(&mut Line)) -> Profile {
    lines.iter_mut().for_each(change);
    profile_of(lines)
}

/// A change to the intervals of the measured time.
fn measured(line: &mut Line, change: impl FnOnce(&mut Interval)) {
    if let Line::Interval(interval) = line
        && interval.phase == Phase::Measured
    {
        change(interval);
    }
}

fn control(proves: Proves, outcome: Proof, seen: u64) -> Control {
    Control {
        proves,
        outcome,
        done: 10,
        seen,
        why: (outcome != Proof::Proved).then(|| format!("only {seen} of 10 were seen")),
    }
}

/// Controls that prove all that there is, but these.
fn controls(line: &mut Line, but: &[Control]) {
    if let Line::Calibration(calibration) = line {
        let sites = [Site::FORK, Site::EXIT, Site::REAP].map(Proves::Site);
        let others = [
            Proves::Holds,
            Proves::ContendedHolds,
            Proves::Span(Span::FREE_PID),
        ];
        let families = LockFamily::ALL.map(Proves::Waits);
        let all = sites.into_iter().chain(others).chain(families);
        let proved = all.filter(|proves| but.iter().all(|control| control.proves != *proves));
        let proved = proved.map(|proves| control(proves, Proof::Proved, 10));
        calibration.controls = proved.chain(but.iter().cloned()).collect();
    }
}

fn without_waits(interval: &mut Interval) {
    for site in interval.cpus.iter_mut().flat_map(|cpu| &mut cpu.sites) {
        (site.waits, site.waited_ns) = (0, 0);
        site.wait_buckets.clear();
    }
    interval.blame.clear();
    interval.contention.clear();
    interval.longest.clear();
}

fn without_holds(interval: &mut Interval) {
    without_waits(interval);
    interval.cpus.clear();
    interval.spans.clear();
    interval.calls_outside.clear();
    interval.machine.tasks_created = 0;
}

fn says(text: &str, said: &[&str], unsaid: &[&str]) {
    for sentence in said {
        assert!(text.contains(sentence), "{sentence:?} is not said: {text}");
    }
    for sentence in unsaid {
        assert!(!text.contains(sentence), "{sentence:?} is said: {text}");
    }
}

/// Whatever may be lost before a run is void: what is lost was there.
#[test]
fn what_was_lost_is_not_absent() {
    let lines = Synthetic::default().lines();
    let profile = changed(lines, |line| {
        controls(line, &[]);
        match line {
            Line::Header(header) => header.loss_threshold = 1.0,
            Line::Interval(interval) => without_holds(interval),
            _ => {}
        }
        measured(line, |interval| {
            interval.losses.insert("hold_without_start".into(), 1000);
            interval.losses.insert("wait_unclaimed".into(), 700);
        });
    });
    assert!(!profile.void());
    let unknown = (profile.write_holds(), profile.held_ns(), profile.lives());
    assert_eq!(unknown, (None, None, None));
    says(
        &views(&profile),
        &[
            "No write hold of tasklist_lock was seen in 3.00 s, though there were: 5,100 were lost \
             (hold_without_start: 3,000, wait_unclaimed: 2,100).",
            "No wait for tasklist_lock was seen, though there were: 2,100 were lost (wait_unclaimed: 2,100).",
        ],
        &[
            NEVER_TAKEN,
            NOBODY_WAITED,
            "0 % of the time",
            "0.0 task lives",
        ],
    );
}

/// Holds without waits, in which something was lost.
fn lost(losses: &[(&str, u64)], missed: &[(&str, u64)]) -> Profile {
    let synthetic = Synthetic {
        times: 20,
        ..Synthetic::default()
    };
    changed(synthetic.lines(), |line| {
        controls(line, &[]);
        if let Line::Interval(interval) = line {
            without_waits(interval);
        }
        measured(line, |interval| {
            for &(name, count) in losses {
                interval.losses.insert(name.to_owned(), count);
            }
            for &(program, count) in missed {
                interval.missed.insert(program.to_owned(), Some(count));
            }
        });
    })
}

#[test]
fn waits_that_were_lost_are_waits() {
    says(&views(&lost(&[], &[])), &[NOBODY_WAITED], &[]);
    for loss in [
        "wait_unclaimed",
        "target_wait_without_end",
        "target_wait_without_start",
    ] {
        let profile = lost(&[(loss, 1)], &[]);
        assert!(!profile.void());
        let said = format!(
            "No wait for tasklist_lock was seen, though there were: 3 were lost ({loss}: 3)."
        );
        says(&views(&profile), &[&said], &[NOBODY_WAITED]);
        assert!(!profile.target_waits_known());
    }
}

/// Runs of the program that sees waits begin are waits of nobody knows which lock.
#[test]
fn waits_that_the_kernel_did_not_let_be_seen_may_have_been_for_the_lock() {
    let profile = lost(&[], &[("contention_began", 50_000)]);
    says(
        &views(&profile),
        &[
            "No wait for tasklist_lock was seen, and whether there was one is not known: 150,000 waits for locks that \
             nobody knows were lost (refused runs of contention_began: 150,000).",
            "No wait for any other lock was seen, and whether there was one is not known: 150,000 waits for locks",
        ],
        &[NOBODY_WAITED, "mean wait"],
    );
    // A lock that spins is not waited for in the table of tasks that sleep.
    let sleeping = lost(&[("task_slot_taken", 1000)], &[]);
    says(&views(&sleeping), &[NOBODY_WAITED], &[]);
    // No more than a run may lose.
    let entry = |waits: u32| {
        let mut lines = Synthetic::default().lines();
        let Some(Line::Interval(interval)) = lines.get_mut(2) else {
            panic!("an interval");
        };
        let mut entry = interval.contention.swap_remove(0);
        entry.flags = LCB_F_MUTEX;
        entry.waits = waits.into();
        entry.octaves = vec![14, waits];
        entry
    };
    let few = changed(Synthetic::default().lines(), |line| {
        controls(line, &[]);
        measured(line, |interval| {
            without_waits(interval);
            interval.contention = vec![entry(10_000)];
            interval.missed.insert("contention_began".into(), Some(1));
        });
    });
    says(&views(&few), &[NOBODY_WAITED], &[]);
}

/// Waits of the wait-only tier, with the lock's address.
fn wait_only(flags: u32) -> Profile {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    changed(synthetic.lines(), |line| {
        controls(line, &[]);
        if let Line::Header(header) = line {
            header.lock.address = Some("0xffffffff83005080".into());
            header.lock.address_source = AddressSource::Kallsyms;
        }
        if let Line::Interval(interval) = line {
            interval.contention = vec![ContentionInterval {
                lock: "0x0".into(),
                others: true,
                flags,
                stack: None,
                waits: 5000,
                waited_ns: 15_000_000_000,
                longest_ns: 3_500_000,
                octaves: vec![21, 5000],
                ..interval.contention[0].clone()
            }];
        }
    })
}

#[test]
fn waits_without_a_place_may_be_for_the_lock() {
    let profile = wait_only(LCB_F_SPIN | LCB_F_WRITE);
    says(
        &views(&profile),
        &[
            "No wait for tasklist_lock was seen, and whether there was one is not known: 15,000 waits of its \
             kind were for locks that the tables had no place for.",
        ],
        &[NOBODY_WAITED],
    );
    // Those for mutexes are not.
    says(&views(&wait_only(LCB_F_MUTEX)), &[NOBODY_WAITED], &[]);
}

#[test]
fn calls_that_were_lost_may_have_been_inside() {
    let outside = |unmatched: u64, refused: u64, but: &[Control]| {
        changed(Synthetic::default().lines(), |line| {
            controls(line, but);
            if let Line::Header(header) = line {
                header.attach.probes.push(Probe {
                    program: "span_entered_free_pid".to_owned(),
                    target: "free_pid".to_owned(),
                    absent: None,
                });
            }
            if let Line::Interval(interval) = line {
                interval.spans.retain(|span| span.span != "free_pid");
                interval.calls_outside.insert("free_pid".into(), 60);
            }
            measured(line, |interval| {
                interval.losses.insert("span_unmatched".into(), unmatched);
                let program = "span_entered_free_pid".to_owned();
                interval.missed.insert(program, Some(refused));
            });
        })
    };
    says(&views(&outside(0, 0, &[])), &[NEVER_INSIDE], &[]);
    let lost = outside(301, 300, &[]);
    assert!(matches!(
        lost.absence_in_holds(Span::FREE_PID),
        Absence::Unknown(_)
    ));
    says(
        &views(&lost),
        &[
            "free_pid: 180 calls, and whether inside a hold is not known: 1,803 calls were lost (span_unmatched: 903, \
             refused runs of span_entered_free_pid: 900)",
        ],
        &["free_pid: 180 calls, never", "the deferral is seen"],
    );
    let partly = [control(Proves::Span(Span::FREE_PID), Proof::NotProved, 4)];
    says(
        &views(&outside(0, 0, &partly)),
        &[
            "free_pid: 180 calls, and whether inside a hold is not known: it is not proved that the probes see its \
             calls (only 4 of 10 were seen)",
            "Whether all calls of free_pid were seen: that is not proved (only 4 of 10 were seen).",
        ],
        &["the deferral is seen"],
    );
}

/// The kernel has counted tasks whose forks were not seen, and nothing says that they were lost.
#[test]
fn the_kernel_counts_what_was_neither_seen_nor_lost() {
    let synthetic = Synthetic::default();
    let seen = 4 * u64::from(synthetic.cpus * synthetic.holds);
    let created = |more: u64, footer: bool| {
        let like = Synthetic {
            footer,
            ..Synthetic::default()
        };
        changed(like.lines(), |line| match line {
            Line::Interval(interval) if interval.at_s < 2.0 => {
                interval.machine.tasks_created += more;
            }
            Line::Footer(footer) => footer.tasks_created += more,
            _ => {}
        })
    };
    // As many as the CPUs may be creating at both edges.
    for footer in [true, false] {
        let profile = created(4, footer);
        assert!(!profile.void());
        assert_eq!(profile.losses.uncounted, 0);
    }
    let profile = created(9_000, true);
    assert_eq!(profile.losses.uncounted, 9_000 - 4);
    assert_eq!(profile.losses.target_losses, 9_000 - 4);
    assert!(matches!(Validity::of(&profile), Validity::Void));
    says(
        &views(&profile),
        &[
            "of the lock's events are missing: by the kernel's own count of tasks at least 8,996 were created whose \
             forks were not seen",
            "at least 8,996 holds of fork were neither seen nor counted as lost",
            "and the kernel's count of tasks proves some",
        ],
        &["none of the 26 kinds", "that this kernel lets us count"],
    );
    assert_eq!(profile.ground_truth.fork_holds, Some(seen));
    // Without a footer, by the intervals.
    assert!(created(9_000, false).void());
    // Those that are known to be lost are no others.
    let counted = changed(Synthetic::default().lines(), |line| match line {
        Line::Interval(interval) if interval.at_s < 2.0 => {
            interval.machine.tasks_created += 100;
            interval.losses.insert("hold_interrupted".into(), 100);
        }
        Line::Footer(footer) => footer.tasks_created += 100,
        _ => {}
    });
    assert_eq!(counted.losses.uncounted, 0);
    // Where functions have no names, or a caller was put into another one, any hold may be fork's.
    for site in ["unknown", "other"] {
        let nameless = changed(Synthetic::default().lines(), |line| {
            if let Line::Interval(interval) = line {
                let sites = interval.cpus.iter_mut().flat_map(|cpu| &mut cpu.sites);
                let forks = sites.filter(|totals| totals.site == "fork");
                forks.for_each(|totals| totals.site = site.into());
            }
        });
        assert_eq!(nameless.losses.uncounted, 0, "{site}");
    }
}

/// Windows in which the kernel has created so many tasks more than were seen.
fn windows_with_more(more: u64) -> Profile {
    changed(Windowed::default().lines(), |line| {
        measured(line, |interval| {
            let window = interval.window.unwrap();
            if window.kind == Holds && window.done.is_some() && !window.edge {
                interval.machine.tasks_created += more;
            }
        });
    })
}

#[test]
fn edges_explain_no_more_than_edges_can() {
    for healthy in [0, 4, 8] {
        let profile = windows_with_more(healthy);
        assert!(!profile.void());
        says(
            &views(&profile),
            &["they may differ by the tasks"],
            &["neither seen"],
        );
    }
    let profile = windows_with_more(3000);
    assert!(profile.void());
    says(
        &views(&profile),
        &[
            "holds of fork were neither seen nor counted as lost",
            "are missing: by the kernel's own count",
        ],
        &["they may differ by the tasks"],
    );
}

/// What other windows saw makes up for nothing.
#[test]
fn losses_are_judged_by_kind_of_window() {
    for (kind, void, of) in [
        (Holds, true, "100 % of the lock's events are missing"),
        (
            Spans,
            true,
            "100 % of the lock's events in the windows of spans are missing",
        ),
        (Bare, false, ""),
    ] {
        let like = Windowed {
            like: Synthetic {
                times: 1000,
                ..Synthetic::default()
            },
            ..Windowed::default()
        };
        let profile = changed(like.lines(), |line| {
            controls(line, &[]);
            measured(line, |interval| {
                let window = interval.window.unwrap();
                if window.kind == kind && !window.edge {
                    without_holds(interval);
                    interval.losses.insert("hold_without_start".into(), 3);
                }
            });
        });
        assert_eq!(profile.void(), void, "{kind:?}");
        says(&views(&profile), &[of], &[NEVER_TAKEN]);
    }
}

/// What was tried and not seen is said where the numbers are.
#[test]
fn unproved_sites_are_said_beside_their_table() {
    let lines = Synthetic {
        sites: vec![Site::FORK, Site::REAP],
        ..Synthetic::default()
    }
    .lines();
    let of = |outcome| {
        changed(lines.clone(), |line| {
            let contended = control(Proves::ContendedHolds, outcome, 0);
            controls(
                line,
                &[control(Proves::Site(Site::EXIT), outcome, 0), contended],
            );
        })
    };
    let table = |profile: &Profile| joined(&crate::windowed::table(profile));
    let profile = of(Proof::NotProved);
    let said = "Whether all holds of exit were seen: that is not proved (only 0 of 10 were seen).";
    says(&table(&profile), &[said], &[]);
    let both = "Whether all holds of exit and holds that were waited for were seen: that is not proved \
                (only 0 of 10 were seen).";
    assert_eq!(profile.not_proved(), [both]);
    let proved = of(Proof::Proved);
    says(&table(&proved), &[], &["not proved"]);
    // What is found dead on the way makes the run void, whether or not the daemon came to say so.
    let dead = of(Proof::Dead);
    assert!(dead.void());
    says(
        &table(&dead),
        &["This run is void: its probes do not see holds of exit (only 0 of 10 were seen)"],
        &["saw nothing any more"],
    );
}

/// What was not tried is not what was not seen: only `run` contends the lock, for one.
#[test]
fn what_is_not_tried_is_not_said_to_be_unproved() {
    let profile = changed(Synthetic::default().lines(), |line| {
        let untried = Control {
            done: 0,
            ..control(Proves::ContendedHolds, Proof::NotProved, 0)
        };
        controls(line, &[untried]);
    });
    assert!(profile.not_proved().is_empty());
}

/// That two CPUs leave no second contender is said of recordings that say nothing themselves.
#[test]
fn waits_for_spinlocks_that_were_seen_are_not_invisible() {
    let of = |schema: u32, proved: bool| {
        changed(Synthetic::default().lines(), |line| {
            if proved {
                controls(line, &[]);
            }
            match line {
                Line::Header(header) => header.schema = schema,
                Line::Interval(interval) => {
                    interval
                        .contention
                        .retain(|entry| entry.flags != LCB_F_SPIN);
                }
                _ => {}
            }
        })
    };
    let invisible = |profile: Profile| profile.spinlock_waits_invisible().is_some();
    assert!(invisible(of(1, false)));
    for (schema, proved) in [(1, true), (2, false), (2, true)] {
        assert!(!invisible(of(schema, proved)), "{schema} {proved}");
    }
}

/// A run that ended before its first window of holds has the others all the same.
#[test]
fn what_came_is_told() {
    let of = |kind| {
        let like = Windowed {
            turn: vec![kind, Bare],
            iterations: vec![9_000, 10_000, 9_100, 10_100],
            ..Windowed::default()
        };
        changed(like.lines(), |line| {
            if let Line::Header(header) = line {
                header.windows = Some(WindowPlan {
                    turn: vec![Bare, kind, Holds],
                    seconds: 1.0,
                });
            }
            if kind == Waits {
                measured(line, |interval| {
                    interval.cpus.clear();
                    interval.longest.clear();
                });
            }
        })
    };
    let waits = of(Waits);
    assert_eq!(waits.measured_s, 2.0);
    assert!(!waits.holds_known());
    // In four intervals.
    assert_eq!(waits.waits_seen().0, 4 * (40 + 25));
    says(
        &views(&waits),
        &[
            "The run ended before its first window of holds: the numbers are those of 2 windows of waits (2.00 s), \
             and nothing is known of holds.",
            "reap waits most: 160 times",
        ],
        &["Nothing was measured", NEVER_TAKEN, "was held for writing"],
    );
    let spans = of(Spans);
    assert!(spans.write_holds().unwrap() > 0);
    says(
        &views(&spans),
        &[
            "The run ended before its first window of holds: the numbers are those of 2 windows of spans (2.00 s), \
             whose probes make holds longer.",
            "was held for writing",
        ],
        &["Nothing was measured"],
    );
}
