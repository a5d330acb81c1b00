//! The verdict in words, on many shapes of recordings.

use lockprof::{
    profile::{Profile, Verdict},
    recording::schema::{Clock, Detail, Interval, Line, SpanInterval, Tier},
};
use lockprof_abi::{LCB_F_SPIN, Site};

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
    tasklist_lock was never taken for writing in 3.00 s.
    Nobody was seen waiting for it.
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
        sites: vec![Site::Fork],
        ..busy()
    };
    let text = text(&changed(&alone, |interval| interval.blame.clear()));
    assert!(text.contains("by fork alone ("), "{text}");
    assert!(text.contains("and nobody else waited."), "{text}");
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
