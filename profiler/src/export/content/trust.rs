//! How far the numbers can be trusted: what is missing, what the measuring itself cost, and what
//! others counted.

use super::{Section, Topic};
use crate::{
    kernel::ByTask,
    profile::{GroundTruthCheck, Profile, SeriesPoint},
    recording::schema::{BudgetPlan, Calibration, Detail, Killed, NullHold, RunTime, Tier},
    span::is_program_of_span,
    units::{self, UNKNOWN},
};

/// What has to be said before any number.
pub(super) fn warnings(profile: &Profile) -> Vec<String> {
    let losses = &profile.losses;
    let mut all = Vec::new();
    if losses.void {
        all.push(format!(
            "VOID: {} ({} lost, {} seen; the limit is {}). Do not rely on the numbers below.",
            losses.missing(),
            units::count(losses.target_losses),
            units::count(losses.target_events),
            units::percent(losses.threshold),
        ));
    }
    if let Some(died) = profile.controls.died() {
        let why = profile.void_because().unwrap_or_default();
        all.push(if died.at_s <= 0.0 {
            format!("VOID: {why}. Do not rely on the numbers below.")
        } else {
            format!(
            "VOID: from {} after the attach on the probes saw nothing any more: {}. Do not rely on the numbers \
             below.",
            units::seconds(died.at_s),
            died.why
            )
        });
    }
    if profile.cut_short {
        let why = profile
            .killed
            .map_or_else(|| "the recording has no end".to_owned(), Killed::sentence);
        all.push(format!(
            "CUT SHORT: {why}; the numbers are those up to its last interval."
        ));
    }
    if profile.stopped_s > 0.0 {
        all.push(format!(
            "STOPPED: lockprof was stopped for {} in between, with nothing attached; nothing is known of \
             that time.",
            units::seconds(profile.stopped_s)
        ));
    }
    if !losses.not_written.is_empty() {
        all.push(format!(
            "INCOMPLETE: {} of the recording could not be written ({}); what was in them is missing.",
            units::count_of(losses.not_written.len(), "line"),
            losses.not_written[0]
        ));
    }
    if profile.intervals == 0 {
        let when = if profile.series.iter().any(SeriesPoint::is_of_run) {
            "before its first window with probes"
        } else {
            "before its measured time"
        };
        all.push(format!("Nothing was measured: the run ended {when}."));
    }
    all
}

/// What the measuring cost, what others counted, and what was lost.
pub(super) fn trust(profile: &Profile) -> Section {
    let mut page = Section::new(Topic::Trust, "How far to trust this");
    match profile.null_hold() {
        Some(measured) => page.field("null hold", null_hold(profile, measured)),
        None if profile.holds_known() && profile.is_followed_by_task() => page.field(
            "null hold",
            "not known: lockprof has no shortest hold of such a lock to measure what its probes add to one",
        ),
        None if profile.holds_known() => page.field("null hold", "not measured"),
        None => {}
    }
    if let Some(calibration) = &profile.calibration
        && !calibration.run_time.is_empty()
    {
        page.field("probes", run_time(profile, calibration));
    }
    page.field("own cost", own_cost(profile));
    if let Some(budget) = &profile.header.budget {
        let last = profile.footer.as_ref();
        let last = last.and_then(|footer| footer.budget.as_ref());
        page.field("budget", self::budget(budget, last));
    }
    if profile.header.tier != Tier::Off {
        page.field("precision", precision(profile));
    }
    if let Some(text) = samples(profile) {
        page.field("call stacks", text);
    }
    if let Some(text) = ground_truth(&profile.ground_truth, profile.losses.uncounted) {
        page.field("ground truth", text);
    }
    if profile.header.tier != Tier::Off {
        page.field("losses", losses(profile));
    }
    page
}

/// What was decided before anything was attached, and last: estimates, and said to be.
fn budget(first: &BudgetPlan, last: Option<&BudgetPlan>) -> String {
    let estimate = |budget: &BudgetPlan| {
        format!(
            "{}; in all {} of the machine; {}",
            budget.reason,
            units::percent(budget.expected),
            budget.costs
        )
    };
    let at_first = format!("before attaching, by estimate: {}", estimate(first));
    match last.filter(|last| *last != first) {
        None => at_first,
        Some(last) => format!("{at_first}. At the end: {}", estimate(last)),
    }
}

fn null_hold(profile: &Profile, null_hold: &NullHold) -> String {
    let unit = profile.unit();
    let spans = match profile.header.detail {
        Detail::Holds => "",
        // The holds are from windows without them.
        Detail::Spans if profile.span_windows.is_some() => "",
        Detail::Spans => ", and more for each call measured in it",
    };
    format!(
        "{} (mean of {}, median {}): a setsid() that fails at once; what the probes add to each \
         hold, as reported, is less than this{spans}; the real hold grows by more",
        unit.format(null_hold.mean_ns),
        units::count(null_hold.holds),
        unit.format(null_hold.p50_ns),
    )
}

fn run_time(profile: &Profile, calibration: &Calibration) -> String {
    let unit = profile.unit();
    let (spans, others): (Vec<&RunTime>, Vec<&RunTime>) = calibration
        .run_time
        .iter()
        .partition(|run| is_program_of_span(&run.program));
    let mut programs: Vec<String> = others
        .iter()
        .map(|run| format!("{} {}", run.program, unit.format(run.ns_per_run)))
        .collect();
    let runs: u64 = spans.iter().map(|run| run.runs).sum();
    if runs > 0 {
        let total_ns: f64 = spans
            .iter()
            .map(|run| run.ns_per_run * run.runs as f64)
            .sum();
        programs.push(format!(
            "the {} of spans {}",
            spans.len(),
            unit.format(total_ns / runs as f64)
        ));
    }
    // The control of a lock that is followed by task takes another one, with which they do nothing but compare its address.
    let mut runs = calibration.run_time.iter();
    let of_others = if runs.any(|run| ByTask::has_program(&run.program)) {
        "; runs of the lock's own programs were with other locks than this one"
    } else {
        ""
    };
    format!(
        "{} a run, without trampolines{of_others}",
        programs.join(", ")
    )
}

fn own_cost(profile: &Profile) -> String {
    // In a run with windows the daemon works most between them.
    let run = || profile.series.iter().filter(|point| point.is_of_run());
    let seconds: f64 = run().map(|point| point.seconds).sum();
    let cpu_s: f64 = run().map(|point| point.own_cpu_s).sum();
    let resident = run()
        .map(|point| point.own_resident_bytes)
        .max()
        .unwrap_or(0);
    let share = (seconds > 0.0).then(|| cpu_s / seconds);
    let steal_s: f64 = run().map(|point| point.steal_s).sum();
    let cpus = f64::from(profile.header.kernel.cpus_online) * seconds;
    let steal = if cpus <= 0.0 {
        UNKNOWN.to_owned()
    } else if steal_s <= 0.0 {
        // Not every hypervisor tells.
        "none reported".to_owned()
    } else {
        format!("{} of all CPUs", units::percent(steal_s / cpus))
    };
    format!(
        "{} of one CPU, {} resident; stolen by the hypervisor: {steal}",
        share.map_or_else(|| UNKNOWN.to_owned(), units::percent),
        units::bytes(resident),
    )
}

fn precision(profile: &Profile) -> String {
    let steps = units::percent(lockprof_abi::RELATIVE_ERROR);
    if profile.holds_known() {
        format!("means are exact; p50 and p99 within {steps}; other locks' within a third")
    } else {
        "means are exact; p50 and p99 within a third".to_owned()
    }
}

/// How many waits were sampled, and whether the callers that samples check are right.
fn samples(profile: &Profile) -> Option<String> {
    let samples = &profile.samples;
    profile.header.sample_every?;
    let mut parts = Vec::new();
    if samples.spinning > 0 {
        parts.push(format!(
            "of {} of {} spinning waits; those are counted, and in no length",
            units::count(samples.taken),
            units::count(samples.spinning),
        ));
    }
    if samples.sleeping > 0 {
        parts.push(format!(
            "of {} of {} sleeping waits",
            units::count(samples.walked),
            units::count(samples.sleeping),
        ));
    }
    let mut text = parts.join("; ");
    if text.is_empty() {
        return None;
    }
    if samples.wrong > 0 {
        text += &format!(
            "; {} of {} callers that they check are wrong ({})",
            units::count(samples.wrong),
            units::count(samples.checked),
            units::percent(samples.wrong_share().unwrap_or_default()),
        );
    }
    Some(text)
}

fn ground_truth(check: &GroundTruthCheck, uncounted: u64) -> Option<String> {
    let kernel = check
        .tasks_created_by_kernel
        .filter(|_| check.windows != Some(0))?;
    let when = check.windows.map_or_else(
        || "from attach to detach".to_owned(),
        |windows| {
            format!(
                "in {} with holds",
                units::count_of(windows as usize, "window")
            )
        },
    );
    let mut text = format!(
        "{when} the kernel created {}",
        units::count_of(kernel as usize, "task")
    );
    if let Some(load) = check.lives_by_load {
        text += &format!(", {} of them the load's", units::count(load));
    }
    if let (Some(fork), Some(exit), Some(reap)) =
        (check.fork_holds, check.exit_holds, check.reap_holds)
    {
        text += &format!(
            "; holds seen: fork {}{}, exit {}, reap {}",
            units::count(fork),
            match check.fork_difference() {
                // Of no task that was created it says nothing.
                Some(0) if kernel > 0 => " (all)".to_owned(),
                Some(0) => String::new(),
                Some(difference) => format!(" ({difference:+})"),
                None => String::new(),
            },
            units::count(exit),
            units::count(reap),
        );
    }
    if uncounted > 0 {
        text += &format!(
            "; at least {} holds of fork were neither seen nor counted as lost",
            units::count(uncounted)
        );
    } else if let Some(windows) = check.windows {
        text += &format!(
            "; they may differ by the tasks that were being created at {} edges",
            units::count(windows.saturating_mul(2))
        );
    }
    Some(text)
}

fn losses(profile: &Profile) -> String {
    let losses = &profile.losses;
    let happened: Vec<String> = losses
        .happened()
        .map(|(name, count)| format!("{name} {}", units::count(count)))
        .collect();
    let kinds = losses.kinds_counted();
    let mut text = if happened.is_empty() && losses.uncounted > 0 {
        format!("none of {kinds} kinds was counted, and the kernel's count of tasks proves some")
    } else if happened.is_empty() && losses.target_events == 0 {
        // What sees nothing loses nothing.
        format!(
            "none of {kinds} kinds was counted, and nothing of the lock was seen that could be lost"
        )
    } else if happened.is_empty() {
        format!("none of the {kinds} kinds that this kernel lets us count")
    } else {
        let of_target = match losses.target_losses {
            0 if losses.target_events == 0 => "nothing of the lock was seen".to_owned(),
            0 if losses.unknown_of_target() => {
                "none counted of the lock's holds and waits".to_owned()
            }
            0 => "none of the lock's holds and waits".to_owned(),
            _ => format!(
                "{} of the lock's holds and waits{}",
                units::percent(losses.share()),
                losses.judged_of.map_or("", |_| " in the windows of spans")
            ),
        };
        format!("{} ({of_target})", happened.join(", "))
    };
    let unknown: Vec<&str> = losses.unknown().collect();
    if !unknown.is_empty() {
        text += &format!(
            "; unknown: runs of {} that the kernel refused",
            unknown.join(", ")
        );
    }
    text
}
