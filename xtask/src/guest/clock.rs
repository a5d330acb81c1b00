//! On the instruction clock, two ways to measure must give the same length.

use anyhow::{Result, bail};
use lab::vm::Clock;
use lab::vm::protocol::Step;

use super::round::{Lab, Verdict, run, succeed};
use super::summary::Summary;

/// How far the means may be apart, as a share: the contract of the two kinds of probes.
const AGREEMENT: f64 = 0.05;

fn by(attach: &str) -> Step {
    let load = "--workload forkexit --tasks 1 --iterations 400 --warm-up 0";
    // A kernel that preempts switches tasks in the middle of programs: some per cent of the holds of 7.2 are
    // counted as lost by kprobe.
    let clock = "--detail holds --clock instructions --loss-threshold 5";
    run(attach, &format!("{load} {clock} --attach {attach}"))
}

/// Instructions that an interrupt takes at the least, with its timer's work: far more than the ways between
/// the clocks and the lock differ by.
const AN_INTERRUPT: f64 = 500.0;

/// With a thousand interrupts a second, the longest of many equal holds is no longer where the clocks are read
/// with interrupts on than where they are off.
pub fn interrupts_are_in_no_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let by = |name: &str, arrangement: &str| {
        // The daemon's own timer interrupts.
        let load = "--workload nullhold --tasks 1 --iterations 100000 --warm-up 0 --interval 0.001 --loss-threshold 1";
        let clock = "--detail holds --clock instructions";
        run(name, &format!("{load} {clock} --arrangement {arrangement}"))
    };
    let names = ["inside", "robust", "exit"];
    let mut request = lab.request(names.iter().map(|name| by(name, name)).collect());
    request.clock = Clock::Instructions;
    let outcome = succeed(&request)?;
    let mut tails = Vec::new();
    for name in names {
        let summary = Summary::of(lab, &outcome, name)?;
        summary.is_valid()?;
        let lost = summary.count("/losses/target_losses")?;
        let longest = summary.setsid("max")? - summary.setsid("p50")?;
        note!(
            "    {name}: the longest null hold is {longest:.0} instructions over the median; {lost} lost"
        );
        tails.push(longest);
    }
    for tail in &tails[1..] {
        if *tail > tails[0] + AN_INTERRUPT {
            bail!("the longest holds are {tails:?} instructions over their medians");
        }
    }
    Ok(Verdict::Passed)
}

/// The mean hold of each site, less the null hold, is the same by fentry and by kprobe.
pub fn fentry_and_kprobe_agree(lab: &Lab<'_>) -> Result<Verdict> {
    let mut request = lab.request(vec![by("fentry"), by("kprobe")]);
    request.clock = Clock::Instructions;
    let outcome = succeed(&request)?;
    let fentry = Summary::of(lab, &outcome, "fentry")?;
    let kprobe = Summary::of(lab, &outcome, "kprobe")?;
    for summary in [&fentry, &kprobe] {
        summary.is_valid()?;
        super::summary::equal("clock", summary.text("/clock")?, "instructions")?;
    }
    for site in ["fork", "exit", "reap"] {
        let net = |summary: &Summary| -> Result<f64> {
            Ok(summary.mean_hold(site)? - summary.number("/probe/null_hold_ns")?)
        };
        let (first, second) = (net(&fentry)?, net(&kprobe)?);
        note!(
            "    {site}: {first:.1} by fentry, {second:.1} by kprobe (instructions, less the null hold)"
        );
        if (first - second).abs() > AGREEMENT * first.max(second) {
            bail!("{site}: {first:.1} instructions by fentry, {second:.1} by kprobe");
        }
    }
    Ok(Verdict::Passed)
}
