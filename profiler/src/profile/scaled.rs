//! What the windows stand for: the totals of the whole measured time, bare windows and edges included,
//! estimated from the windows that holds and waits were measured in. Pure.

use std::collections::BTreeMap;

use super::{
    contention::LockRange,
    holds_known, waits_from_contention, waits_known,
    windows::{has_holds, main_kind},
};
use crate::{
    known_locks::is_taken_by_each_task,
    recording::{
        parse_address,
        schema::{self, Header, Window, WindowKind},
    },
    site::Site,
    statistics::{Interval, t_975},
};

/// With fewer windows than this there is no interval.
const FEWEST_WINDOWS: u64 = 3;
/// With fewer events than this in all windows there is none either: that they are spread evenly may be
/// chance, and the interval would have no width.
const FEWEST_EVENTS: f64 = 30.0;

/// A total of the whole measured time, if its rate was everywhere that of the nearest window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The sum of each window's rate times the time that it stands for.
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

/// A window of the main kind.
#[derive(Debug, Default)]
struct Counted {
    number: u32,
    /// Where it begins and ends, in the measured time so far.
    from_s: f64,
    until_s: f64,
    seconds: f64,
    /// How often, and for how long.
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
    windows: Vec<Counted>,
}

impl Scaling {
    /// Adds an interval of the measured time of a run with windows.
    pub(super) fn add(&mut self, header: &Header, interval: &schema::Interval, window: &Window) {
        self.of_s += interval.seconds;
        let main = header.windows.as_ref().map(main_kind);
        if window.edge || main != Some(window.kind) {
            return;
        }
        if self.windows.last().map(|last| last.number) != Some(window.number) {
            self.windows.push(Counted {
                number: window.number,
                from_s: self.of_s - interval.seconds,
                ..Counted::default()
            });
        }
        let Some(open) = self.windows.last_mut() else {
            return;
        };
        open.until_s = self.of_s;
        open.seconds += interval.seconds;
        for totals in interval.cpus.iter().flat_map(|cpu| &cpu.sites) {
            let site = Site::named(&totals.site);
            if site.is_writer() {
                add(&mut open.holds, [totals.holds, totals.held_ns]);
            }
            if site == Site::REAP {
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

    /// What the windows stand for; none where they are all of the measured time, or there are none.
    /// `target` is where the target lock lies, where it has to be found among all locks.
    pub(super) fn finish(mut self, header: &Header, target: Option<LockRange>) -> Option<Scaled> {
        self.windows.retain(|window| window.seconds > 0.0);
        let kind = main_kind(header.windows.as_ref()?);
        let seconds: f64 = self.windows.iter().map(|window| window.seconds).sum();
        // The two are sums of the same numbers in another order.
        let is_all = self.of_s - seconds <= 1e-9 * self.of_s;
        if self.windows.is_empty() || kind == WindowKind::Bare || is_all {
            return None;
        }
        let has_holds = holds_known(header) && has_holds(kind);
        let from_contention = waits_from_contention(header);
        let has_waits = waits_known(header) && (!from_contention || target.is_some());
        let waits = |window: &Counted| match target.filter(|_| from_contention) {
            // A window without an entry had no wait.
            Some(target) => {
                let mut sum = [0; 2];
                let of_target = window.waits_by_lock.iter();
                of_target
                    .filter(|(address, _)| target.contains(**address))
                    .for_each(|(_, &waits)| add(&mut sum, waits));
                sum
            }
            None => window.waits,
        };
        let stand_for_s = self.stand_for_s();
        let estimate = |of: &dyn Fn(&Counted) -> u64, events: &dyn Fn(&Counted) -> u64| {
            self.estimate(&stand_for_s, of, events)
        };
        let of_holds = |index: usize| {
            let count = |window: &Counted| window.holds[0];
            has_holds.then(|| estimate(&|window| window.holds[index], &count))
        };
        let of_waits = |index: usize| {
            let count = |window: &Counted| waits(window)[0];
            has_waits.then(|| estimate(&|window| waits(window)[index], &count))
        };
        let lives = |window: &Counted| window.lives;
        let tells_lives = has_holds && is_taken_by_each_task(&header.lock.name);
        Some(Scaled {
            kind,
            windows: self.windows.len() as u64,
            seconds,
            of_s: self.of_s,
            holds: of_holds(0),
            held_ns: of_holds(1),
            lives: tells_lives.then(|| estimate(&lives, &lives)),
            waits: of_waits(0),
            waited_ns: of_waits(1),
        })
    }

    /// The time that each window stands for: to the middle of the gaps beside it. A budget may leave fewer
    /// windows while much happens, and each of those stands for more.
    fn stand_for_s(&self) -> Vec<f64> {
        let windows = &self.windows;
        let middle = |index: usize| match index.checked_sub(1) {
            None => 0.0,
            Some(before) => match windows.get(index) {
                None => self.of_s,
                Some(window) => f64::midpoint(windows[before].until_s, window.from_s),
            },
        };
        (0..windows.len())
            .map(|index| middle(index + 1) - middle(index))
            .collect()
    }

    fn estimate(
        &self,
        stand_for_s: &[f64],
        of: &dyn Fn(&Counted) -> u64,
        events: &dyn Fn(&Counted) -> u64,
    ) -> Estimate {
        let windows = || self.windows.iter().zip(stand_for_s);
        let rate = |window: &Counted| of(window) as f64 / window.seconds;
        let total: f64 = windows()
            .map(|(window, stands_for_s)| rate(window) * stands_for_s)
            .sum();
        let counted: u64 = self.windows.iter().map(of).fold(0, u64::saturating_add);
        let events: u64 = self.windows.iter().map(events).fold(0, u64::saturating_add);
        let number = self.windows.len();
        let enough = number as u64 >= FEWEST_WINDOWS && events as f64 >= FEWEST_EVENTS;
        let t = t_975(number.saturating_sub(1)).filter(|_| enough);
        Estimate {
            total,
            interval: t.map(|t| {
                let reach = t * self.variance(stand_for_s, &rate).sqrt();
                Interval {
                    // What was seen is not less than what there was.
                    low: (total - reach).max(counted as f64),
                    high: total + reach,
                }
            }),
        }
    }

    /// The variance of a total about its estimate, if what happens in a stretch has a variance that grows
    /// with its length: v a second. Σ s (x/s - rate)² / (n - 1) over windows estimates v. What is in a
    /// window, s seconds, is known; the rest of the time that it stands for, r seconds, has v r of its own,
    /// and r² v / s because the rate is that of s seconds.
    fn variance(&self, stand_for_s: &[f64], rate: &dyn Fn(&Counted) -> f64) -> f64 {
        let windows = &self.windows;
        let seconds: f64 = windows.iter().map(|window| window.seconds).sum();
        let of_all = windows.iter().map(|window| rate(window) * window.seconds);
        let mean = of_all.sum::<f64>() / seconds;
        let squares = windows
            .iter()
            .map(|window| window.seconds * (rate(window) - mean).powi(2));
        let of_a_second = squares.sum::<f64>() / (windows.len() - 1) as f64;
        let rests = windows
            .iter()
            .zip(stand_for_s)
            .map(|(window, stands_for_s)| {
                let rest_s = (stands_for_s - window.seconds).max(0.0);
                rest_s + rest_s * rest_s / window.seconds
            });
        of_a_second * rests.sum::<f64>()
    }
}

fn add(sums: &mut [u64; 2], more: [u64; 2]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}
