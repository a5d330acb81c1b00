//! What else is waited for: others that the tables had no place for, locks that may be the one that is asked
//! about, waits without a length.

use lockprof::{
    export::Format,
    profile::{Profile, Verdict},
    recording::schema::{
        AddressSource, ContentionInterval, Control, Header, InProgress, Kind, Line, LockFamily,
        OpenEvent, Phase, Proof, Proves, Tier,
    },
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE};
use serde_json::Value;

use crate::{
    fixture::{Synthetic, profile_of},
    windowed::{self, joined},
};

const TARGET: &str = "0xffffffff83005080";
const RWLOCK_W: u32 = LCB_F_SPIN | LCB_F_WRITE;

/// Waits for a lock, with their sum.
fn waits(
    lock: &str,
    name: Option<&str>,
    flags: u32,
    octave: u32,
    count: u32,
) -> ContentionInterval {
    ContentionInterval {
        lock: lock.into(),
        name: name.map(str::to_owned),
        object: None,
        flags,
        caller: None,
        stack: None,
        others: false,
        sampled: 0,
        in_hold_of: None,
        waits: count.into(),
        waited_ns: u64::from(count) * (3 << octave) / 2,
        longest_ns: 3 << octave >> 1,
        octaves: vec![octave, count],
    }
}

fn others(flags: u32, octave: u32, count: u32) -> ContentionInterval {
    ContentionInterval {
        others: true,
        ..waits("0x0", None, flags, octave, count)
    }
}

fn samples(lock: &str, name: &str, caller: &str, count: u64) -> ContentionInterval {
    ContentionInterval {
        caller: Some(caller.into()),
        sampled: count,
        waits: 0,
        waited_ns: 0,
        longest_ns: 0,
        octaves: Vec::new(),
        ..waits(lock, Some(name), RWLOCK_W, 0, 0)
    }
}

/// What is waited for in three seconds of two CPUs, of which nothing is known but waits: of the kernel's address
/// of the lock, or without, and with probes that see.
fn wait_only(address: Option<&str>, entries: &[ContentionInterval]) -> Profile {
    with(address, entries, |_| {}, Vec::new())
}

fn with(
    address: Option<&str>,
    entries: &[ContentionInterval],
    change: impl Fn(&mut Header),
    open: Vec<OpenEvent>,
) -> Profile {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let mut lines = synthetic.lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                header.lock.address = address.map(str::to_owned);
                header.lock.address_source = if address.is_some() {
                    AddressSource::Kallsyms
                } else {
                    AddressSource::Unknown
                };
                header.lock.kind = Some(LockFamily::Rwlock);
                header.kernel.cpus_online = 2;
                header.sample_every = Some(251);
                change(header);
            }
            Line::Calibration(calibration) => {
                let families = LockFamily::ALL.into_iter();
                let proved = families.map(|family| Control {
                    proves: Proves::Waits(family),
                    outcome: Proof::Proved,
                    done: 10,
                    seen: 10,
                    why: None,
                });
                calibration.controls = proved.collect();
            }
            Line::Interval(interval) => {
                interval.contention = if interval.phase == Phase::Measured {
                    entries.to_vec()
                } else {
                    Vec::new()
                };
            }
            Line::Footer(footer) => {
                footer.in_progress = (!open.is_empty()).then(|| InProgress {
                    events: open.clone(),
                    ..InProgress::default()
                });
            }
            Line::Killed(_) => {}
        }
    }
    profile_of(lines)
}

fn next(profile: &Profile) -> String {
    Verdict::of(profile).next.unwrap()
}

fn all(profile: &Profile) -> String {
    Verdict::of(profile)
        .sentences()
        .collect::<Vec<_>>()
        .join("\n")
}

fn table(profile: &Profile) -> String {
    let format = Format::Table {
        width: 120,
        color: false,
        by: None,
    };
    joined(&windowed::text(profile, format))
}

/// 15 seconds in the row of all others are not little.
#[test]
fn what_the_table_had_no_place_for_is_waited_for() {
    let css = waits(
        "0xffffffff83b80104",
        Some("css_set_lock"),
        LCB_F_SPIN,
        9,
        10,
    );
    let mutexes = others(LCB_F_MUTEX, 21, 1700);
    let profile = wait_only(Some(TARGET), &[css.clone(), mutexes]);
    assert_eq!(
        next(&profile),
        "Most waiting was seen for mutexes that the table had no place for, 16.0 s in all, against 0 ns for \
         tasklist_lock."
    );
    // Too few for a habit.
    let few = wait_only(Some(TARGET), &[css.clone(), others(LCB_F_MUTEX, 30, 2)]);
    assert!(
        next(&few).starts_with(
            "Most waiting was seen for mutexes that the table had no place for: 9.66 s in 6 waits"
        ),
        "{}",
        next(&few)
    );
    // Of its own kind they may be for the lock itself.
    let own_kind = wait_only(Some(TARGET), &[css, others(RWLOCK_W, 21, 1700)]);
    let said = "Most waiting was seen for rwlocks (to write) that the table had no place for, tasklist_lock perhaps \
                among them, 16.0 s in all";
    assert!(next(&own_kind).starts_with(said), "{}", next(&own_kind));
}

/// Neither is what is waited for while the lock is held, nor are many locks with little each.
#[test]
fn many_small_waits_are_not_little() {
    let inner = ContentionInterval {
        in_hold_of: Some("reap".into()),
        ..waits("0xffffffff83b80104", Some("pidmap_lock"), LCB_F_SPIN, 27, 2)
    };
    let said = next(&wait_only(Some(TARGET), &[inner]));
    assert!(
        said.starts_with("Most waiting was seen for pidmap_lock: 1.21 s in 6 waits"),
        "{said}"
    );
    let many: Vec<ContentionInterval> = (0..100)
        .map(|lock| waits(&format!("{lock:#x}0"), None, LCB_F_MUTEX, 21, 1))
        .collect();
    let said = next(&wait_only(Some(TARGET), &many));
    assert!(
        said.starts_with("Most waiting was seen for the mutex at"),
        "{said}"
    );
}

fn hang(lock: Option<&str>, kind: Kind) -> OpenEvent {
    OpenEvent {
        kind,
        at_least_ns: 2_240_000_000,
        since_attach: false,
        lock: lock.map(str::to_owned),
        name: None,
        flags: LCB_F_READ,
        caller: Some("lock_mm_and_find_vma+0x1".into()),
        site: None,
        cpu: None,
        pid: Some(7),
        tgid: Some(7),
        comm: Some("uf4".into()),
    }
}

#[test]
fn a_hang_is_not_little_waiting() {
    let css = waits(
        "0xffffffff83b80104",
        Some("css_set_lock"),
        LCB_F_SPIN,
        9,
        10,
    );
    let open = vec![hang(None, Kind::Wait), hang(None, Kind::Wait)];
    let profile = with(Some(TARGET), std::slice::from_ref(&css), |_| {}, open);
    let said = next(&profile);
    assert!(
        said.starts_with(
            "Beside the waits that had not ended, or not in their window, the most was for css_set_lock: 23.0 µs in \
             30 waits"
        ),
        "{said}"
    );
    // One for the lock itself: nobody was seen waiting is not said.
    let profile = with(
        Some(TARGET),
        &[css],
        |_| {},
        vec![hang(Some(TARGET), Kind::Wait)],
    );
    let text = all(&profile);
    assert!(
        text.contains("No wait for tasklist_lock was seen, though there were: 1 had not ended with the run, or with its window."),
        "{text}"
    );
    let text = text + &table(&profile);
    assert!(!text.contains("Nobody was seen waiting"), "{text}");
}

#[test]
fn a_lock_whose_waits_nobody_knows_is_compared_with_none() {
    let rwlock = waits("0xffffffff83008080", None, RWLOCK_W, 15, 5000);
    let unknown = wait_only(None, std::slice::from_ref(&rwlock));
    assert_eq!(
        next(&unknown),
        "Most waiting was seen for the rwlock:W at 0xffffffff83008080, 737 ms in all; whether that is tasklist_lock \
         is not known."
    );
    // A mutex is another one for certain, and no more is known.
    let mutex = waits("0xffff888100000000", None, LCB_F_MUTEX, 15, 5000);
    let unknown = wait_only(None, std::slice::from_ref(&mutex));
    assert_eq!(
        next(&unknown),
        "Another lock is waited for: the mutex at 0xffff888100000000, 737 ms in all."
    );
    // Where its waits are known they are told.
    let known = wait_only(Some(TARGET), &[mutex]);
    assert!(next(&known).ends_with(", 737 ms in all, against 0 ns for tasklist_lock."));
}

/// One of 251 spinning waits is a sample, and has no length: neither 0 nor any other.
#[test]
fn samples_alone_have_no_length() {
    let profile = wait_only(
        Some(TARGET),
        &[
            samples(TARGET, "tasklist_lock", "release_task+0x50", 1),
            samples("0xffffffff83005180", "pidmap_lock", "alloc_pid+0x50", 1),
        ],
    );
    let text = all(&profile);
    assert!(
        text.contains(
            "3 waits were seen for it; all were sampled, and their lengths are not known."
        ),
        "{text}"
    );
    assert!(!text.contains("0 ns"), "{text}");
    let rows = table(&profile);
    assert!(rows.contains("alloc_pid 3 – – –"), "{rows}");
    let csv = windowed::text(&profile, Format::Csv);
    assert!(
        csv.contains("pidmap_lock rwlock:W by alloc_pid,,,waited,,ns"),
        "{csv}"
    );
    assert!(!csv.contains(",waited,0,ns"), "{csv}");
    let json: Value = serde_json::from_str(&windowed::text(&profile, Format::Json)).unwrap();
    for waits in json["contention"].as_array().unwrap() {
        assert_eq!(
            (&waits["count"], &waits["waited_ns"]),
            (&3.into(), &Value::Null)
        );
    }
    let alone = samples("0xffffffff83005180", "pidmap_lock", "alloc_pid+0x50", 1);
    let alone = wait_only(Some(TARGET), &[alone]);
    assert!(
        next(&alone).starts_with(
            "Of the waits that were seen no length is known, since they were sampled: the most are for pidmap_lock, \
             3 waits"
        ),
        "{}",
        next(&alone)
    );
}

#[test]
fn cgroups_without_holds_are_said_to_be_none() {
    let asked = with(
        Some(TARGET),
        &[],
        |header| header.cgroups = true,
        Vec::new(),
    );
    let said = "--cgroups does nothing here";
    for format in [Format::Markdown, Format::Html] {
        assert!(windowed::text(&asked, format).contains(said));
    }
    assert!(table(&asked).contains(said));
    let json: Value = serde_json::from_str(&windowed::text(&asked, Format::Json)).unwrap();
    assert_eq!(json["cgroups"], Value::Null);
    assert!(!table(&wait_only(Some(TARGET), &[])).contains(said));
}
