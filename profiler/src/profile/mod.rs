//! The model: what a recording says about the lock. Pure: nothing here reads or writes a file.

mod absence;
mod anatomy;
mod builder;
mod callers;
mod container;
mod contention;
mod controls;
mod durations;
mod effect;
mod ground_truth;
mod histogram;
mod locks;
mod losses;
mod off_cpu;
mod samples;
mod scaled;
mod series;
mod sites;
mod spans;
mod sums;
mod verdict;
mod waiters;
mod windows;
mod words;

pub use absence::Absence;
pub use anatomy::{Anatomy, Part, What, anatomies};
pub use builder::ProfileBuilder;
pub use callers::{caller_of, from_caller, symbol_of};
pub use container::{Container, cgroup_title};
pub use contention::{Contention, LockKind, PathWaits};
pub use controls::{Controls, Known};
pub use durations::Durations;
pub use effect::{Counted, EdgeEffect, Effect, EffectVerdict, KindEffect};
pub use ground_truth::{Attached, GroundTruthCheck, SpanCalls};
pub use histogram::{Histogram, Scale};
pub use locks::{
    Behind, CallerWaits, Class, ClassWaits, CommandWaits, Doing, Locks, LongWait, Member, NamedBy,
    Pair, Person, Stretch, WaitedFor, Waits, WhoWaits,
};
pub use losses::Losses;
pub use off_cpu::{OffBy, OffCpu};
pub use samples::{Samples, WaitPath, wait_paths};
pub use scaled::{Estimate, Scaled};
pub use series::{CpuShare, CpuTotals, SeriesPoint, Stage};
pub use sites::{Blame, SiteProfile};
pub use spans::SpanProfile;
pub use verdict::Verdict;
pub use waiters::Waiter;
pub use windows::{FinishedWindow, SpanWindows, WindowTotals, Windows};

use std::collections::BTreeMap;

use crate::{
    recording::{
        Recording,
        schema::{
            Calibration, CgroupInterval, Clock, Footer, Header, Killed, Method, NullHold, Proves,
            Tier, WindowKind,
        },
    },
    site::Site,
    units::{self, TimeUnit},
};

/// Says which site a wait for the target lock belongs to, by who waited (a call stack, innermost
/// frame first, or the caller alone) and whether it waits to write.
pub type Classify = fn(&[String], bool) -> Site;

/// What a recording says. Numbers are those of the measured phase where they do not say otherwise; in a
/// run with windows, of those that disturb them least.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What was measured, where, and how.
    pub header: Header,
    /// What the probes themselves add to a hold.
    pub calibration: Option<Calibration>,
    /// How the run ended.
    pub footer: Option<Footer>,
    /// The recording has no footer.
    pub cut_short: bool,
    /// Why its guard killed the daemon, where it did.
    pub killed: Option<Killed>,
    /// The measured time: in a run with windows, that of the windows of holds, or of waits where no
    /// window has holds.
    pub measured_s: f64,
    /// For how long lockprof was stopped, with nothing attached.
    pub stopped_s: f64,
    /// Intervals of the measured time.
    pub intervals: u64,
    /// What the probes do to the load; none where no windows tell.
    pub effect: Option<Effect>,
    /// What was done in each window.
    pub windows: Windows,
    /// Estimates of what there was in the whole measured time, where windows with probes are a part of it.
    pub scaled: Option<Scaled>,
    /// Every site with a hold or a wait, the one that held the lock longest first.
    pub sites: Vec<SiteProfile>,
    /// The windows in which spans were measured, where those are others. See [`Self::sites_of_spans`].
    pub span_windows: Option<SpanWindows>,
    /// Calls inside holds by span and site, and outside every hold.
    pub spans: Vec<SpanProfile>,
    /// Spans that this kernel lacks or has inlined, and why they were not measured.
    pub absent_spans: Vec<(String, String)>,
    /// Who waited behind whose holds, the most waited time first.
    pub blame: Vec<Blame>,
    /// Waits for other locks inside holds of this one, the most waited time first.
    pub inner_waits: Vec<Contention>,
    /// Waits for all locks by lock and caller, the most waited time first.
    pub contention: Vec<Contention>,
    /// All locks by class, by who waited and by who had them, in a run of `lockprof locks`.
    pub locks: Option<Locks>,
    /// The same by caller and whole call stack, for flame graphs.
    pub waits_by_path: Vec<PathWaits>,
    /// Call stacks, the innermost frame first.
    pub stacks: BTreeMap<i32, Vec<String>>,
    /// How many waits were looked at closely, and what that told.
    pub samples: Samples,
    /// What each CPU did.
    pub cpus: Vec<CpuTotals>,
    /// What happened over time, the warm-up included.
    pub series: Vec<SeriesPoint>,
    /// Totals by cgroup, where they were asked for.
    pub cgroups: BTreeMap<String, CgroupInterval>,
    /// What holders did instead of running, the most time first; none where nobody looked.
    pub off_cpu: Option<Vec<OffCpu>>,
    /// What happened and is not in the numbers.
    pub losses: Losses,
    /// Totals from attach to detach.
    pub attached: Attached,
    /// The same beside what the load and the kernel counted.
    pub ground_truth: GroundTruthCheck,
    /// What the probes were seen to see. See [`Self::proof`].
    pub controls: Controls,
    /// Losses of the windows that holds and waits are of, and of those of spans, where these are others.
    losses_of_main: Losses,
    losses_of_spans: Option<Losses>,
    /// The kind of windows that the numbers are of in place of the one that they were to be of, and of which none
    /// came.
    instead: Option<WindowKind>,
    /// No write hold was seen, and none would have been.
    holds_unknown: bool,
    /// No wait for the lock was seen, and none would have been.
    target_waits_unknown: bool,
}

impl Profile {
    /// The null hold, where it was measured.
    #[must_use]
    pub fn null_hold(&self) -> Option<&NullHold> {
        self.calibration.as_ref()?.null_hold.as_ref()
    }

    /// Whether the probes were seen to see this: only then is it known that it did not happen.
    #[must_use]
    pub fn proof(&self, proves: Proves) -> Known {
        self.controls.proof(proves)
    }

    /// Adds up a recording.
    #[must_use]
    pub fn from_recording(recording: Recording, classify: Classify) -> Self {
        let Recording {
            header,
            calibration,
            intervals,
            footer,
            killed,
            cut_short: _,
        } = recording;
        let mut builder = ProfileBuilder::new(header);
        if let Some(calibration) = calibration {
            builder.add_calibration(calibration);
        }
        for interval in intervals {
            builder.add_interval(interval);
        }
        if let Some(footer) = footer {
            builder.add_footer(footer);
        }
        if let Some(killed) = killed {
            builder.add_killed(killed);
        }
        builder.finish(classify)
    }

    /// What the nanoseconds of this profile are.
    #[must_use]
    pub const fn unit(&self) -> TimeUnit {
        TimeUnit::of(self.header.clock)
    }

    /// What came before the measured time: of a run without a warm-up, what is done once the probes are attached.
    #[must_use]
    pub fn before_measured(&self) -> &'static str {
        self.stage_name(Stage::WarmUp)
    }

    /// The name of a stage of this run in reports.
    #[must_use]
    pub fn stage_name(&self, stage: Stage) -> &'static str {
        match stage {
            Stage::WarmUp if self.header.warm_up_s == Some(0.0) => "preparation",
            stage => stage.name(),
        }
    }

    /// Whether holds were measured: not where none was seen, and none would have been.
    #[must_use]
    pub const fn holds_known(&self) -> bool {
        self.measures_holds() && !self.holds_unknown
    }

    /// Whether holds are what the probes of this run are for, as far as it came.
    #[must_use]
    pub const fn measures_holds(&self) -> bool {
        holds_known(&self.header) && !matches!(self.instead, Some(WindowKind::Waits))
    }

    /// The kind of windows that the numbers are of in place of the one that they were to be of: the run ended before
    /// its first window of that.
    #[must_use]
    pub const fn instead(&self) -> Option<WindowKind> {
        self.instead
    }

    /// Whether waits for the lock were measured: not where none was seen, and none would have been.
    #[must_use]
    pub fn target_waits_known(&self) -> bool {
        self.waits_known() && !self.target_waits_unknown
    }

    /// Whether waits were measured.
    #[must_use]
    pub fn waits_known(&self) -> bool {
        waits_known(&self.header)
    }

    /// The losses of the target lock are above the threshold, or the probes have died: the numbers are not to be
    /// used.
    #[must_use]
    pub const fn void(&self) -> bool {
        self.losses.void || self.controls.died().is_some()
    }

    /// Why they are not, where they are not: a part of a sentence.
    #[must_use]
    pub fn void_because(&self) -> Option<String> {
        if let Some(died) = self.controls.died() {
            if died.at_s <= 0.0 {
                let what = absence::what(died.proves);
                return Some(format!("its probes do not see {what} ({})", died.why));
            }
            return Some(format!(
                "from {} after the attach on its probes saw nothing any more ({})",
                units::seconds(died.at_s),
                died.why
            ));
        }
        self.losses.void.then(|| self.losses.missing())
    }

    /// What one site did.
    #[must_use]
    pub fn site(&self, site: Site) -> Option<&SiteProfile> {
        self.sites.iter().find(|profile| profile.site == site)
    }

    /// The sites whose holds the spans were measured in: a share of a hold is one of these.
    #[must_use]
    pub fn sites_of_spans(&self) -> &[SiteProfile] {
        let windows = self.span_windows.as_ref();
        windows.map_or(&self.sites, |windows| &windows.sites)
    }

    /// The holds of a site that its spans were measured in.
    #[must_use]
    pub fn holds_of_spans(&self, site: Site) -> Option<&Durations> {
        let mut sites = self.sites_of_spans().iter();
        sites.find(|profile| profile.site == site)?.hold.as_ref()
    }

    /// Whether spans were to be measured in windows of their own, and the run ended before the first.
    #[must_use]
    pub fn spans_not_reached(&self) -> bool {
        let windows = self.span_windows.as_ref();
        windows.is_some_and(|windows| windows.seconds <= 0.0)
    }

    /// Waits for other locks than the target, outside of its holds, the most waited time first.
    pub fn other_locks(&self) -> impl Iterator<Item = &Contention> {
        self.contention
            .iter()
            .filter(|wait| !wait.is_target && !wait.is_others && wait.in_hold_of.is_none())
    }

    /// Waits for the locks that the tables had no place for, by kind.
    pub fn unnamed_locks(&self) -> impl Iterator<Item = &Contention> {
        self.contention.iter().filter(|wait| wait.is_others)
    }

    /// Whether this is the address of the target lock, as far as anybody waited for it.
    #[must_use]
    pub fn is_target(&self, address: u64) -> bool {
        let mut target = self.contention.iter().filter(|wait| wait.is_target);
        target.any(|target| target.address == address)
    }

    /// Write holds; none where holds were not measured.
    #[must_use]
    pub fn write_holds(&self) -> Option<u64> {
        self.over_writers(|hold| hold.count())
    }

    /// The time of write holds; none where holds were not measured.
    #[must_use]
    pub fn held_ns(&self) -> Option<u64> {
        self.over_writers(|hold| hold.total_ns)
    }

    /// The share of the measured time that a writer held the lock: at least so much, where one did at its end.
    #[must_use]
    pub fn held_share(&self) -> Option<f64> {
        self.share_of_holds(self.held_ns()?.saturating_add(self.open_hold_ns()))
    }

    /// The time of holds as a share of the measured time: one that began before it is counted whole, and the
    /// share is not more than all the same.
    #[must_use]
    pub fn share_of_holds(&self, ns: u64) -> Option<f64> {
        self.share_of_time(ns).map(|share| share.min(1.0))
    }

    /// A time as a share of the measured time.
    #[must_use]
    pub fn share_of_time(&self, ns: u64) -> Option<f64> {
        (self.measured_s > 0.0).then(|| ns as f64 / (self.measured_s * 1e9))
    }

    /// Task lives that ended, by reap holds; none where holds were not measured, or are of another lock.
    #[must_use]
    pub fn lives(&self) -> Option<u64> {
        let tells = self.holds_known() && self.is_taken_by_each_task();
        tells.then(|| {
            self.site(Site::REAP)
                .and_then(|reap| reap.hold.as_ref())
                .map_or(0, Durations::count)
        })
    }

    /// A count by seconds of the measured time.
    #[must_use]
    pub fn per_second(&self, count: u64) -> Option<f64> {
        (self.measured_s > 0.0).then(|| count as f64 / self.measured_s)
    }

    /// Iterations of a bundled load: by its own account, else as far as it told on the way.
    #[must_use]
    pub fn iterations(&self) -> Option<u64> {
        let truth = self
            .footer
            .as_ref()
            .and_then(|footer| footer.ground_truth.as_ref());
        truth.map(|truth| truth.iterations).or_else(|| {
            let told = || self.series.iter().filter(|point| point.is_of_run());
            told().any(|point| point.iterations.is_some()).then(|| {
                told()
                    .filter_map(|point| point.iterations)
                    .fold(0, u64::saturating_add)
            })
        })
    }

    /// Iterations of a bundled load per second: without probes, where there are windows without.
    #[must_use]
    pub fn iterations_per_second(&self) -> Option<f64> {
        let bare = self.windows.of(WindowKind::Bare);
        let truth = self
            .footer
            .as_ref()
            .and_then(|footer| footer.ground_truth.as_ref());
        bare.and_then(|bare| bare.iterations_per_second())
            .or_else(|| truth?.per_second)
            .or_else(|| self.per_second(self.iterations()?))
    }

    fn over_writers(&self, number: fn(&Durations) -> u64) -> Option<u64> {
        self.holds_known().then(|| {
            let holds = self.sites.iter().filter(|site| site.site.is_writer());
            holds
                .filter_map(|site| site.hold.as_ref())
                .map(number)
                .fold(0, u64::saturating_add)
        })
    }
}

/// Whether a recording with this header has holds.
const fn holds_known(header: &Header) -> bool {
    matches!(header.tier, Tier::Exact | Tier::Bounded)
}

/// Whether a recording with this header has waits: not on the instruction clock, where CPUs are
/// switched in the middle of holds, and not where the tracepoints could not be attached.
fn waits_known(header: &Header) -> bool {
    let is_contention =
        |target: &str| target.ends_with("contention_begin") || target.ends_with("contention_end");
    let absent = header
        .attach
        .probes
        .iter()
        .any(|probe| is_contention(&probe.target) && probe.absent.is_some());
    !matches!(header.clock, Clock::Instructions)
        && !matches!(header.tier, Tier::Unsupported | Tier::Off)
        && !absent
}

/// Whether the waits for the target lock are to be looked for among those for all locks.
const fn waits_from_contention(header: &Header) -> bool {
    matches!(header.attach.method, Method::Wait) || matches!(header.tier, Tier::WaitOnly)
}
