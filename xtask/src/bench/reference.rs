//! lockprof's lengths beside those that the plugin counts of the same holds, in one boot: what is reported less
//! what is counted is the same at each site.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lab::vm::Clock;
use lab::vm::protocol::{GuestScript, Step};
use serde_json::Value;

use super::hold_counter::{self, CountedHold};
use super::laboratory::Laboratory;
use super::loads;
use super::observer::Observer;
use super::results::{Lengths, SiteLengths};
use super::script::Settle;
use super::symbols::{NO_RANDOM_ADDRESSES, Symbols, marked};
use crate::guest::round::{self, Lab};
use crate::guest::summary::Summary;

/// Holds at each site.
const HOLDS: &str = "10000";
/// Sites, and the functions that call the lock's there.
const SITES: [(&str, &[&str]); 4] = [
    ("fork", &["copy_process"]),
    ("exit", &["do_exit", "exit_notify"]),
    ("reap", &["release_task"]),
    (CONSTANT, &["ksys_setsid"]),
];
/// The site whose difference is that of all: nothing is done in its holds.
const CONSTANT: &str = "setsid";
/// How far a site's mean may be off, as a share of it.
const MEAN_WITHIN: f64 = 0.02;
/// Sections of the script.
const SECTIONS: usize = 4;
/// Quantiles that are compared.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// The functions whose addresses are needed.
pub fn functions() -> impl Iterator<Item = &'static str> {
    SITES
        .iter()
        .flat_map(|(_, functions)| functions.iter().copied())
}

/// One boot with lockprof in one of its forms.
pub fn run(
    laboratory: &Laboratory,
    lab: &Lab<'_>,
    symbols: &Symbols,
    observer: &Observer,
) -> Result<Vec<SiteLengths>> {
    let load = |workload| {
        marked(loads::step(workload, 1, "0", &["--iterations", HOLDS]))
            .delay(Settle::INSTRUCTIONS.load)
    };
    let blank = || marked(Step::default());
    let steps = vec![
        Step::default().delay(Settle::INSTRUCTIONS.boot),
        observer.step(),
        Step::default().delay(Settle::INSTRUCTIONS.observer),
        load("threadspawn"),
        blank(),
        load("nullhold"),
        blank(),
        Step::ending(1, libc::SIGINT),
    ];
    let mut request = laboratory.request(lab, Vec::new());
    request.script = GuestScript::of(steps);
    request.cpus = 1;
    request.clock = Clock::Instructions;
    request.append.push(NO_RANDOM_ADDRESSES.to_owned());
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let [sections, holds] = ["sections", "holds"].map(|name| folder.path().join(name));
    let plugin = laboratory.hold_counter.as_deref();
    let plugin = plugin.map_err(|why| anyhow::anyhow!("{why}"))?;
    let functions = symbols.hold_counter_arguments();
    let functions = functions.context("the kernel has not all that the hold counter needs")?;
    let argument = hold_counter::argument(plugin, &functions, &sections);
    request.plugin = Some(hold_counter::with_holds(&argument, &holds));
    let outcome = round::succeed(&request).context("a boot beside the hold counter failed")?;
    // The loads have the first and the third of the script's own sections.
    let all = hold_counter::read_all(&sections)?.len();
    let first = all.checked_sub(SECTIONS);
    let first = first.context("the hold counter saw too few sections")?;
    let counted = hold_counter::read_holds(&holds)?;
    let counted = by_site(&counted, symbols, [first, first + 2]);
    let name = observer.recording.as_deref();
    let summary = Summary::of(lab, &outcome, name.context("no recording")?)?;
    let found = SITES.iter().map(|(site, _)| {
        let lengths = counted.get(site).map(Vec::as_slice).unwrap_or_default();
        let row = summary.rows("/sites")?.iter();
        let mut row = row.filter(|row| row["name"] == **site);
        let row = row.next().with_context(|| format!("no holds of {site}"))?;
        Ok::<_, anyhow::Error>(SiteLengths {
            site: (*site).to_owned(),
            counted: counted_lengths(lengths),
            reported: reported_lengths(row)?,
            relative_error: row["hold_ns"]["relative_error"].as_f64().unwrap_or(0.0),
        })
    });
    found.collect()
}

/// Lengths of the holds of some sections, by site.
fn by_site(
    holds: &[CountedHold],
    symbols: &Symbols,
    sections: [usize; 2],
) -> BTreeMap<&'static str, Vec<u64>> {
    let mut lengths: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for hold in holds.iter().filter(|hold| sections.contains(&hold.section)) {
        let mut sites = SITES.iter().filter(|(_, functions)| {
            functions
                .iter()
                .any(|function| symbols.has_address(function, hold.caller))
        });
        if let Some((site, _)) = sites.next() {
            lengths.entry(site).or_default().push(hold.held);
        }
    }
    for lengths in lengths.values_mut() {
        lengths.sort_unstable();
    }
    lengths
}

fn counted_lengths(sorted: &[u64]) -> Lengths {
    let at = |share: f64| {
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted
            .get(place.saturating_sub(1))
            .map_or(0.0, |length| *length as f64)
    };
    let sum: u64 = sorted.iter().sum();
    Lengths {
        holds: sorted.len() as u64,
        mean: sum as f64 / (sorted.len() as f64).max(1.0),
        quantiles: QUANTILES.map(|(_, share)| at(share)).to_vec(),
    }
}

fn reported_lengths(row: &Value) -> Result<Lengths> {
    let of = |name: &str| {
        let value = row["hold_ns"][name].as_f64();
        value.with_context(|| format!("no {name} in {row:.80}"))
    };
    Ok(Lengths {
        holds: row["holds"].as_u64().unwrap_or(0),
        mean: of("mean")?,
        quantiles: QUANTILES
            .iter()
            .map(|(name, _)| of(name))
            .collect::<Result<_>>()?,
    })
}

/// Fails where what is reported less what is counted is not the same at each site.
pub fn check(sites: &[SiteLengths]) -> Result<()> {
    let difference = |site: &SiteLengths| site.reported.mean - site.counted.mean;
    let constant = sites.iter().find(|site| site.site == CONSTANT);
    let constant = difference(constant.context("no null holds")?);
    for site in sites {
        let off = difference(site) - constant;
        if off.abs() > MEAN_WITHIN * site.counted.mean {
            bail!(
                "{}: reported {:.1} and counted {:.1} instructions, where {CONSTANT} differs by {constant:.1}",
                site.site,
                site.reported.mean,
                site.counted.mean
            );
        }
        let quantiles = site.reported.quantiles.iter().zip(&site.counted.quantiles);
        for ((reported, counted), (name, _)) in quantiles.zip(QUANTILES) {
            let expected = counted + constant;
            // To the end of its bucket, and of the next one where it lies at the border.
            if (reported - expected).abs() > expected * site.relative_error {
                bail!(
                    "{}: {name} reported {reported:.0}, counted {counted:.0} instructions",
                    site.site
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, counted: f64, reported: f64) -> SiteLengths {
        let lengths = |mean: f64| Lengths {
            holds: 10_000,
            mean,
            quantiles: vec![mean; QUANTILES.len()],
        };
        SiteLengths {
            site: name.to_owned(),
            counted: lengths(counted),
            reported: lengths(reported),
            relative_error: 0.125,
        }
    }

    #[test]
    fn a_site_that_differs_by_more_than_a_null_hold_is_found() {
        let setsid = site("setsid", 560.0, 230.0);
        assert!(check(&[setsid.clone(), site("fork", 1000.0, 680.0)]).is_ok());
        let error = check(&[setsid.clone(), site("fork", 1000.0, 700.0)]).unwrap_err();
        assert!(
            error.to_string().starts_with("fork: reported 700.0"),
            "{error}"
        );
        let mut tail = site("fork", 1000.0, 670.0);
        tail.reported.quantiles[2] = 800.0;
        let error = check(&[setsid, tail]).unwrap_err().to_string();
        assert!(error.contains("p99 reported 800, counted 1000"), "{error}");
        assert!(check(&[site("fork", 1.0, 1.0)]).is_err());
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_lengths() {
        let lengths: Vec<u64> = (1..=100).collect();
        let found = counted_lengths(&lengths);
        assert_eq!(found.quantiles, [50.0, 90.0, 99.0]);
        assert_eq!((found.holds, found.mean), (100, 50.5));
    }
}
