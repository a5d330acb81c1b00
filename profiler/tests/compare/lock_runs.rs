//! Recordings of all locks, of one boot: made up, and the same each time.

use lockprof::{
    compare::Side,
    recording::schema::{ContentionInterval, Line, LocksPlan, Phase, Tier},
};
use lockprof_abi::{LCB_F_MUTEX, LCB_F_SPIN, LCB_F_WRITE};

use crate::fixture::{Synthetic, profile_of};

/// Waits for a lock in each interval of a second.
#[derive(Clone, Copy)]
pub struct Waits {
    /// Its address, and its symbol where it has one.
    pub lock: (&'static str, Option<&'static str>),
    pub flags: u32,
    pub caller: &'static str,
    pub count: u32,
    pub waited_ns: u64,
}

pub const MMAP: Waits = Waits {
    lock: ("0x2", Some("mmap_lock")),
    flags: LCB_F_WRITE,
    caller: "__vm_munmap+0x10",
    count: 100,
    waited_ns: 400_000_000,
};
pub const CGROUP: Waits = Waits {
    lock: ("0xffffffff82a00040", Some("cgroup_mutex")),
    flags: LCB_F_MUTEX,
    caller: "cgroup_attach_task+0x20",
    count: 50,
    waited_ns: 50_000_000,
};
pub const RUN_QUEUE: Waits = Waits {
    lock: ("0xffff888627d2ba40", None),
    flags: LCB_F_SPIN,
    caller: "try_to_wake_up.isra.0+0x4e",
    count: 90,
    waited_ns: 9_000_000,
};
pub const BUSY: [Waits; 3] = [MMAP, CGROUP, RUN_QUEUE];

/// How far recordings of one side are apart: never the same, and in no order.
pub const JITTER: [u64; 5] = [3, 0, 4, 1, 2];

/// The lines of a recording of these waits, the `number`th of its side, which is the first or the second.
pub fn lines(waits: &[Waits], boot: &str, side: u32, number: usize) -> Vec<Line> {
    let like = Synthetic {
        tier: Tier::WaitOnly,
        intervals: 4,
        ..Synthetic::default()
    };
    let mut lines = like.lines();
    for line in &mut lines {
        match line {
            Line::Header(header) => {
                header.kernel.boot_id = boot.to_owned();
                // In turn.
                header.started_at_s += f64::from(side) * 10.0 + number as f64 * 20.0;
                header.workload = None;
                header.locks = Some(LocksPlan {
                    places: [2048, 16384],
                    ..LocksPlan::default()
                });
            }
            Line::Interval(interval) => {
                interval.contention.clear();
                interval.longest.clear();
                if interval.phase == Phase::Measured {
                    let all = waits.iter().map(|waits| contention(waits, number, side));
                    interval.contention = all.collect();
                }
            }
            _ => {}
        }
    }
    lines
}

fn contention(waits: &Waits, number: usize, side: u32) -> ContentionInterval {
    let per_mille = 1000 + 4 * JITTER[number % JITTER.len()] + u64::from(side);
    let waited_ns = waits.waited_ns * per_mille / 1000;
    ContentionInterval {
        lock: waits.lock.0.to_owned(),
        name: waits.lock.1.map(str::to_owned),
        object: None,
        flags: waits.flags,
        caller: Some(waits.caller.to_owned()),
        stack: None,
        others: false,
        sampled: 0,
        in_hold_of: None,
        waits: waits.count.into(),
        waited_ns,
        longest_ns: waited_ns,
        octaves: vec![20, waits.count],
    }
}

/// A side of five recordings, as `change` leaves them.
pub fn changed(name: &str, side: u32, waits: &[Waits], change: impl Fn(&mut Vec<Line>)) -> Side {
    let mut all = Side::new(name);
    for number in 0..JITTER.len() {
        let mut lines = lines(waits, "the boot", side, number);
        change(&mut lines);
        all.add(&format!("{name}/{number}"), &profile_of(lines));
    }
    all
}

pub fn side(name: &str, number: u32, waits: &[Waits]) -> Side {
    changed(name, number, waits, |_| {})
}

/// Three times as much waiting for one class, in waits that are longer.
pub fn longer() -> [Waits; 3] {
    let cgroup = Waits {
        waited_ns: 3 * CGROUP.waited_ns,
        ..CGROUP
    };
    [MMAP, cgroup, RUN_QUEUE]
}
