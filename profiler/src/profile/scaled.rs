//! What the windows stand for: the totals of the whole measured time, bare windows and edges included,
//! estimated from the windows that holds and waits were measured in. Pure.

use std::collections::BTreeMap;

use lockprof_abi::Site;

use super::{
    holds_known, waits_from_contention, waits_known,
    windows::{has_holds, main_kind},
};
use crate::{
    compare::statistics::{Interval, t_975},
    recording::{
        parse_address,
        schema::{self, Header, Window, WindowKind},
    },
};

/// With fewer windows than this there is no interval.
const FEWEST_WINDOWS: u64 = 3;
/// With fewer events than this in all windows there is none either: that they are spread evenly may be
/// chance, and the interval would have no width.
const FEWEST_EVENTS: f64 = 30.0;

/// A total of the whole measured time, if its rate was everywhere that of the windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The rate in the windows times the whole measured time.
    pub total: f64,
    /// Where the total lies, with 95 % confidence; none of too few windows, or too few events.
    pub interval: Option<Interval>,
}

/// Totals of the whole measured time. None is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    /// The kind of the windows that tell.
    pub kind: WindowKind,
    /// How many there are.
    pub windows: u64,
    /// Their time.
    pub seconds: f64,
    /// The whole measured time that they stand for.
    pub of_s: f64,
    /// Write holds.
    pub holds: Option<Estimate>,
    /// Their time.
    pub held_ns: Option<Estimate>,
    /// Task lives that ended, by reap holds.
    pub lives: Option<Estimate>,
    /// Contended acquisitions of the target lock, readers' included.
    pub waits: Option<Estimate>,
    /// Their time, as far as they have a length.
    pub waited_ns: Option<Estimate>,
}

impl Scaled {
    /// Whether there are windows enough to tell how sure this is.
    #[must_use]
    pub const fn has_windows_enough(&self) -> bool {
        self.windows >= FEWEST_WINDOWS
    }
}

/// What was counted of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    /// In all windows.
    total: f64,
    /// The sum of each window's square over its length: a window that is not added has none of it.
    squares: f64,
}

impl Tally {
    fn add(&mut self, count: u64, seconds: f64) {
        let count = count as f64;
        self.total += count;
        self.squares += count * count / seconds;
    }
}

/// What is counted together: how often, and for how long.
type CountAndTime = [Tally; 2];

/// The window that goes on.
#[derive(Debug, Default)]
struct Open {
    number: u32,
    seconds: f64,
    holds: [u64; 2],
    lives: u64,
    waits: [u64; 2],
    /// Where the target lock is one of all locks.
    waits_by_lock: BTreeMap<u64, [u64; 2]>,
}

/// Adds up the windows of a run, one interval at a time.
#[derive(Debug, Default)]
pub(super) struct Scaling {
    of_s: f64,
    windows: u64,
    seconds: f64,
    open: Option<Open>,
    holds: CountAndTime,
    lives: Tally,
    waits: CountAndTime,
    waits_by_lock: BTreeMap<u64, CountAndTime>,
}

impl Scaling {
    /// Adds an interval of the measured time of a run with windows.
    pub(super) fn add(&mut self, header: &Header, interval: &schema::Interval, window: &Window) {
        self.of_s += interval.seconds;
        let main = header.windows.as_ref().map(main_kind);
        if window.edge || main != Some(window.kind) {
            return;
        }
        if self.open.as_ref().map(|open| open.number) != Some(window.number) {
            self.close();
        }
        let open = self.open.get_or_insert_default();
        open.number = window.number;
        open.seconds += interval.seconds;
        for totals in interval.cpus.iter().flat_map(|cpu| &cpu.sites) {
            let Some(site) = Site::from_name(&totals.site) else {
                continue;
            };
            if site.is_writer() {
                add(&mut open.holds, [totals.holds, totals.held_ns]);
            }
            if site == Site::Reap {
                open.lives = open.lives.saturating_add(totals.holds);
            }
            add(&mut open.waits, [totals.waits, totals.waited_ns]);
        }
        if waits_from_contention(header) {
            for entry in interval.contention.iter().filter(|entry| !entry.others) {
                if let Some(address) = parse_address(&entry.lock) {
                    let waits = entry.waits.saturating_add(entry.sampled);
                    let sum = open.waits_by_lock.entry(address).or_default();
                    add(sum, [waits, entry.waited_ns]);
                }
            }
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take().filter(|open| open.seconds > 0.0) else {
            return;
        };
        self.windows += 1;
        self.seconds += open.seconds;
        self.lives.add(open.lives, open.seconds);
        add_window(&mut self.holds, open.holds, open.seconds);
        add_window(&mut self.waits, open.waits, open.seconds);
        for (lock, sums) in open.waits_by_lock {
            let waits = self.waits_by_lock.entry(lock).or_default();
            add_window(waits, sums, open.seconds);
        }
    }

    /// What the windows stand for; none where they are all of the measured time, or there are none.
    /// `target` is the address of the target lock, where it has to be found among all locks.
    pub(super) fn finish(mut self, header: &Header, target: Option<u64>) -> Option<Scaled> {
        self.close();
        let kind = main_kind(header.windows.as_ref()?);
        // The two are sums of the same numbers in another order.
        let is_all = self.of_s - self.seconds <= 1e-9 * self.of_s;
        if self.windows == 0 || kind == WindowKind::Bare || is_all {
            return None;
        }
        let holds = (holds_known(header) && has_holds(kind)).then_some(self.holds);
        let lives = holds.map(|_| self.lives);
        let waits = if waits_from_contention(header) {
            // A window without an entry had no wait.
            target.map(|target| self.waits_by_lock.get(&target).copied().unwrap_or_default())
        } else {
            Some(self.waits)
        };
        let waits = waits.filter(|_| waits_known(header));
        Some(Scaled {
            kind,
            windows: self.windows,
            seconds: self.seconds,
            of_s: self.of_s,
            holds: holds.map(|[holds, _]| self.estimate(holds, holds)),
            held_ns: holds.map(|[holds, held]| self.estimate(held, holds)),
            lives: lives.map(|lives| self.estimate(lives, lives)),
            waits: waits.map(|[waits, _]| self.estimate(waits, waits)),
            waited_ns: waits.map(|[waits, waited]| self.estimate(waited, waits)),
        })
    }

    fn estimate(&self, counted: Tally, events: Tally) -> Estimate {
        let rate = counted.total / self.seconds;
        let total = rate * self.of_s;
        let enough = self.windows >= FEWEST_WINDOWS && events.total >= FEWEST_EVENTS;
        let freedom = self.windows.saturating_sub(1);
        let t = t_975(freedom as usize).filter(|_| enough);
        Estimate {
            total,
            interval: t.map(|t| {
                let reach = t * self.variance(counted, rate, freedom).sqrt();
                Interval {
                    // What was seen is not less than what there was.
                    low: (total - reach).max(counted.total),
                    high: total + reach,
                }
            }),
        }
    }

    /// The variance of a total about its estimate, if what happens in a stretch has a variance that grows
    /// with its length: v a second. Σ s (x/s - rate)² / (n - 1) over windows estimates v. What is in the
    /// windows, S seconds, is known; the rest, R seconds, has v R of its own, and R² v / S because the rate
    /// is that of S seconds. Together that is v R T / S, where T is R + S.
    fn variance(&self, counted: Tally, rate: f64, freedom: u64) -> f64 {
        // Σ s (x/s - rate)², which rounding may make less than 0.
        let squares = (counted.squares - counted.total * rate).max(0.0);
        let of_a_second = squares / freedom as f64;
        of_a_second * (self.of_s - self.seconds) * self.of_s / self.seconds
    }
}

fn add(sums: &mut [u64; 2], more: [u64; 2]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

fn add_window(counted: &mut CountAndTime, sums: [u64; 2], seconds: f64) {
    for (counted, sum) in counted.iter_mut().zip(sums) {
        counted.add(sum, seconds);
    }
}
