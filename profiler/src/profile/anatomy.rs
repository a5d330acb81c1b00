//! What the holds of a site are spent on. The parts add up to the holds.

use super::{Profile, SiteProfile, symbol_of};

use crate::{site::Site, span::Span};

/// The holds of one site, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Anatomy {
    /// The site.
    pub site: Site,
    /// Its holds.
    pub holds: u64,
    /// Their time.
    pub total_ns: u64,
    /// What it was spent on: calls, the longest first, then waits, then the rest. Their times add up
    /// to `total_ns`.
    pub parts: Vec<Part>,
    /// Time of calls beyond that of the holds, cut off: calls are read a moment before or after the
    /// holds that they are in.
    pub excess_ns: u64,
}

/// Some of the time of holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub what: What,
    /// Its time, with all that is inside it.
    pub ns: u64,
    /// Calls or waits, where it is one.
    pub count: Option<u64>,
    /// What is inside it: together at most as long.
    pub inside: Vec<Part>,
}

/// What the time of a hold is spent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A call.
    Span(Span),
    /// Waiting for another lock, by name or address.
    InnerWait(String),
    /// The holder's own work: whatever is not measured apart.
    OwnWork,
}

impl Part {
    /// Its time without that of what is inside it.
    #[must_use]
    pub fn own_ns(&self) -> u64 {
        let inside = self.inside.iter().map(|part| part.ns);
        self.ns.saturating_sub(inside.fold(0, u64::saturating_add))
    }
}

impl Anatomy {
    /// Every call with its own time and every wait, the longest first: the same kind together,
    /// wherever it happened.
    #[must_use]
    pub fn by_own_time(&self) -> Vec<(&What, u64)> {
        fn add<'a>(parts: &'a [Part], all: &mut Vec<(&'a What, u64)>) {
            for part in parts.iter().filter(|part| part.what != What::OwnWork) {
                match all.iter_mut().find(|(what, _)| **what == part.what) {
                    Some((_, sum)) => *sum = sum.saturating_add(part.own_ns()),
                    None => all.push((&part.what, part.own_ns())),
                }
                add(&part.inside, all);
            }
        }
        let mut all = Vec::new();
        add(&self.parts, &mut all);
        all.sort_by_key(|(_, own_ns)| std::cmp::Reverse(*own_ns));
        all
    }
}

/// The holds of every site that has any, taken apart; the site that held the lock longest first.
#[must_use]
pub fn anatomies(profile: &Profile) -> Vec<Anatomy> {
    let sites = profile.sites_of_spans().iter();
    let writers = sites.filter(|site| site.site.is_writer());
    writers.filter_map(|site| anatomy(profile, site)).collect()
}

fn anatomy(profile: &Profile, site: &SiteProfile) -> Option<Anatomy> {
    let hold = site.hold.as_ref().filter(|hold| hold.count() > 0)?;
    let mut parts = spans(profile, site.site);
    waits(profile, site.site, &mut parts);
    parts.sort_by_key(|part| (part.is_wait(), std::cmp::Reverse(part.ns)));
    let (excess_ns, own_ns) = fit(&mut parts, hold.total_ns);
    parts.push(Part {
        what: What::OwnWork,
        ns: own_ns,
        count: None,
        inside: Vec::new(),
    });
    parts.retain(|part| part.ns > 0);
    Some(Anatomy {
        site: site.site,
        holds: hold.count(),
        total_ns: hold.total_ns,
        parts,
        excess_ns,
    })
}

impl Part {
    const fn is_wait(&self) -> bool {
        matches!(self.what, What::InnerWait(_))
    }
}

/// The calls in the holds of a site. One that contains others has them inside, as far as its own
/// time leaves room for them.
fn spans(profile: &Profile, site: Site) -> Vec<Part> {
    let of_site = || profile.spans.iter().filter(|span| span.site == Some(site));
    let mut parts: Vec<Part> = of_site()
        .filter_map(|span| {
            Some(Part {
                what: What::Span(span.span),
                ns: span.in_hold_ns?,
                count: Some(span.calls),
                inside: Vec::new(),
            })
        })
        .collect();
    for span in of_site() {
        let mut room = match (span.in_hold_ns, span.self_ns) {
            (Some(in_hold), Some(own)) => in_hold.saturating_sub(own),
            _ => 0,
        };
        for &inner in span.span.contained() {
            let Some(index) = parts.iter().position(|part| part.what == What::Span(inner)) else {
                continue;
            };
            let nested_ns = parts[index].ns.min(room);
            if nested_ns == 0 {
                continue;
            }
            room -= nested_ns;
            let mut nested = parts[index].clone();
            nested.ns = nested_ns;
            // What is left happened elsewhere in the hold.
            if parts[index].ns == nested_ns {
                parts.remove(index);
            } else {
                parts[index].ns -= nested_ns;
                // How many of the calls were where is not known.
                parts[index].count = None;
                nested.count = None;
            }
            let outer = What::Span(span.span);
            if let Some(outer) = parts.iter_mut().find(|part| part.what == outer) {
                outer.inside.push(nested);
            }
        }
        // In other calls, which are parts of their own: nothing is counted twice.
        let outer = What::Span(span.span);
        if let Some(outer) = parts.iter_mut().find(|part| part.what == outer) {
            outer.ns = outer.ns.saturating_sub(room);
        }
    }
    parts
}

/// Adds the waits for other locks: inside the call that takes the lock for itself, where there is
/// one with so much time, else to the hold.
fn waits(profile: &Profile, site: Site, parts: &mut Vec<Part>) {
    let waits = profile.inner_waits.iter();
    for wait in waits.filter(|wait| wait.in_hold_of == Some(site)) {
        let part = Part {
            what: What::InnerWait(wait.lock()),
            ns: wait.waits.total_ns,
            count: Some(wait.waits.count()),
            inside: Vec::new(),
        };
        match taker(parts, wait.name.as_deref()) {
            Some(taker) if taker.own_ns() >= part.ns => taker.inside.push(part),
            _ => parts.push(part),
        }
    }
}

/// The call that takes a lock for itself. A lock inside a structure has the structure's name and an
/// offset: `input_pool+0x78`.
fn taker<'a>(parts: &'a mut [Part], lock: Option<&str>) -> Option<&'a mut Part> {
    let lock = lock?;
    for part in parts {
        let takes =
            matches!(part.what, What::Span(span) if span.own_lock() == Some(symbol_of(lock)));
        if takes {
            return Some(part);
        }
        if let Some(taker) = taker(&mut part.inside, Some(lock)) {
            return Some(taker);
        }
    }
    None
}

/// Cuts off what the parts have beyond the hold, the longest first; what they exceed it by, and what
/// the hold has beyond them.
fn fit(parts: &mut [Part], total_ns: u64) -> (u64, u64) {
    let sum = parts
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(part.ns));
    let excess = sum.saturating_sub(total_ns);
    let mut left = excess;
    for part in parts.iter_mut() {
        let cut = left.min(part.ns);
        part.ns -= cut;
        left -= cut;
        trim(part);
    }
    (excess, total_ns.saturating_sub(sum))
}

/// Leaves no more inside a part than it has itself.
fn trim(part: &mut Part) {
    let mut room = part.ns;
    for inner in &mut part.inside {
        inner.ns = inner.ns.min(room);
        room -= inner.ns;
        trim(inner);
    }
    part.inside.retain(|inner| inner.ns > 0);
}
