//! Whole distributions beside each other, quantile by quantile.

use std::collections::BTreeSet;

use super::{Instruments, Samples, setting::Instrument};
use crate::{
    profile::Durations,
    recording::schema::Kind,
    site::Site,
    statistics::{Interval, Resampler, median},
};

/// The quantiles that are compared.
pub const SHARES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999];
/// A quantile is compared where this many events of each boot lie beyond it.
const EVENTS_BEYOND: f64 = 2.0;

/// The holds or waits of one site on both sides.
#[derive(Clone, Debug)]
pub struct DistributionPair {
    /// The site.
    pub site: Site,
    /// Holds or waits.
    pub kind: Kind,
    /// All boots of each side together, null holds included.
    pub all: [Durations; 2],
    /// Quantile by quantile.
    pub quantiles: Vec<QuantilePair>,
}

/// One quantile on both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantilePair {
    /// The share of durations that are at most as long.
    pub share: f64,
    /// The median over the boots of each side, within the histogram's error.
    pub ns: [f64; 2],
    /// From the first to the second, as a share of the first.
    pub change: f64,
    /// Where the change lies, with 95 % confidence.
    pub interval: Option<Interval>,
}

/// Every site's holds and waits that both sides have.
#[must_use]
pub fn distributions(
    instruments: Instruments,
    sides: [&Samples<'_>; 2],
    resampler: &mut Resampler,
) -> Vec<DistributionPair> {
    let mut pairs = Vec::new();
    for (kind, instrument) in [
        (Kind::Hold, instruments.holds),
        (Kind::Wait, instruments.waits),
    ] {
        let Some(instrument) = instrument else {
            continue;
        };
        let sites: BTreeSet<Site> = sides
            .iter()
            .flat_map(|side| side.totals(instrument))
            .flat_map(|totals| totals.holds.keys().chain(totals.waits.keys()))
            .copied()
            .collect();
        for site in sites {
            let of_boots = sides.map(|side| durations(side, instrument, site, kind));
            let [Some(before), Some(after)] = [pool(&of_boots[0]), pool(&of_boots[1])] else {
                continue;
            };
            let quantiles = SHARES
                .iter()
                .filter_map(|&share| quantile(share, &of_boots, resampler))
                .collect();
            pairs.push(DistributionPair {
                site,
                kind,
                all: [before, after],
                quantiles,
            });
        }
    }
    pairs
}

fn durations<'a>(
    side: &Samples<'a>,
    instrument: Instrument,
    site: Site,
    kind: Kind,
) -> Vec<&'a Durations> {
    let of_kind = side.totals(instrument).filter_map(|totals| match kind {
        Kind::Hold => totals.holds.get(&site),
        Kind::Wait => totals.waits.get(&site),
    });
    of_kind.filter(|durations| durations.count() > 0).collect()
}

fn pool(boots: &[&Durations]) -> Option<Durations> {
    let (first, rest) = boots.split_first()?;
    let mut all = (*first).clone();
    for durations in rest {
        all.merge(durations);
    }
    Some(all)
}

fn quantile(
    share: f64,
    boots: &[Vec<&Durations>; 2],
    resampler: &mut Resampler,
) -> Option<QuantilePair> {
    let of_boots = |boots: &Vec<&Durations>| -> Vec<f64> {
        let enough = boots.iter().filter(|durations| {
            let beyond = share.min(1.0 - share) * durations.count() as f64;
            beyond >= EVENTS_BEYOND
        });
        enough
            .filter_map(|durations| durations.quantile_ns(share))
            .collect()
    };
    let [before, after] = [of_boots(&boots[0]), of_boots(&boots[1])];
    // One boot is no sample.
    if before.len() < 2 || after.len() < 2 {
        return None;
    }
    let (old, new) = median(&before).zip(median(&after))?;
    (old > 0.0).then(|| QuantilePair {
        share,
        ns: [old, new],
        change: new / old - 1.0,
        interval: resampler.change(&before, &after),
    })
}
