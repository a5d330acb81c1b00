//! What recordings add up to.

use lockprof::{
    profile::Scale,
    recording::schema::{Line, Phase, Tier},
};
use lockprof_abi::{Site, Span};

use crate::fixture::{Synthetic, profile_of};

#[test]
fn only_the_measured_time_is_in_the_results() {
    let synthetic = Synthetic::default();
    let profile = synthetic.profile();
    let per_interval = u64::from(synthetic.cpus * synthetic.holds);
    assert_eq!(profile.intervals, 3);
    assert_eq!(profile.measured_s, 3.0);
    assert_eq!(profile.lives(), Some(3 * per_interval));
    assert_eq!(profile.write_holds(), Some(9 * per_interval));
    // From attach to detach, the warm-up is there.
    assert_eq!(
        profile.attached.holds.as_ref().unwrap()[&Site::Reap],
        4 * per_interval
    );
    assert_eq!(
        profile.attached.spans[&Span::FreePid].calls_in_hold,
        4 * per_interval
    );
    assert_eq!(
        profile.attached.spans[&Span::AddDeviceRandomness].calls,
        8 * per_interval
    );
    assert_eq!(profile.ground_truth.fork_difference(), Some(0));
    assert_eq!(profile.series.len(), 4);
}

#[test]
fn cpus_and_sites_have_the_same_sum() {
    let profile = Synthetic {
        cpus: 24,
        ..Synthetic::default()
    }
    .profile();
    let cpus: u64 = profile.cpus.iter().map(|cpu| cpu.holds).sum();
    assert_eq!(profile.write_holds(), Some(cpus));
    let held: u64 = profile.cpus.iter().map(|cpu| cpu.held_ns).sum();
    assert_eq!(profile.held_ns(), Some(held));
    for point in &profile.series {
        let shares: f64 = point.cpus.iter().map(|cpu| cpu.held).sum();
        assert!((shares - point.held_share().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn the_longest_of_all_intervals_and_cpus_is_kept() {
    let profile = Synthetic {
        cpus: 4,
        intervals: 9,
        ..Synthetic::default()
    }
    .profile();
    let reap = profile.site(Site::Reap).unwrap();
    let longest = reap.longest_hold.as_ref().unwrap();
    assert_eq!(reap.hold.as_ref().unwrap().longest_ns, Some(longest.ns));
    let (low, high, _) = reap
        .hold
        .as_ref()
        .unwrap()
        .histogram
        .buckets()
        .last()
        .unwrap();
    assert!((low..high).contains(&longest.ns));
}

#[test]
fn without_probes_the_target_is_found_by_the_stacks_of_its_waits() {
    let profile = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    }
    .profile();
    let sites: Vec<Site> = profile.sites.iter().map(|site| site.site).collect();
    assert_eq!(sites, [Site::Reap, Site::Fork]);
    let reap = profile.site(Site::Reap).unwrap();
    assert_eq!(reap.hold, None);
    let wait = reap.wait.as_ref().unwrap();
    assert_eq!((wait.count(), wait.mean_ns()), (120, Some(24_000.0)));
    assert_eq!(wait.histogram.scale(), Scale::Octaves);
    assert_eq!(profile.losses.target_events, 195);
    let targets: Vec<&str> = profile
        .contention
        .iter()
        .filter(|wait| wait.is_target)
        .filter_map(|wait| wait.caller.as_deref())
        .collect();
    assert_eq!(targets, ["release_task", "copy_process"]);
}

#[test]
fn losses_of_the_measured_time_make_a_run_void() {
    for (phase, void) in [(Phase::WarmUp, false), (Phase::Measured, true)] {
        let mut lines = Synthetic::default().lines();
        for line in &mut lines {
            if let Line::Interval(interval) = line
                && interval.phase == phase
            {
                interval.losses.insert("hold_without_start".into(), 1);
            }
        }
        assert_eq!(profile_of(lines).void(), void);
    }
}

#[test]
fn a_recording_with_nothing_measured_is_no_division_by_zero() {
    let mut lines = Synthetic::default().lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.phase = Phase::WarmUp;
            interval.seconds = 0.0;
        }
    }
    let profile = profile_of(lines);
    assert_eq!(profile.held_share(), None);
    assert_eq!(profile.lives(), Some(0));
    assert!(profile.sites.is_empty());
}
