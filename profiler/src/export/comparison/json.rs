//! A comparison for programs.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::ComparisonReport;
use crate::{
    compare::{
        Comparison, DistributionPair, EveryLock, Finding, Instrument, LEVEL, LockRow, Placement,
        Quantity, SMALLEST_CHANGE, SettingComparison, Side, sentence,
    },
    recording::schema::{Kind, LockFamily},
    units::TimeUnit,
    work_unit::WorkUnit,
};

/// The form of this file.
const SCHEMA: u32 = 1;

pub(super) fn export(report: &ComparisonReport) -> Result<Vec<u8>> {
    let comparisons: Vec<Value> = report.comparisons.iter().map(comparison).collect();
    let value = json!({
        "schema": SCHEMA,
        "level": LEVEL,
        "smallest_change": SMALLEST_CHANGE,
        "notes": report.notes,
        "comparisons": comparisons,
        "forecast": report.forecast.as_ref().ok(),
        "no_forecast": report.forecast.as_ref().err(),
    });
    let mut bytes = serde_json::to_vec_pretty(&value).context("cannot write JSON")?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn comparison(comparison: &Comparison) -> Value {
    json!({
        "before": side(&comparison.before),
        "after": side(&comparison.after),
        "verdict": sentence(comparison),
        "differences": comparison.differences,
        "settings": comparison.settings.iter().map(setting).collect::<Value>(),
    })
}

fn side(side: &Side) -> Value {
    let kernels = side.kernels.iter().map(|kernel| {
        json!({
            "release": kernel.release,
            "version": kernel.version,
            "config_hash": kernel.config_hash,
            "cpu_model": kernel.cpu_model,
        })
    });
    json!({
        "name": side.name,
        "kernels": kernels.collect::<Value>(),
        // It is one of tasklist_lock.
        "deferral": side.tells_lives().then(|| side.deferral()),
        "boots": side.boot_ids(),
        "unused": side.unused,
        "cautions": side.cautions,
    })
}

fn setting(setting: &SettingComparison) -> Value {
    let answers = &setting.answers;
    let described = &answers.setting;
    let unit = described.unit;
    let instruments = answers.instruments;
    let name = |instrument: Option<Instrument>| instrument.map(Instrument::describe);
    json!({
        "clock": described.clock,
        "unit": TimeUnit::of(described.clock).name(),
        "cpus": described.cpus,
        "lock": described.lock,
        "load": described.load,
        "divided_by": unit,
        "boots": answers.boots,
        "instruments": {
            "bare": name(instruments.bare),
            "holds": name(instruments.holds),
            "waits": name(instruments.waits),
            "spans": name(instruments.spans),
        },
        "every_lock": answers.every_lock.as_ref().map(every_lock),
        "findings": answers.findings().map(|one| finding(one, unit)).collect::<Value>(),
        "placements": setting.placements.iter().map(|one| placement(one, unit)).collect::<Value>(),
        "distributions": setting.distributions.iter().map(distribution).collect::<Value>(),
    })
}

/// What the findings do not say of all locks.
fn every_lock(locks: &EveryLock) -> Value {
    let rows = |rows: &[LockRow]| -> Value {
        let rows = rows.iter().map(|row| {
            let class = row.class();
            let caller = match &row.quantity {
                Quantity::LockCaller(_, caller, _) => Some(caller),
                _ => None,
            };
            json!({
                "quantity": row.quantity.key(WorkUnit::Second),
                "class": class.map(|class| &class.name),
                "kind": class.and_then(|class| class.family).map(LockFamily::name),
                "caller": caller,
                "share_of_waiting": row.share,
                "seen_ns_per_s": row.seen,
                "not_compared": row.outcome.as_ref().err(),
            })
        });
        rows.collect()
    };
    json!({
        "sample": locks.sampled,
        "samples": locks.samples,
        "all_not_compared": locks.all_unknown,
        "classes": rows(&locks.classes),
        "other_classes": locks.others.as_ref().map(|(_, count)| count),
        "callers": rows(&locks.callers),
    })
}

fn finding(finding: &Finding, unit: WorkUnit) -> Value {
    json!({
        "quantity": finding.quantity.key(unit),
        "instrument": finding.instrument.describe(),
        "before": sample(&finding.before),
        "after": sample(&finding.after),
        "change": finding.change,
        "interval": finding.interval,
        "u": finding.test.map(|test| test.u),
        "p": finding.test.map(|test| test.p),
        "superiority": finding.test.map(|test| test.superiority),
        "corrected_p": finding.corrected_p,
        "verdict": finding.verdict,
    })
}

fn sample(sample: &crate::compare::Sample) -> Value {
    json!({
        "values": sample.values,
        "median": sample.median,
        "mean": sample.mean,
        "relative_deviation": sample.deviation,
    })
}

fn placement(placement: &Placement, unit: WorkUnit) -> Value {
    let by_unit = format!("in_hold_per_{}", unit.key());
    let [before, after] = placement.calls.map(|calls| {
        json!({
            "calls": calls.known().map(|calls| calls.all),
            "in_hold": calls.known().map(|calls| calls.in_hold),
            "in_reap_hold": calls.known().map(|calls| calls.in_reap),
            "share_in_hold": calls.share(),
            by_unit.as_str(): calls.in_hold_per_unit(),
        })
    });
    json!({"span": placement.span.name(), "before": before, "after": after})
}

fn distribution(pair: &DistributionPair) -> Value {
    let quantiles = pair.quantiles.iter().map(|quantile| {
        json!({
            "share": quantile.share,
            "before": quantile.ns[0],
            "after": quantile.ns[1],
            "change": quantile.change,
            "interval": quantile.interval,
        })
    });
    json!({
        "site": pair.site.name(),
        "kind": match pair.kind { Kind::Hold => "hold", Kind::Wait => "wait" },
        "quantiles": quantiles.collect::<Value>(),
    })
}
