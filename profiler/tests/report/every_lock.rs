//! Views of a recording of all locks: 600 processes wait for their own mmap_lock, one reads another's, and two wait
//! for a spinlock that has no name.

use lockprof::{
    export::{Format, Grouping},
    profile::{NamedBy, Profile},
    recording::schema::{
        ContentionInterval, Interval, Line, Owner, OwnerSample, Phase, SampledBy, Tier,
        WaiterInterval,
    },
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_READ, LCB_F_SPIN, LCB_F_WRITE};

use crate::{
    all_locks::{of_all_locks, task},
    fixture::{Synthetic, profile_of},
    windowed::{joined, json, table, text},
};

/// Processes that wait for their own lock.
const PROCESSES: u32 = 600;
/// Waits and waited time of each in an interval.
const WAITS: u32 = 3;
const WAITED_NS: u64 = 6_000_000;

pub fn contention(
    lock: &str,
    name: Option<&str>,
    flags: u32,
    waits: u32,
    ns: u64,
) -> ContentionInterval {
    ContentionInterval {
        lock: lock.to_owned(),
        name: name.map(str::to_owned),
        object: None,
        flags,
        caller: Some(
            if flags & LCB_F_SPIN == 0 {
                "__vm_munmap+0x10"
            } else {
                "rcu_core+0x20"
            }
            .to_owned(),
        ),
        stack: None,
        others: false,
        in_hold_of: None,
        sampled: 0,
        waits: waits.into(),
        waited_ns: ns,
        longest_ns: ns / u64::from(waits),
        // 2^20 ns and more: 1 to 2 ms.
        octaves: vec![if flags & LCB_F_SPIN == 0 { 20 } else { 10 }, waits],
    }
}

pub fn waiter(lock: u64, tgid: u32, owner: Option<Owner>) -> WaiterInterval {
    WaiterInterval {
        lock: format!("{lock:#x}"),
        class: Some("mmap_lock".to_owned()),
        flags: LCB_F_WRITE,
        waiter: task(tgid + 1, tgid, "mmload"),
        cgroup: "/load".to_owned(),
        owner,
        waits: WAITS.into(),
        waited_ns: WAITED_NS,
        longest_ns: WAITED_NS / 2,
        ..WaiterInterval::default()
    }
}

/// A recording whose measured intervals have what `fill` gives them.
pub fn recording(fill: impl Fn(&mut Interval)) -> Vec<Line> {
    let like = Synthetic {
        tier: Tier::WaitOnly,
        intervals: 2,
        ..Synthetic::default()
    };
    of_all_locks(like.lines(), fill)
}

pub fn busy() -> Vec<Line> {
    recording(|interval| {
        let waits = PROCESSES * WAITS;
        let waited_ns = u64::from(PROCESSES) * WAITED_NS;
        interval.contention = vec![
            contention("0x2", Some("mmap_lock"), LCB_F_WRITE, waits, waited_ns),
            // Another process's mmap_lock, which the programs cannot know.
            contention("0x10000", None, LCB_F_READ, 2, 40_000_000),
            contention("0x500", None, LCB_F_SPIN, 2, 3_000),
        ];
        for index in 0..PROCESSES {
            let tgid = 1000 + 10 * index;
            let owner = Owner {
                task: task(tgid + 2, tgid, "mmload"),
                runnable: 2,
                on_cpu: 1,
                ..Owner::default()
            };
            let lock = 0x10000 + u64::from(index) * 0x100;
            interval.waiters.push(waiter(lock, tgid, Some(owner)));
        }
        interval.waiters.push(WaiterInterval {
            class: None,
            flags: LCB_F_READ,
            waiter: task(77, 77, "ps"),
            cgroup: "/user".to_owned(),
            owner: Some(Owner {
                task: task(1002, 1000, "mmload"),
                asleep: 2,
                reader_hints: 2,
                ..Owner::default()
            }),
            waits: 2,
            waited_ns: 40_000_000,
            longest_ns: 30_000_000,
            ..waiter(0x10000, 77, None)
        });
        let slept = OwnerSample {
            lock: "0x10000".to_owned(),
            flags: LCB_F_WRITE,
            owner: task(1002, 1000, "mmload"),
            state: 'D',
            stack: vec![
                "io_schedule+0x1".to_owned(),
                "folio_wait_bit+0x2".to_owned(),
            ],
            seen: 4,
            ..OwnerSample::default()
        };
        let by_program = OwnerSample {
            by: SampledBy::Tracepoint,
            reader_hint: true,
            stack: vec!["down_read+0x1".to_owned()],
            seen: 3,
            ..slept.clone()
        };
        interval.owner_samples = vec![slept, by_program];
    })
}

pub fn by(profile: &Profile, grouping: Grouping) -> String {
    let format = Format::Table {
        width: 100,
        color: false,
        by: Some(grouping),
    };
    joined(&text(profile, format))
}

#[test]
fn six_hundred_processes_are_one_class() {
    let profile = profile_of(busy());
    let locks = profile.locks.as_ref().unwrap();
    let class = &locks.classes[0];
    assert_eq!(class.class.name, "mmap_lock");
    assert_eq!(class.class.named_by, NamedBy::Member);
    // Those of the two intervals, and what `ps` waited for the lock of one of them.
    assert_eq!(class.waits.count(), u64::from(2 * PROCESSES * WAITS) + 4);
    assert_eq!(
        class.waits.total_ns,
        2 * (u64::from(PROCESSES) * WAITED_NS + 40_000_000)
    );
    assert_eq!(class.members.len(), PROCESSES as usize);
    let sum: u64 = class
        .members
        .iter()
        .map(|member| member.waits.waited_ns)
        .sum();
    assert_eq!(sum, class.waits.total_ns);
    // What has no name is called by its kind and who asks for it.
    let spin = &locks.classes[1].class;
    assert_eq!(
        (spin.name.as_str(), spin.named_by),
        ("spinlock of rcu_core", NamedBy::Caller)
    );
    assert_eq!(locks.without_place.count, 0);
}

#[test]
fn a_cgroup_is_of_its_container() {
    let id = "0123456789abcdef".repeat(4);
    let path = format!("/system.slice/docker-{id}.scope");
    let profile = profile_of(recording(|interval| {
        interval.waiters = vec![WaiterInterval {
            cgroup: path.clone(),
            ..waiter(0x100, 1000, None)
        }];
    }));
    let table = by(&profile, Grouping::Cgroup);
    assert!(
        table.contains("docker 0123456789ab: /system.slice/docker-"),
        "{table}"
    );
    let row = &json(&profile)["waiting_cgroups"][0];
    assert_eq!(row["who"]["name"], path);
    assert_eq!(row["container"]["runtime"], "docker");
    assert_eq!(row["container"]["id"], id);
}

#[test]
fn a_lock_in_a_slab_is_named_by_what_it_is_in() {
    let with_objects = recording(|interval| {
        let entry = |lock, object: &str, flags| ContentionInterval {
            object: Some(object.to_owned()),
            ..contention(lock, None, flags, 2, 3_000)
        };
        interval.contention = vec![
            entry("0x100", "file.f_pos_lock", LCB_F_MUTEX),
            entry("0x200", "file.f_pos_lock", LCB_F_MUTEX),
            entry("0x300", "kmalloc-512+0x18", LCB_F_SPIN),
            // A kernel thread waits for the mmap_lock of a process that has not waited for it itself.
            entry("0x400", "mm_struct.mmap_lock", LCB_F_READ),
            // What is known of the lock by a task comes before.
            entry("0x500", "kmalloc-1k+0x8", LCB_F_WRITE),
        ];
        interval.waiters.push(waiter(0x500, 1000, None));
    });
    let profile = profile_of(with_objects);
    let mut classes: Vec<(String, NamedBy, usize)> = profile
        .locks
        .as_ref()
        .unwrap()
        .classes
        .iter()
        .map(|class| {
            (
                class.class.titled(),
                class.class.named_by,
                class.members.len(),
            )
        })
        .collect();
    classes.sort();
    let expected = [
        ("file.f_pos_lock (mutex)", NamedBy::Slab, 2),
        ("kmalloc-512+0x18 (spinlock)", NamedBy::Slab, 1),
        ("mmap_lock (rwsem)", NamedBy::Member, 2),
    ];
    assert_eq!(
        classes,
        expected.map(|(name, by, members)| (name.to_owned(), by, members))
    );
    let table = joined(&table(&profile));
    assert!(
        table.contains("slab: it is in an object of a slab cache"),
        "{table}"
    );
}

#[test]
fn who_waits_for_another_process_is_told() {
    let profile = profile_of(busy());
    let table = joined(&table(&profile));
    assert!(
        table.contains(
            "mmap_lock (rwsem) costs most: > 99.9 % of all waiting that was seen, 3,604 waits"
        ),
        "{table}"
    );
    assert!(
        table.contains("another task of the waiting process in 98.9 % of it"),
        "{table}"
    );
    assert!(
        table.contains("asleep in io_schedule < folio_wait_bit"),
        "{table}"
    );
    // What a program has seen is counted apart.
    assert!(
        table.contains("by 6 of the waits that found them asleep"),
        "{table}"
    );
    assert!(table.contains("asleep in down_read; a reader"), "{table}");
    assert!(table.contains("by 8 looks into /proc"), "{table}");
    let processes = by(&profile, Grouping::Process);
    assert!(
        processes.contains("ps 77 mmload 1000 4 80.0 ms 20.0 ms"),
        "{processes}"
    );
    assert!(
        processes.contains("mmload 1000 itself 6 12.0 ms"),
        "{processes}"
    );
    let owners = by(&profile, Grouping::Owner);
    assert!(
        owners.contains("mmload 1000 mmap_lock 10 92.0 ms"),
        "{owners}"
    );
    let callers = by(&profile, Grouping::Caller);
    assert!(
        callers.contains("__vm_munmap mmap_lock rwsem:W 3,600"),
        "{callers}"
    );
    let cgroups = by(&profile, Grouping::Cgroup);
    assert!(
        cgroups.contains("/load mmap_lock 3,600") && cgroups.contains("/user mmap_lock 4"),
        "{cgroups}"
    );
}

/// JSON has all of it, and its classes sum up to what the table says.
#[test]
fn programs_get_all_rows() {
    let profile = profile_of(busy());
    let json = json(&profile);
    let class = &json["classes"][0];
    assert_eq!(
        (&class["name"], &class["named_by"]),
        (&"mmap_lock".into(), &"task".into())
    );
    assert_eq!(
        class["members"].as_array().unwrap().len(),
        PROCESSES as usize
    );
    assert_eq!(
        json["processes"].as_array().unwrap().len(),
        PROCESSES as usize + 1
    );
    let owner = &json["owners"][0];
    assert_eq!(owner["found"]["asleep"], 4);
    assert_eq!(owner["by_own_process_ns"], 2 * WAITED_NS);
    assert_eq!(json["owners_doing"][0]["seen"], 8);
    let csv = text(&profile, Format::Csv);
    assert!(csv.contains("class,,mmap_lock,,,waits,3604,count"), "{csv}");
    assert!(csv.contains("owner,mmap_lock,mmload 1000,,,waited,92000000,ns"));
}

/// What a table had no place for is in the sums by class, and said where it is missing.
#[test]
fn what_had_no_place_is_said() {
    let mut lines = busy();
    for line in &mut lines {
        if let Line::Interval(interval) = line
            && interval.phase == Phase::Measured
        {
            interval.waiters.truncate(100);
            interval.waiters.push(WaiterInterval {
                others: true,
                waits: 1500,
                waited_ns: 3_000_000_000,
                ..WaiterInterval::default()
            });
        }
    }
    let profile = profile_of(lines);
    let class = &profile.locks.as_ref().unwrap().classes[0];
    assert_eq!(class.waits.count(), u64::from(2 * PROCESSES * WAITS) + 4);
    let cgroups = by(&profile, Grouping::Cgroup);
    assert!(
        cgroups.contains("3,000 waits (6.00 s) are in no row by task, process, cgroup or owner"),
        "{cgroups}"
    );
}

/// Other recordings have no such groupings, and it is not ignored that one was asked for.
#[test]
fn a_recording_of_one_lock_has_no_groupings() {
    let format = Format::Table {
        width: 80,
        color: false,
        by: Some(Grouping::Owner),
    };
    let error = format.exporter().export(&Synthetic::default().profile());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("recordings of `lockprof locks`"), "{error}");
}

/// No word about holds, and none of absence where nothing was proved.
#[test]
fn nothing_is_said_of_what_is_not_measured() {
    let busy = joined(&table(&profile_of(busy())));
    for word in ["held for writing", "deferral", "tasklist_lock", "Holds"] {
        assert!(!busy.contains(word), "{word}: {busy}");
    }
    let quiet = profile_of(recording(|_| {}));
    let quiet = joined(&table(&quiet));
    for word in ["Nobody", "nobody waits", "costs most", "held for writing"] {
        assert!(!quiet.contains(word), "{word}: {quiet}");
    }
}

/// A mutex whose owner nobody saw has no owner, and the report does not make one up.
#[test]
fn an_unknown_owner_is_unknown() {
    let lines = recording(|interval| {
        interval.contention = vec![contention("0x900", None, LCB_F_MUTEX, 40, 60_000_000)];
        interval.waiters = vec![WaiterInterval {
            class: None,
            flags: LCB_F_MUTEX,
            waits: 40,
            waited_ns: 60_000_000,
            ..waiter(0x900, 50, None)
        }];
    });
    let profile = profile_of(lines);
    let table = joined(&table(&profile));
    assert!(
        table.contains("A mutex of __vm_munmap costs most: 100 %"),
        "{table}"
    );
    assert!(!table.contains("who had it when the wait began"), "{table}");
    assert!(table.contains("Known for 0 % of the time"), "{table}");
}

/// Who is looked at by its caller alone is named, and so is what is left out since nobody knows its caller.
#[test]
fn waits_without_a_caller_are_said_where_one_is_asked_for() {
    let mut lines = busy();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                let plan = header.locks.as_mut().unwrap();
                plan.only = vec!["asked for by __vm_munmap".to_owned()];
            }
            Line::Interval(interval) if interval.phase == Phase::Measured => {
                interval.losses.insert("caller_unknown".to_owned(), 1200);
            }
            _ => {}
        }
    }
    let said = "Of 2,400 waits it was not to be told who asked for the lock: they are in none of these numbers.";
    let profile = profile_of(lines);
    let of_one = joined(&table(&profile));
    assert!(of_one.contains(said), "{of_one}");
    assert!(of_one.contains("only asked for by __vm_munmap"), "{of_one}");
    assert_eq!(json(&profile)["losses"]["counted"]["caller_unknown"], 2400);
    let all = joined(&table(&profile_of(busy())));
    assert!(!all.contains("who asked for the lock:"), "{all}");
    // Where nothing else was seen, they may all be of that caller.
    let nothing = profile_of(recording(|interval| {
        interval.contention.clear();
        interval.losses.insert("caller_unknown".to_owned(), 1200);
    }));
    let said = nothing.no_waits_for("any lock that was looked at");
    assert!(
        said.contains("of 2,400 waits it was not to be told who asked"),
        "{said}"
    );
}

/// Waits that nobody saw make those that were seen a lower bound.
#[test]
fn lost_waits_are_said_before_the_numbers() {
    let mut lines = busy();
    for line in &mut lines {
        if let Line::Interval(interval) = line
            && interval.phase == Phase::Measured
        {
            interval.losses.insert("task_slot_taken".to_owned(), 500);
        }
    }
    let said =
        "Numbers of waits are lower bounds: 1,000 waits for locks that nobody knows were lost";
    let table_of_lost = joined(&table(&profile_of(lines)));
    assert!(table_of_lost.contains(said), "{table_of_lost}");
    let all = joined(&table(&profile_of(busy())));
    assert!(!all.contains("Numbers of waits are lower bounds"), "{all}");
}
