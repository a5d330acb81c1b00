//! By which instrument each kind of number is compared.

use super::{LEVEL, Samples, setting::Instrument};
use crate::{
    recording::schema::{Detail, Method, Tier},
    statistics::smallest_p,
};

/// The main questions of a setting: boots that can answer these at once are enough.
const MAIN_QUESTIONS: f64 = 3.0;

/// By which instrument each kind of number is compared: one that both sides have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruments {
    /// Nothing attached.
    pub bare: Option<Instrument>,
    /// With probes: the one that disturbs holds least, of those with boots enough for a verdict.
    pub probed: Option<Instrument>,
    /// For holds: the same, where it sees them.
    pub holds: Option<Instrument>,
    /// For waits: the same, where both sides know them and their kernels spin in one way.
    pub waits: Option<Instrument>,
    /// For spans.
    pub spans: Option<Instrument>,
}

impl Instruments {
    /// The best that both sides have.
    #[must_use]
    pub fn common(before: &Samples<'_>, after: &Samples<'_>) -> Self {
        let common = &before.instruments() & &after.instruments();
        let sides = [before, after];
        let best = |instrument: &&Instrument| {
            let [old, new] = sides.map(|side| side.totals(**instrument).count());
            (
                matches!(instrument.tier, Tier::Exact),
                // Without them a few recordings of another kind would hide all others.
                smallest_p(old, new) * MAIN_QUESTIONS <= LEVEL,
                matches!(instrument.detail, Detail::Holds),
                matches!(instrument.method, Method::Fentry),
                !instrument.readers,
                !instrument.cgroups,
                old.min(new),
            )
        };
        let probing = || common.iter().filter(|instrument| !instrument.is_off());
        let with_spans = |instrument: &&Instrument| {
            instrument.tier == Tier::Exact && instrument.detail == Detail::Spans
        };
        let knows_waits = |instrument: &Instrument| {
            sides.iter().all(|side| {
                let mut totals = side.totals(*instrument);
                totals.any(|totals| totals.waits_of.is_known())
            })
        };
        let probed = probing().max_by_key(best).copied();
        Self {
            bare: common
                .iter()
                .copied()
                .find(|instrument| instrument.is_off()),
            probed,
            holds: probed.filter(|probed| probed.sees_holds()),
            waits: probed.filter(|probed| spin_in_one_way(sides) && knows_waits(probed)),
            spans: probing().filter(with_spans).max_by_key(best).copied(),
        }
    }
}

/// Whether the waits that the tracepoints show are the same kind of waits in all boots.
pub fn spin_in_one_way(sides: [&Samples<'_>; 2]) -> bool {
    let [before, after] = sides.map(Samples::spin_waits_invisible);
    before == after && before.len() <= 1
}
