//! A recording with windows is one of each of its kinds of windows.

use std::collections::BTreeMap;

use super::{Instrument, Totals, totals::done};
use crate::{
    profile::Profile,
    recording::schema::{Detail, Method, Tier, WindowKind},
    site::Site,
    work_unit::WorkUnit,
};

/// Adds a recording to the runs of its boot: under its instrument as a whole, or, where it has windows,
/// the windows of each kind under that which they are like.
pub(super) fn add(profile: &Profile, unit: WorkUnit, runs: &mut BTreeMap<Instrument, Totals>) {
    let whole = Instrument::of(&profile.header);
    if profile.header.windows.is_none() {
        runs.entry(whole).or_default().add(profile, unit);
        return;
    }
    if let Some(bare) = profile.windows.of(WindowKind::Bare) {
        let off = Instrument {
            tier: Tier::Off,
            method: Method::Off,
            detail: Detail::Holds,
            readers: false,
            cgroups: false,
        };
        let totals = runs.entry(off).or_default();
        let rate = bare.iterations_per_second();
        totals.add_run(profile, bare.seconds, rate);
        totals.work += done(unit, bare.tasks_created, bare.seconds, rate);
    }
    let rate = |kind| profile.windows.of(kind)?.iterations_per_second();
    if profile.instead() == Some(WindowKind::Waits) {
        // It is one of waits alone, and says nothing of holds.
        let waits = Instrument {
            tier: Tier::WaitOnly,
            method: Method::Wait,
            ..whole
        };
        let totals = runs.entry(waits).or_default();
        totals.add_results(profile, unit, rate(WindowKind::Waits));
        return;
    }
    let Some(windows) = &profile.span_windows else {
        // All that has probes is of one kind.
        let kinds = [WindowKind::Holds, WindowKind::Waits, WindowKind::Spans];
        let totals = runs.entry(whole).or_default();
        let basis = totals.add_results(profile, unit, kinds.into_iter().find_map(rate));
        totals.add_inside(profile, &basis);
        return;
    };
    let holds = Instrument {
        detail: Detail::Holds,
        ..whole
    };
    let totals = runs.entry(holds).or_default();
    totals.add_results(profile, unit, rate(WindowKind::Holds));
    if windows.seconds > 0.0 {
        let totals = runs.entry(whole).or_default();
        let rate = rate(WindowKind::Spans);
        totals.add_run(profile, windows.seconds, rate);
        let reaps = profile.holds_of_spans(Site::REAP);
        let ended = reaps.map_or(0, |reaps| reaps.count());
        let work = done(unit, ended, windows.seconds, rate);
        let basis = totals.add_holds(profile, &windows.sites, (work, unit));
        totals.add_inside(profile, &basis);
    }
}
