//! What has not ended when the measured time does: waits and holds that the programs have seen begin, and tasks
//! that sleep for a lock without an event.

mod crossings;
mod sleepers;
mod slots;
pub(super) mod task;

use std::{collections::HashMap, fs, thread, time::Duration};

use lockprof_abi::{TaskHold, TaskSlot};

use self::{
    crossings::Crossings,
    sleepers::{Confirmed, Moment, Sleeper, Sleepers},
    slots::Open,
};
use super::{Collector, Source as _, cost};
use crate::{
    probe::{cpus::zeroed_state, programs::Programs},
    profile::symbol_of,
    recording::schema::{InProgress, Kind, OpenEvent, Phase},
};

/// What sleeps shorter is in no list: any moment has some.
const NOTABLE_SLEEP_NS: u64 = 1_000_000;
/// The same for what keeps a CPU: a tenth of a second of spinning, or with interrupts off, is a fault.
const NOTABLE_SPIN_NS: u64 = 100_000_000;
/// Between two looks at what keeps a CPU: several ticks of /proc/stat.
const SPIN_LOOK: Duration = Duration::from_millis(50);
/// Events that are listed.
const MOST: usize = 32;

/// Watches who sleeps for a lock, from the attach to the end of the measured time.
#[derive(Debug)]
pub(super) struct Watch {
    sleepers: Sleepers,
    crossings: Crossings,
    found: Option<InProgress>,
    /// The functions whose waits are looked at, as reports name them; none: everybody's.
    callers: Vec<String>,
}

impl Watch {
    /// Looks for the first time; what sleeps now has slept since before the attach. What the programs see begin they
    /// filter themselves: `callers` is for what has no event.
    pub(super) fn begin(programs: &Programs, collector: &Collector, callers: Vec<String>) -> Self {
        let moment = moment(programs);
        Self {
            sleepers: Sleepers::begin(collector.names.symbols(), moment),
            crossings: Crossings::default(),
            found: None,
            callers,
        }
    }

    /// Whether a wait without an event is looked at. Of one whose caller is not told the list says that.
    fn is_wanted(&self, sleeper: &Sleeper) -> bool {
        is_among(&self.callers, sleeper.slept_for.caller.as_deref())
    }

    /// Looks again, unless that would cost too much.
    pub(super) fn look(&mut self, programs: &Programs, collector: &Collector, phase: Phase) {
        if !self.sleepers.is_due() {
            return;
        }
        let moment = moment(programs);
        self.sleepers.look(collector.names.symbols(), moment);
        self.sort_out_ended(phase);
        self.crossings.look(moment.now_ns);
    }

    /// What has ended and no row has: in the measured time.
    fn sort_out_ended(&mut self, phase: Phase) {
        let ended = self.sleepers.take_ended();
        if phase == Phase::Measured {
            for (pid, sleeper) in &ended {
                if self.is_wanted(sleeper) {
                    self.crossings.add_unseen(*pid, sleeper);
                }
            }
        }
    }

    /// Notes which waits have gone on over the end of a window, or of an edge, by its number.
    pub(super) fn window_ended(
        &mut self,
        window: u32,
        programs: &Programs,
        collector: &mut Collector,
    ) {
        let now_ns = cost::monotonic_ns();
        let spinning = on_cpus(programs, window).into_iter();
        let spinning = spinning.filter(|open| open.kind == Kind::Wait);
        for open in sleeping(programs, window).into_iter().chain(spinning) {
            let event = event(&open, now_ns, programs, collector);
            self.crossings.begin(event, open.began_ns);
        }
    }

    /// Notes what is in progress, at the end of the measured time.
    pub(super) fn note(&mut self, programs: &Programs, collector: &mut Collector) {
        let window = programs.window();
        self.sleepers
            .look_for_the_last_time(collector.names.symbols(), window);
        self.sort_out_ended(Phase::Measured);
        let now_ns = cost::monotonic_ns();
        let crossings = std::mem::take(&mut self.crossings);
        let (crossing, cut) = crossings.finish(now_ns);
        let mut asleep: HashMap<u32, &Sleeper> = self.sleepers.asleep().collect();
        let mut events = Vec::new();
        for (pid, mut event) in crossing {
            if let Some(sleeper) = asleep.remove(&pid) {
                event.tgid = Some(sleeper.tgid);
                event.caller = sleeper.slept_for.caller.clone().or(event.caller);
            }
            events.push(event);
        }
        let notable = |open: &Open| now_ns.saturating_sub(open.began_ns) >= NOTABLE_SLEEP_NS;
        for open in sleeping(programs, window).into_iter().filter(notable) {
            let known = open.pid.and_then(|pid| asleep.remove(&pid));
            let mut event = event(&open, now_ns, programs, collector);
            match known {
                Some(sleeper) => {
                    event.tgid = Some(sleeper.tgid);
                    event.comm = Some(sleeper.comm.clone());
                    event.caller = sleeper.slept_for.caller.clone().or(event.caller);
                }
                None => match self.confirm(&open, collector) {
                    Confirmed::Asleep { tgid, comm } => {
                        event.tgid = tgid;
                        event.comm = Some(comm);
                    }
                    Confirmed::Unknown => {}
                    Confirmed::Gone => continue,
                },
            }
            events.push(event);
        }
        let asleep = asleep.into_iter();
        let asleep = asleep.filter(|(_, sleeper)| self.is_wanted(sleeper));
        events.extend(asleep.map(|(pid, sleeper)| sleeper.event(pid, now_ns)));
        events.retain(|event| event.at_least_ns >= NOTABLE_SLEEP_NS);
        events.extend(self.keeping_cpus(programs, collector, now_ns));
        events.extend(holding_by_task(programs, collector, now_ns));
        self.found = Some(InProgress {
            cut: (cut.waits > 0).then_some(cut),
            ..longest(events, self.sleepers.unseen())
        });
    }

    /// What was in progress at the end of the measured time, where there was one.
    pub(super) fn found(&self) -> Option<&InProgress> {
        self.found.as_ref()
    }

    fn confirm(&self, open: &Open, collector: &Collector) -> Confirmed {
        let pid = open.pid.unwrap_or(0);
        self.sleepers.confirm(pid, collector.names.symbols())
    }

    /// Spinning waits and holds that keep their CPU: those that are still there a little later, where the CPU has
    /// done nothing else meanwhile. What has ended without being seen is not among them.
    fn keeping_cpus(
        &self,
        programs: &Programs,
        collector: &mut Collector,
        now_ns: u64,
    ) -> Vec<OpenEvent> {
        let mut first = on_cpus(programs, programs.window());
        first.retain(|open| now_ns.saturating_sub(open.began_ns) >= NOTABLE_SPIN_NS);
        if first.is_empty() {
            return Vec::new();
        }
        let before = elsewhere_by_cpu(&fs::read_to_string("/proc/stat").unwrap_or_default());
        thread::sleep(SPIN_LOOK);
        let after = elsewhere_by_cpu(&fs::read_to_string("/proc/stat").unwrap_or_default());
        let second = on_cpus(programs, programs.window());
        let kept = first.into_iter().filter(|open| {
            let elsewhere = |ticks: &HashMap<u32, u64>| ticks.get(&open.cpu?).copied();
            second.contains(open)
                && elsewhere(&before).is_some()
                && elsewhere(&before) == elsewhere(&after)
        });
        kept.map(|open| {
            let mut event = event(&open, now_ns, programs, collector);
            let who = open.pid.zip(open.cpu);
            event.comm = who.and_then(|(pid, cpu)| self.sleepers.on_cpu(pid, cpu));
            event
        })
        .collect()
    }
}

/// Whether a frame of who asks is of one of some functions, or any where there are none.
fn is_among(callers: &[String], frame: Option<&str>) -> bool {
    let caller = frame.map(symbol_of);
    let is_one = |caller| callers.iter().any(|wanted| wanted == caller);
    callers.is_empty() || caller.is_none_or(is_one)
}

fn moment(programs: &Programs) -> Moment {
    Moment {
        now_ns: cost::monotonic_ns(),
        window: programs.window(),
    }
}

/// The sleeping waits that the programs know of from a window.
pub(super) fn sleeping(programs: &Programs, window: u32) -> Vec<Open> {
    let mut slot = TaskSlot::FREE;
    let places = 0..programs.tasks.len();
    let open = places.filter_map(|place| {
        // The lock comes first in it.
        let taken = programs.tasks.read_taken(place, &mut slot);
        taken.then(|| slots::of_task(&slot, window)).flatten()
    });
    let of_target = by_task(programs, window).into_iter();
    let of_target = of_target.filter(|open| open.kind == Kind::Wait);
    open.chain(of_target).collect()
}

/// The waits and holds of the target that the programs know of from a window, where it is followed by task.
fn by_task(programs: &Programs, window: u32) -> Vec<Open> {
    let mut hold = TaskHold::FREE;
    let lock = programs.target_address();
    let places = 0..programs.task_holds.len();
    let open = places.filter_map(|place| {
        programs.task_holds.read(place, &mut hold);
        slots::of_task_hold(&hold, lock, programs.followed, window)
    });
    open.collect()
}

/// The hold that goes on, asleep or not: one that is still there when the places are read again, for each is read
/// word by word while tasks write.
fn holding_by_task(programs: &Programs, collector: &mut Collector, now_ns: u64) -> Vec<OpenEvent> {
    let long = |open: &Open| {
        open.kind == Kind::Hold && now_ns.saturating_sub(open.began_ns) >= NOTABLE_SLEEP_NS
    };
    let mut holds = by_task(programs, programs.window());
    holds.retain(long);
    if holds.is_empty() {
        return Vec::new();
    }
    let after = by_task(programs, programs.window());
    holds.retain(|open| after.contains(open));
    let events = holds.iter();
    events
        .map(|open| event(open, now_ns, programs, collector))
        .collect()
}

/// The spinning waits and holds that the programs know of from a window.
fn on_cpus(programs: &Programs, window: u32) -> Vec<Open> {
    let mut state = zeroed_state();
    let cpus = (0..programs.cpus.len()).filter(|&cpu| programs.cpus.may_be_open(cpu));
    cpus.flat_map(|cpu| {
        programs.cpus.read_state(cpu, &mut state);
        slots::of_cpu(cpu as u32, &state, programs.target_lock, window)
    })
    .collect()
}

fn event(open: &Open, now_ns: u64, programs: &Programs, collector: &mut Collector) -> OpenEvent {
    let stack = open.stack.and_then(|stack| programs.stack(stack));
    let caller = match open.caller {
        Some(caller) => Some(collector.names.frame(caller)),
        None => stack.and_then(|stack| collector.names.caller_of_sleep(&stack)),
    };
    let site = open.site.map(|number| collector.sites.numbered(number));
    OpenEvent {
        kind: open.kind,
        lock: Some(format!("{:#x}", open.lock)),
        name: collector.names.lock(open.lock),
        caller,
        site: site.map(|site| site.name().to_owned()),
        cpu: open.cpu,
        pid: open.pid,
        ..without_event(open.flags, now_ns.saturating_sub(open.began_ns))
    }
}

/// A wait of which only its kind and length are known.
fn without_event(flags: u32, at_least_ns: u64) -> OpenEvent {
    OpenEvent {
        kind: Kind::Wait,
        at_least_ns,
        since_attach: false,
        lock: None,
        name: None,
        flags,
        caller: None,
        site: None,
        cpu: None,
        pid: None,
        tgid: None,
        comm: None,
    }
}

/// The longest first, and how many there were beside them.
fn longest(mut events: Vec<OpenEvent>, unseen: Option<String>) -> InProgress {
    events.sort_by_key(|event| (std::cmp::Reverse(event.at_least_ns), event.pid));
    let more = events.len().saturating_sub(MOST) as u64;
    events.truncate(MOST);
    InProgress {
        events,
        more,
        unseen,
        cut: None,
    }
}

/// The ticks that each CPU has spent in user space or idle, by /proc/stat: none while it holds or spins.
fn elsewhere_by_cpu(stat: &str) -> HashMap<u32, u64> {
    let cpus = stat.lines().filter_map(|line| {
        let (cpu, ticks) = line.strip_prefix("cpu")?.split_once(' ')?;
        // user nice system idle iowait
        let ticks: Vec<u64> = ticks
            .split_ascii_whitespace()
            .map_while(|ticks| ticks.parse().ok())
            .collect();
        let elsewhere = [0, 1, 3, 4].map(|column| ticks.get(column).copied().unwrap_or(0));
        Some((cpu.parse().ok()?, elsewhere.iter().sum()))
    });
    cpus.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_ask_for_is_left_out_and_what_nobody_is_known_to_is_not() {
        let wanted = ["do_exit".to_owned(), "foo [bar]".to_owned()];
        assert!(is_among(&wanted, Some("do_exit+0x12")));
        assert!(is_among(&wanted, Some("foo [bar]+0x4")));
        assert!(!is_among(&wanted, Some("foo+0x4")));
        assert!(is_among(&wanted, None));
        assert!(is_among(&[], Some("foo+0x4")));
    }

    #[test]
    fn the_longest_are_listed_and_the_others_counted() {
        let events = (0..40).map(|ms| without_event(0, ms * 1_000_000)).collect();
        let listed = longest(events, None);
        assert_eq!((listed.events.len(), listed.more), (MOST, 8));
        assert_eq!(listed.events[0].at_least_ns, 39_000_000);
        assert_eq!(longest(Vec::new(), None), InProgress::default());
    }

    #[test]
    fn a_cpu_that_idles_or_computes_holds_nothing() {
        let stat = "cpu  9 9 9 9 9\ncpu0 1 2 1000 4 5 6 7\ncpu11 10 0 5 0 0\nintr 5\n";
        let cpus = elsewhere_by_cpu(stat);
        assert_eq!(cpus, HashMap::from([(0, 12), (11, 10)]));
        assert!(elsewhere_by_cpu("").is_empty());
    }
}
