//! What the probes themselves add to a hold, measured on the running kernel: a session leader's
//! setsid() takes the lock for writing, fails at once, and releases it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};
use lockprof_abi::{BUCKETS, CpuState, Site};

use super::programs::Programs;
use crate::{
    profile::{Histogram, Scale},
    recording::schema::NullHold,
};

/// Null holds that are measured.
pub const NULL_HOLDS: u64 = 1000;

/// Measures null holds through the attached programs. `None` where the programs saw none.
///
/// # Errors
/// The load cannot be run.
pub fn null_hold(programs: &Programs) -> Result<Option<NullHold>> {
    let before = setsid_holds(programs);
    hold_nothing(NULL_HOLDS)?;
    let after = setsid_holds(programs);
    let holds = after.holds - before.holds;
    if holds == 0 {
        return Ok(None);
    }
    let mut lengths = Histogram::new(Scale::Steps);
    for (bucket, (after, before)) in after.buckets.iter().zip(&before.buckets).enumerate() {
        lengths.add(bucket, after - before);
    }
    Ok(Some(NullHold {
        holds,
        mean_ns: (after.held_ns - before.held_ns) as f64 / holds as f64,
        p50_ns: lengths.quantile_ns(0.5).unwrap_or_default(),
    }))
}

/// Takes and releases the lock this often, through the bundled load.
///
/// # Errors
/// The load cannot be run.
pub fn hold_nothing(times: u64) -> Result<()> {
    let status = Command::new("/proc/self/exe")
        .args(["workload", "nullhold", "--tasks", "1", "--no-affinity"])
        .args(["--warm-up", "0", "--iterations", &times.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot start the null holds that calibrate the probes")?;
    if !status.success() {
        return Err(anyhow!(
            "the null holds that calibrate the probes ended with {status}"
        ));
    }
    Ok(())
}

struct SetsidHolds {
    holds: u64,
    held_ns: u64,
    buckets: [u64; BUCKETS],
}

fn setsid_holds(programs: &Programs) -> SetsidHolds {
    let mut sum = SetsidHolds {
        holds: 0,
        held_ns: 0,
        buckets: [0; BUCKETS],
    };
    let mut state = zeroed_state();
    let site = Site::Setsid.index();
    for cpu in 0..programs.cpus.len() {
        programs.cpus.read_booked(cpu, &mut state);
        sum.held_ns += state.sites[site].held_ns;
        for (bucket, count) in state.sites[site].holds.iter().enumerate() {
            sum.holds += u64::from(*count);
            sum.buckets[bucket] += u64::from(*count);
        }
    }
    sum
}

/// A state in which nothing has happened.
#[must_use]
pub fn zeroed_state() -> Box<CpuState> {
    // SAFETY: every field is an integer, for which zero is valid.
    unsafe { Box::<CpuState>::new_zeroed().assume_init() }
}
