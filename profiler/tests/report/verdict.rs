//! The verdict in words, on many shapes of recordings.

use lockprof::{
    profile::{Profile, Verdict},
    recording::schema::{
        Clock, Detail, Interval, Kind, Line, READERS_AND_HANDOVER, SpanInterval, Tier,
    },
    site::Site,
};
use lockprof_abi::LCB_F_SPIN;

use crate::fixture::{Synthetic, profile_of};

/// The verdict on a recording after a change to its intervals.
fn changed(synthetic: &Synthetic, change: impl Fn(&mut Interval)) -> Verdict {
    let mut lines = synthetic.lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            change(interval);
        }
    }
    Verdict::of(&profile_of(lines))
}

fn text(verdict: &Verdict) -> String {
    verdict.sentences().collect::<Vec<_>>().join("\n")
}

/// A load that keeps the lock busy: three seconds with a tenth of them held.
fn busy() -> Synthetic {
    Synthetic {
        holds: 1000,
        times: 30,
        ..Synthetic::default()
    }
}

#[test]
fn a_busy_lock() {
    insta::assert_snapshot!(text(&Verdict::of(&busy().profile())), @r"
    tasklist_lock was held for writing 82.9 % of the time, 40.4 % of that by reap (5.57 µs a hold, of which 25.0 % is add_device_randomness, 20.0 % free_pid and 12.5 % __change_pid).
    reap waits most: 90,000 times, 88.3 µs on average, 40.2 % of all waiting; 83.3 % of its waiting was behind holds of exit.
    Look at add_device_randomness and free_pid next: they take 45.0 % of the reap hold and have locks of their own.
    ");
}

/// What limits the numbers aside, nobody reads more.
#[test]
fn the_answer_has_three_sentences_at_most() {
    for synthetic in [busy(), Synthetic::default()] {
        let verdict = Verdict::of(&synthetic.profile());
        assert!(verdict.findings.iter().chain(&verdict.next).count() <= 3);
        for text in verdict.findings.iter().chain(&verdict.next) {
            assert!(!text.trim_end_matches('.').contains(". "), "{text}");
        }
    }
}

#[test]
fn what_limits_the_numbers_is_said_first() {
    let few = Synthetic {
        holds: 3,
        ..Synthetic::default()
    };
    let verdict = Verdict::of(&few.profile());
    assert_eq!(
        verdict.caveats,
        ["Only 54 holds in 3.00 s: read shares and percentiles with care."]
    );

    let lossy = changed(&busy(), |interval| {
        interval.losses.insert("entry_lost".into(), 50);
    });
    assert_eq!(lossy.caveats, ["0.02 % of the lock's events are missing."]);
    assert!(!lossy.findings.is_empty());

    let emulated = Synthetic {
        clock: Clock::EmulatedWall,
        ..busy()
    };
    assert!(Verdict::of(&emulated.profile()).caveats[0].contains("emulated machine"));
}

/// What the kernel refused is no wait that was seen.
#[test]
fn many_refused_runs_make_waits_lower_bounds() {
    let refused = |runs: u64| {
        changed(&busy(), |interval| {
            interval
                .missed
                .insert("contention_began".into(), Some(runs));
        })
    };
    let said = "Numbers of waits are lower bounds: 30,000 waits for locks that nobody knows were lost (refused runs \
                of contention_began: 30,000).";
    let caveats = refused(10_000).caveats;
    assert_eq!(caveats, [said]);
    assert_eq!(refused(0).caveats, [""; 0]);
    assert_eq!(refused(1).caveats, [""; 0]);
    // Where none was seen, it is said there what that means.
    let none = Synthetic {
        holds: 0,
        ..Synthetic::default()
    };
    let none = changed(&none, |interval| {
        interval
            .missed
            .insert("contention_began".into(), Some(10_000));
    });
    let all = text(&none);
    assert_eq!(all.matches("30,000 waits").count(), 1, "{all}");
}

#[test]
fn nothing_is_concluded_from_a_void_or_empty_run() {
    let void = changed(&busy(), |interval| {
        interval.losses.insert("entry_lost".into(), 5000);
    });
    assert_eq!(void.caveats.len(), 1, "{void:?}");
    assert!(
        void.caveats[0].starts_with("This run is void: 1.82 %"),
        "{void:?}"
    );
    assert_eq!((void.findings.len(), void.next), (0, None));

    let nothing = Synthetic {
        intervals: 0,
        ..busy()
    };
    let verdict = Verdict::of(&nothing.profile());
    assert_eq!(
        text(&verdict),
        "Nothing was measured, so nothing can be said."
    );
}

#[test]
fn without_holds_nobody_is_said_to_hold() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..busy()
    };
    let verdict = Verdict::of(&wait_only.profile());
    let text = text(&verdict);
    assert!(text.starts_with("Who holds the lock"), "{text}");
    assert!(
        !text.contains("was held") && !text.contains("a hold"),
        "{text}"
    );
    assert!(text.contains("reap waits most: 120 times"), "{text}");
    assert!(!text.contains("behind"), "{text}");
}

#[test]
fn instructions_are_no_times_and_have_no_waits() {
    let instructions = Synthetic {
        clock: Clock::Instructions,
        ..busy()
    };
    let text = text(&Verdict::of(&instructions.profile()));
    assert!(text.contains("insn a hold"), "{text}");
    assert!(
        !text.contains("waits most") && !text.contains("µs"),
        "{text}"
    );
}

#[test]
fn a_lock_that_nobody_takes() {
    let idle = Synthetic {
        holds: 0,
        ..Synthetic::default()
    };
    insta::assert_snapshot!(text(&Verdict::of(&idle.profile())), @r"
    No write hold of tasklist_lock was seen in 3.00 s; whether the probes would have seen one was not tried.
    No wait for tasklist_lock was seen; whether the probes would have seen one was not tried.
    Little waiting was seen: the most for an unnamed sleeping lock of __vm_munmap, 504 µs in 21 waits.
    ");
}

#[test]
fn an_idle_lock_is_not_called_a_problem() {
    let verdict = Verdict::of(&Synthetic::default().profile());
    assert_eq!(
        verdict.next.as_deref(),
        Some("That is little: tasklist_lock is not what this machine waits for.")
    );
}

#[test]
fn one_site_alone() {
    let alone = Synthetic {
        sites: vec![Site::FORK],
        ..busy()
    };
    let text = text(&changed(&alone, |interval| interval.blame.clear()));
    assert!(text.contains("by fork alone ("), "{text}");
    assert!(text.contains("all the waiting that was seen."), "{text}");
    assert!(!text.contains("behind"), "{text}");
}

#[test]
fn spans_are_named_only_where_they_were_measured() {
    let without = changed(&busy(), |interval| interval.spans.clear());
    assert!(!text(&without).contains("Of the reap hold"), "{without:?}");
    assert_eq!(without.next, None);

    let mut lines = busy().lines();
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.detail = Detail::Holds;
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.spans.clear();
        }
    }
    let next = Verdict::of(&profile_of(lines)).next;
    assert!(next.is_some_and(|next| next.ends_with("--detail spans.")));
}

/// The deferral: what is no longer inside is not to be looked at.
#[test]
fn what_was_moved_out_is_not_asked_for_again() {
    let deferred = changed(&busy(), |interval| {
        interval
            .spans
            .retain(|span: &SpanInterval| span.span == "__change_pid");
    });
    assert_eq!(deferred.next, None);
    assert!(text(&deferred).contains(" a hold, of which 12.5 % is __change_pid)."));
}

#[test]
fn another_lock_may_be_the_answer() {
    let other = changed(&busy(), |interval| {
        for entry in &mut interval.contention {
            if entry.lock == "0xffff888100a0b0c0" {
                entry.flags = LCB_F_SPIN;
                entry.waited_ns = 60_000_000_000;
            }
        }
    });
    assert_eq!(
        other.next.as_deref(),
        Some(
            "Another lock is waited for longer: an unnamed spinlock of __vm_munmap, 180 s in all, \
             against 19.8 s for tasklist_lock."
        )
    );
}

/// Who waits longest in all is named only where its own waits are enough.
#[test]
fn few_waits_of_one_site_are_no_habit() {
    let rare = changed(&busy(), |interval| {
        for site in interval.cpus.iter_mut().flat_map(|cpu| &mut cpu.sites) {
            if site.site == "reap" {
                (site.waits, site.waited_ns) = (1, 5_000_000_000);
                site.wait_buckets = vec![lockprof_abi::bucket_of(5_000_000_000) as u32, 1];
            }
        }
    });
    let text = text(&rare);
    assert!(
        text.contains("acquisitions had to wait, ")
            && text.contains(" in all: reap the longest, but only 6 times."),
        "{text}"
    );
    assert!(
        !text.contains("waits most") && !text.contains("A single wait"),
        "{text}"
    );
}

#[test]
fn one_event_that_makes_the_number_is_said_first() {
    let one = changed(&busy(), |interval| {
        let sites = interval
            .cpus
            .iter_mut()
            .take(1)
            .flat_map(|cpu| &mut cpu.sites);
        for site in sites.filter(|site| site.site == "reap") {
            site.waited_ns += 100_000_000_000;
            site.held_ns += 150_000_000;
        }
        for event in interval
            .longest
            .iter_mut()
            .filter(|event| event.site == "reap")
        {
            event.ns = match event.kind {
                Kind::Hold => 400_000_000,
                Kind::Wait => 100_000_000_000,
            };
        }
    });
    assert_eq!(
        one.caveats,
        [
            "A single hold of reap took 400 ms: 27.5 % of the time of all its holds.",
            "A single wait of reap took 100 s: 32.5 % of the time of all its waits.",
        ]
    );
    assert_eq!(Verdict::of(&busy().profile()).caveats, [""; 0]);
}

#[test]
fn unseen_readers_are_to_be_looked_at_before_spans() {
    let behind_readers = |readers: bool| {
        let mut lines = busy().lines();
        for line in &mut lines {
            match line {
                Line::Header(header) => header.readers = readers,
                Line::Interval(interval) => {
                    for pair in &mut interval.blame {
                        pair.holder = READERS_AND_HANDOVER.to_owned();
                    }
                }
                _ => {}
            }
        }
        Verdict::of(&profile_of(lines)).next.unwrap()
    };
    assert_eq!(
        behind_readers(false),
        "How much of that was behind readers, and which, takes a run with --readers."
    );
    assert!(behind_readers(true).starts_with("Look at add_device_randomness"));
}

/// Where nobody waits for this lock, the next thing to look at is what is waited for.
#[test]
fn what_is_waited_for_instead_is_told() {
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let without_target = |waited_ns| {
        changed(&wait_only, |interval| {
            let other = |lock: &str| lock == "0xffff888100a0b0c0";
            interval.contention.retain(|entry| other(&entry.lock));
            interval.contention[0].waited_ns = waited_ns;
            // Too few to be called a busier lock.
            interval.contention[0].octaves = vec![14, 2];
        })
    };
    let little = without_target(20_000);
    assert!(
        text(&little).contains("No wait for tasklist_lock was seen, and whether there was one")
    );
    assert_eq!(
        little.next.as_deref(),
        Some(
            "Little waiting was seen: the most for an unnamed sleeping lock of __vm_munmap, 60.0 µs in 6 waits."
        )
    );
    assert_eq!(
        without_target(1_000_000_000).next.as_deref(),
        Some(
            "Most waiting was seen for an unnamed sleeping lock of __vm_munmap: 3.00 s in 6 waits."
        )
    );
}

#[test]
fn every_shape_has_a_verdict_without_a_missing_number() {
    let profiles: Vec<Profile> = [
        Tier::Exact,
        Tier::Bounded,
        Tier::WaitOnly,
        Tier::Unsupported,
    ]
    .into_iter()
    .flat_map(|tier| {
        [Clock::Hardware, Clock::EmulatedWall, Clock::Instructions].map(|clock| Synthetic {
            tier,
            clock,
            footer: false,
            ..Synthetic::default()
        })
    })
    .map(|synthetic| synthetic.profile())
    .collect();
    for profile in profiles {
        let text = text(&Verdict::of(&profile));
        assert!(!text.is_empty());
        assert!(!text.contains("NaN") && !text.contains('–'), "{text}");
    }
}
