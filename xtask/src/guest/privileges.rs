//! Without root: what a few capabilities are enough for.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;
use rustix::thread::CapabilitySet;
use serde_json::Value;

use super::round::{Lab, Verdict, run, run_in_windows};
use super::summary::{Summary, equal};

/// To load and attach programs.
const TO_TRACE: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);
/// Windows with probes and without, at the least: links are made again after capabilities were given up.
const WINDOWS: u64 = 2;

/// A user with CAP_BPF and CAP_PERFMON measures exactly, with CAP_SYSLOG by names, and goes on to when the daemon
/// has given up what it needed to attach. Whoever reports has none.
pub fn some_capabilities_are_enough(lab: &Lab<'_>) -> Result<Verdict> {
    let load = "--workload forkexit --tasks 1 --warm-up 0.5";
    let windows = |name: &str, attach: &str| {
        let how = format!("--attach {attach} --detail holds --duration 4 --windows 0.3");
        run_in_windows(name, &format!("{load} {how} --loss-threshold 20"))
    };
    let outcome = lab.succeed(vec![
        windows("fentry", "fentry")
            .unprivileged(TO_TRACE | CapabilitySet::SYSLOG)
            .sysctl("kernel.kptr_restrict", "1"),
        // Debian's kernels have a level 3, by which CAP_PERFMON is not enough for a perf event, and begin with it.
        windows("kprobe", "kprobe")
            .unprivileged(TO_TRACE | CapabilitySet::SYSLOG)
            .sysctl("kernel.perf_event_paranoid", "2"),
        run("hidden", &format!("{load} --iterations 50")).unprivileged(TO_TRACE),
        Step::new("lockprof report --format json /out/fentry".split(' '))
            .unprivileged(CapabilitySet::empty()),
    ])?;
    for method in ["fentry", "kprobe"] {
        let named = Summary::of(lab, &outcome, method)?;
        equal(method, named.text("/attach")?, method)?;
        equal("tier", named.text("/tier")?, "exact")?;
        equal("source", named.text("/lock/address_source")?, "kallsyms")?;
        for kind in ["bare", "holds"] {
            let windows = named.rows("/windows")?.iter();
            let of_kind = windows.filter(|window| window["kind"] == kind);
            let count: u64 = of_kind.filter_map(|one| one["windows"].as_u64()).sum();
            if count < WINDOWS {
                bail!("{method}: {count} windows of {kind}");
            }
        }
        for site in ["fork", "exit", "reap"] {
            if named.holds(site)? == 0 {
                bail!("{method}: no hold of {site} was seen");
            }
        }
    }
    let hidden = Summary::of(lab, &outcome, "hidden")?;
    hidden.is_sound()?;
    equal("source", hidden.text("/lock/address_source")?, "learned")?;
    equal(
        "holds by unknown sites and by all",
        hidden.holds("unknown")?,
        hidden.count("/write_holds")?,
    )?;
    let report: Value = serde_json::from_str(&outcome.steps[3].text())?;
    equal("reported tier", &report["tier"], &Value::from("exact"))?;
    Ok(Verdict::Passed)
}
