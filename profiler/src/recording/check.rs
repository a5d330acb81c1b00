//! What a line of a recording must be beyond its form, for the writer and the reader alike.

use std::collections::BTreeSet;

use lockprof_abi::{BUCKETS, Loss, WAIT_OCTAVES};
use thiserror::Error;

use super::schema::{
    Calibration, ContentionInterval, CpuInterval, Footer, Header, Interval, Line,
    READERS_AND_HANDOVER,
};

use crate::{
    site::Site,
    span::{Span, is_program_of_span},
};

/// More CPUs than any Linux has, so that a broken number does not size a picture.
pub const MAX_CPUS: u32 = 1 << 16;

/// The longest time that makes sense in seconds: three hundred years, for times of day too.
const MAX_SECONDS: f64 = 1e10;

/// Sites without everyday names in one recording: the programs learn fewer (`lockprof_abi::MANY_SITES`), and each name is
/// kept as long as the process lives.
const MAX_LEARNED_SITES: usize = 128;
/// Bytes of a site's name: a symbol (KSYM_NAME_LEN is 512 since Linux 6.1, include/linux/kallsyms.h), its module, and
/// what tells readers.
const MAX_SITE_NAME: usize = 640;
/// Spans of one recording, and then some: the programs know fewer (`lockprof_abi::MAX_SPANS`), and each name is kept as long
/// as the process lives.
const MAX_RECORDED_SPANS: usize = 64;
/// Bytes of a symbol (KSYM_NAME_LEN, include/linux/kallsyms.h, 6.1 to 7.3).
const MAX_SYMBOL: usize = 512;

/// What is wrong with a line that has the right form.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Problem {
    /// Something came before the header.
    #[error("a {0} before the header")]
    BeforeHeader(&'static str),
    /// A second header.
    #[error("a second header")]
    SecondHeader,
    /// A second calibration.
    #[error("a second calibration")]
    SecondCalibration,
    /// Something came after the last line.
    #[error("a {0} after the {1}")]
    AfterEnding(&'static str, &'static str),
    /// A name that this version does not know.
    #[error("unknown {what} {name:?}")]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A site's or a span's name that no function has.
    #[error("{what}: {name:?} is no name of a function")]
    NoFunctionName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More sites than a recording can have.
    #[error("more than {MAX_LEARNED_SITES} sites without everyday names")]
    TooManySites,
    /// More spans than a recording can have.
    #[error("more than {MAX_RECORDED_SPANS} spans")]
    TooManySpans,
    /// Buckets come in pairs of number and count.
    #[error("{what}: {length} numbers are no pairs of bucket and count")]
    OddPairs {
        /// Which buckets.
        what: &'static str,
        /// How many numbers there are.
        length: usize,
    },
    /// A bucket that does not exist.
    #[error("{what}: bucket {bucket} of {limit}")]
    NoSuchBucket {
        /// Which buckets.
        what: &'static str,
        /// The bucket.
        bucket: u32,
        /// How many buckets there are.
        limit: usize,
    },
    /// The buckets of a histogram and the count beside it differ.
    #[error("{what}: the buckets sum up to {sum}, the count beside them is {count}")]
    SumDiffers {
        /// Which buckets.
        what: &'static str,
        /// The sum.
        sum: u64,
        /// The count.
        count: u64,
    },
    /// A number outside its range.
    #[error("{what}: {value} is not possible")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// Time that runs backwards.
    #[error("at_s: {at_s} comes after {before}")]
    TimeBackwards {
        /// The end of this interval.
        at_s: f64,
        /// The end of the one before.
        before: f64,
    },
    /// An address that is not hexadecimal.
    #[error("{what}: {address:?} is no address")]
    NotAnAddress {
        /// Whose address.
        what: &'static str,
        /// The text.
        address: String,
    },
}

/// Checks the lines of one recording, in their order.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    header: bool,
    calibration: bool,
    ending: Option<&'static str>,
    at_s: f64,
    sites: Sites,
}

impl Checker {
    /// Checks the next line.
    ///
    /// # Errors
    ///
    /// When the line cannot follow those before it, or says what cannot be.
    pub fn check(&mut self, line: &Line) -> Result<(), Problem> {
        let name = match line {
            Line::Header(_) => "header",
            Line::Calibration(_) => "calibration",
            Line::Interval(_) => "interval",
            Line::Footer(_) => "footer",
            Line::Killed(_) => "guard's ending",
        };
        if let Some(ending) = self.ending {
            return Err(Problem::AfterEnding(name, ending));
        }
        match line {
            Line::Header(_) if self.header => return Err(Problem::SecondHeader),
            Line::Calibration(_) if self.calibration => return Err(Problem::SecondCalibration),
            Line::Header(header) => check_header(header)?,
            _ if !self.header => return Err(Problem::BeforeHeader(name)),
            Line::Calibration(calibration) => check_calibration(calibration)?,
            Line::Interval(interval) => {
                check_interval(interval, &mut self.sites)?;
                if interval.at_s < self.at_s {
                    return Err(Problem::TimeBackwards {
                        at_s: interval.at_s,
                        before: self.at_s,
                    });
                }
                self.at_s = interval.at_s;
            }
            Line::Footer(footer) => check_footer(footer)?,
            Line::Killed(_) => {}
        }
        self.header = true;
        self.calibration |= matches!(line, Line::Calibration(_));
        self.ending = matches!(line, Line::Footer(_) | Line::Killed(_)).then_some(name);
        Ok(())
    }
}

/// The address that a text like `0xffffffff81e0a040` names.
pub(crate) fn parse_address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn check_header(header: &Header) -> Result<(), Problem> {
    seconds("started_at_s", header.started_at_s)?;
    seconds("interval_s", header.interval_s)?;
    if let Some(windows) = &header.windows {
        seconds("windows.seconds", windows.seconds)?;
    }
    if let Some(budget) = &header.budget {
        in_range("budget.allowed", budget.allowed.unwrap_or(0.0), 1.0)?;
        in_range("budget.expected", budget.expected, 1e9)?;
        in_range("budget.share", budget.share, 1.0)?;
    }
    in_range("loss_threshold", header.loss_threshold, 1.0)?;
    in_range(
        "cpus_online",
        header.kernel.cpus_online.into(),
        MAX_CPUS.into(),
    )?;
    in_range(
        "cpus_possible",
        header.kernel.cpus_possible.into(),
        MAX_CPUS.into(),
    )?;
    let probes = &header.attach.probes;
    let of_spans = probes
        .iter()
        .filter(|probe| is_program_of_span(&probe.program));
    let targets: BTreeSet<&str> = of_spans.map(|probe| probe.target.as_str()).collect();
    if targets.len() > MAX_RECORDED_SPANS {
        return Err(Problem::TooManySpans);
    }
    for target in targets {
        name_of_function("span", target, MAX_SYMBOL)?;
        // From now on it is one that `Span::find` knows: the lines behind the header have no others.
        let _met = Span::named(target);
    }
    header
        .lock
        .address
        .as_deref()
        .map_or(Ok(()), |text| address("lock", text))
}

fn check_calibration(calibration: &Calibration) -> Result<(), Problem> {
    if let Some(null_hold) = &calibration.null_hold {
        nanoseconds("null_hold_ns", null_hold.mean_ns)?;
        nanoseconds("null_hold_p50_ns", null_hold.p50_ns)?;
    }
    calibration
        .run_time
        .iter()
        .try_for_each(|run| nanoseconds("ns_per_run", run.ns_per_run))
}

fn check_interval(interval: &Interval, sites: &mut Sites) -> Result<(), Problem> {
    seconds("at_s", interval.at_s)?;
    seconds("seconds", interval.seconds)?;
    seconds("stopped_s", interval.stopped_s.unwrap_or(0.0))?;
    if let Some(done) = interval.window.and_then(|window| window.done) {
        seconds("window.done.seconds", done.seconds)?;
    }
    for cpu in &interval.cpus {
        check_cpu(cpu, sites)?;
    }
    for span in &interval.spans {
        known("span", &span.span, Span::find)?;
        sites.check("site", &span.site)?;
    }
    for span in interval.calls_outside.keys() {
        known("span", span, Span::find)?;
    }
    for blame in &interval.blame {
        sites.check("waiter", &blame.waiter)?;
        if blame.holder != READERS_AND_HANDOVER {
            sites.check("holder", &blame.holder)?;
        }
    }
    for contention in &interval.contention {
        check_contention(contention, sites)?;
    }
    for event in &interval.longest {
        sites.check("site", &event.site)?;
        seconds("longest at_s", event.at_s)?;
        in_range("longest cpu", event.cpu.into(), (MAX_CPUS - 1).into())?;
    }
    for loss in interval.losses.keys() {
        known("loss", loss, Loss::from_name)?;
    }
    seconds("own cpu_s", interval.own.cpu_s)?;
    seconds("steal_s", interval.machine.steal_s)?;
    seconds("idle_s", interval.machine.idle_s)
}

/// The names of sites that a recording has so far, without the known ones.
#[derive(Clone, Debug, Default)]
struct Sites(BTreeSet<String>);

impl Sites {
    fn check(&mut self, what: &'static str, name: &str) -> Result<(), Problem> {
        if Site::known(name).is_some() || self.0.contains(name) {
            return Ok(());
        }
        name_of_function(what, name, MAX_SITE_NAME)?;
        if self.0.len() == MAX_LEARNED_SITES {
            return Err(Problem::TooManySites);
        }
        self.0.insert(name.to_owned());
        Ok(())
    }
}

fn check_cpu(cpu: &CpuInterval, sites: &mut Sites) -> Result<(), Problem> {
    in_range("cpu", cpu.cpu.into(), (MAX_CPUS - 1).into())?;
    for site in &cpu.sites {
        sites.check("site", &site.site)?;
        pairs("hold_buckets", &site.hold_buckets, BUCKETS, site.holds)?;
        pairs("wait_buckets", &site.wait_buckets, BUCKETS, site.waits)?;
    }
    Ok(())
}

fn check_contention(contention: &ContentionInterval, sites: &mut Sites) -> Result<(), Problem> {
    address("lock", &contention.lock)?;
    if let Some(site) = &contention.in_hold_of {
        sites.check("site", site)?;
    }
    pairs(
        "octaves",
        &contention.octaves,
        WAIT_OCTAVES,
        contention.waits,
    )
}

fn check_footer(footer: &Footer) -> Result<(), Problem> {
    seconds("attached_s", footer.attached_s)?;
    seconds("launch_to_attach_s", footer.launch_to_attach_s)?;
    seconds("detach_s", footer.detach_s)?;
    let Some(truth) = &footer.ground_truth else {
        return Ok(());
    };
    seconds("warm_up_s", truth.warm_up_s)?;
    seconds("duration_s", truth.duration_s)?;
    in_range("per_second", truth.per_second.unwrap_or(0.0), 1e18)
}

fn name_of_function(what: &'static str, name: &str, longest: usize) -> Result<(), Problem> {
    if name.is_empty() || name.len() > longest || name.contains(char::is_control) {
        return Err(Problem::NoFunctionName {
            what,
            name: name.chars().take(80).collect(),
        });
    }
    Ok(())
}

fn known<T>(what: &'static str, name: &str, look_up: fn(&str) -> Option<T>) -> Result<(), Problem> {
    match look_up(name) {
        Some(_) => Ok(()),
        None => Err(Problem::UnknownName {
            what,
            name: name.chars().take(80).collect(),
        }),
    }
}

fn pairs(what: &'static str, numbers: &[u32], limit: usize, count: u64) -> Result<(), Problem> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Problem::OddPairs {
            what,
            length: numbers.len(),
        });
    }
    let mut sum = 0_u64;
    for &[bucket, count] in pairs {
        if bucket as usize >= limit {
            return Err(Problem::NoSuchBucket {
                what,
                bucket,
                limit,
            });
        }
        sum += u64::from(count);
    }
    if sum == count {
        Ok(())
    } else {
        Err(Problem::SumDiffers { what, sum, count })
    }
}

fn seconds(what: &'static str, value: f64) -> Result<(), Problem> {
    in_range(what, value, MAX_SECONDS)
}

fn nanoseconds(what: &'static str, value: f64) -> Result<(), Problem> {
    in_range(what, value, MAX_SECONDS * 1e9)
}

fn in_range(what: &'static str, value: f64, highest: f64) -> Result<(), Problem> {
    // False for what is not a number, too.
    if (0.0..=highest).contains(&value) {
        Ok(())
    } else {
        Err(Problem::OutOfRange { what, value })
    }
}

fn address(what: &'static str, text: &str) -> Result<(), Problem> {
    match parse_address(text) {
        Some(_) => Ok(()),
        None => Err(Problem::NotAnAddress {
            what,
            address: text.chars().take(40).collect(),
        }),
    }
}
