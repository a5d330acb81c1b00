//! What the probes themselves add to a hold, measured on the running kernel: a session leader's
//! setsid() takes the lock for writing, fails at once, and releases it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};
use lockprof_abi::{BUCKETS, UNKNOWN_SITE};

use super::programs::Programs;
use crate::{
    profile::{Histogram, Scale},
    recording::schema::NullHold,
    site::Site,
};

/// Null holds that are measured.
pub const NULL_HOLDS: u64 = 1000;

/// What the attached programs saw of [`NULL_HOLDS`] null holds.
#[derive(Clone, Copy, Debug)]
pub struct Calibrated {
    /// Holds that may be they. Where the addresses of functions are hidden, others are among them.
    pub seen: u64,
    /// Their lengths, where they could be told from others.
    pub null_hold: Option<NullHold>,
}

/// Measures null holds through the attached programs.
///
/// # Errors
/// The load cannot be run.
pub fn null_hold(programs: &Programs) -> Result<Calibrated> {
    let before = setsid_holds(programs);
    hold_nothing(NULL_HOLDS)?;
    let after = setsid_holds(programs);
    let holds = after.holds - before.holds;
    if holds == 0 {
        return Ok(Calibrated {
            seen: after.unknown - before.unknown,
            null_hold: None,
        });
    }
    let mut lengths = Histogram::new(Scale::Steps);
    for (bucket, (after, before)) in after.buckets.iter().zip(&before.buckets).enumerate() {
        lengths.add(bucket, after - before);
    }
    Ok(Calibrated {
        seen: holds,
        null_hold: Some(NullHold {
            holds,
            mean_ns: (after.held_ns - before.held_ns) as f64 / holds as f64,
            p50_ns: lengths.quantile_ns(0.5).unwrap_or_default(),
        }),
    })
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
    /// Holds by nobody knows whom.
    unknown: u64,
}

fn setsid_holds(programs: &Programs) -> SetsidHolds {
    let mut sum = SetsidHolds {
        holds: 0,
        held_ns: 0,
        buckets: [0; BUCKETS],
        unknown: 0,
    };
    let numbers = programs.cpus.numbers();
    let setsid = numbers.slot(Site::SETSID);
    programs.cpus.each_booked(|cpu| {
        if let Some(setsid) = setsid.map(|slot| cpu.site(slot)) {
            sum.held_ns += setsid.held_ns;
            for (bucket, count) in setsid.holds.iter().enumerate() {
                sum.holds += u64::from(*count);
                sum.buckets[bucket] += u64::from(*count);
            }
        }
        let unknown = cpu.site(UNKNOWN_SITE as usize).holds.iter();
        sum.unknown += unknown.map(|count| u64::from(*count)).sum::<u64>();
    });
    sum
}
