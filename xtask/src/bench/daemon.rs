//! The daemon: what a refresh costs by the number of possible CPUs, and how long attaching, detaching
//! and reporting take.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::kernel;
use lab::process;
use lab::vm::Clock;
use lab::vm::fdinfo::most_resident;
use lab::vm::protocol::Step;

use super::laboratory::Laboratory;
use super::loads;
use super::recording::Recording;
use super::results::{
    BusyDaemon, CompareCosts, DaemonCosts, DaemonSize, HostTimes, Refresh, ReportCosts,
};
use super::statistics::median;
use crate::guest::round::{self, Lab};
use crate::setup;

/// A kernel that has room for so many CPUs.
const SIZES_KERNEL: &str = "debian:6.1";
/// Possible CPUs.
const SIZES: [u32; 4] = [2, 24, 256, 1024];
/// Enough for the per-CPU memory of 1024 CPUs.
const SIZES_MEMORY_MIB: u32 = 2048;
/// Intervals of one second that are measured, on the instruction clock.
const SIZES_SECONDS: &str = "4";
/// The kernel and the CPUs of the busy machine.
const BUSY_KERNEL: &str = "debian:6.12";
const BUSY_CPUS: u32 = 24;
const BUSY_SECONDS: &str = "10";
/// Runs on the machine itself, after one that warms its caches.
const HOST_RUNS: usize = 5;
/// Intervals of the reported recording: ten minutes.
const REPORT_INTERVALS: usize = 600;
/// Boots of each kernel that are compared.
const COMPARED_BOOTS: usize = 100;
/// lockprof's exit status where too much was lost, which does not matter here.
const VOID: i32 = 3;
/// How often a command's memory is looked up.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What cannot be measured where lockprof may not attach.
const ON_THE_HOST: &str = "launch to first probe on the host";
/// The recording's name in the guest.
const NAME: &str = "daemon";

/// Measures all of it.
pub fn run(laboratory: &Laboratory) -> Result<DaemonCosts> {
    let mut costs = DaemonCosts::default();
    for possible in SIZES {
        costs.sizes.push(size(laboratory, possible)?);
    }
    for cpus in SIZES {
        costs.refreshes.push(refresh(laboratory, cpus)?);
    }
    let (busy, recording) = busy(laboratory)?;
    costs.busy = Some(busy);
    costs.report = Some(report(laboratory, &recording)?);
    costs.compare = Some(compare(laboratory, &recording)?);
    if setup::is_root() {
        costs.host = costs.not_measured.or_note(ON_THE_HOST, host(laboratory))?;
    } else {
        let why = "attaching on this machine needs root";
        costs.not_measured.note(ON_THE_HOST, why);
    }
    Ok(costs)
}

/// One busy CPU among so many possible ones, on the instruction clock.
fn size(laboratory: &Laboratory, possible: u32) -> Result<DaemonSize> {
    let kernel = kernel::resolve(SIZES_KERNEL)?;
    let lab = Lab::new(&kernel, &laboratory.binaries);
    let out = format!("/out/{NAME}");
    let attach = [
        "lockprof",
        "attach",
        "--no-report",
        "--windows",
        "off",
        "--quiet",
        "--duration",
        SIZES_SECONDS,
        "--output",
        &out,
    ];
    let mut request = laboratory.request(
        &lab,
        vec![
            loads::step("threadspawn", 1, "0", &["--until-signalled"])
                .background(Some("measurement")),
            Step::new(attach),
            Step::ending(0, libc::SIGINT),
        ],
    );
    request.cpus = 1;
    request.clock = Clock::Instructions;
    request.memory_mib = Some(SIZES_MEMORY_MIB);
    request.append.push(format!("possible_cpus={possible}"));
    let outcome = round::succeed(&request)
        .with_context(|| format!("a boot with {possible} possible CPUs failed"))?;
    let seconds = outcome.wall.as_secs_f64();
    eprintln!("bench: the daemon with {possible} possible CPUs took {seconds:.0} s");
    let recording = Recording::of(&outcome, NAME)?;
    Ok(DaemonSize {
        kernel: SIZES_KERNEL.to_owned(),
        possible_cpus: possible,
        intervals: recording.intervals(),
        instructions: recording.cpu_s_of_an_interval() * 1e9,
        resident_bytes: recording.resident_bytes(),
    })
}

/// Every CPU active, on the machine itself.
fn refresh(laboratory: &Laboratory, cpus: u32) -> Result<Refresh> {
    let mut command = Command::new(&laboratory.refresh);
    command.args(["--cpus", &cpus.to_string()]);
    let printed = process::output(&mut command)?;
    let times = printed.lines().map(str::parse::<f64>);
    let times = times.collect::<Result<Vec<_>, _>>();
    let times = times.with_context(|| process::display(&command))?;
    Ok(Refresh {
        cpus,
        cpu_s: median(&times) / 1e9,
        refreshes: times.len(),
    })
}

/// Every CPU busy, by the wall clock.
fn busy(laboratory: &Laboratory) -> Result<(BusyDaemon, Recording)> {
    let kernel = kernel::resolve(BUSY_KERNEL)?;
    let lab = Lab::new(&kernel, &laboratory.binaries);
    let (out, tasks) = (format!("/out/{NAME}"), BUSY_CPUS.to_string());
    let run = [
        "lockprof",
        "run",
        "--windows",
        "off",
        "--workload",
        "threadspawn",
        "--tasks",
        &tasks,
        "--duration",
        BUSY_SECONDS,
        "--detail",
        "holds",
        "--no-report",
        "--quiet",
        "--output",
        &out,
    ];
    let mut request = laboratory.request(&lab, vec![Step::new(run)]);
    request.cpus = BUSY_CPUS;
    let outcome = round::succeed(&request).context("a boot with every CPU busy failed")?;
    let recording = Recording::of(&outcome, NAME)?;
    let busy = BusyDaemon {
        kernel: BUSY_KERNEL.to_owned(),
        cpus: BUSY_CPUS,
        cpu_share: recording.cpu_share(),
        resident_bytes: recording.resident_bytes(),
        launch_to_attach_s: recording.footer("launch_to_attach_s")?,
        detach_s: recording.footer("detach_s")?,
        recording_bytes_per_minute: recording.bytes_per_minute(),
    };
    Ok((busy, recording))
}

/// On the machine itself.
fn host(laboratory: &Laboratory) -> Result<HostTimes> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (mut launch, mut detach, mut tier) = (Vec::new(), Vec::new(), String::new());
    for run in 0..=HOST_RUNS {
        let out = folder.path().join(run.to_string());
        let mut command = Command::new(&laboratory.binaries.lockprof);
        command.args([
            "attach",
            "--no-report",
            "--quiet",
            "--duration",
            "0.2",
            "--output",
        ]);
        let output = process::output_any(command.arg(&out))?;
        if !matches!(output.status.code(), Some(0 | VOID)) {
            bail!(
                "`{}` failed: {}",
                process::display(&command),
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        let recording = Recording::read(&out)?;
        tier = recording.header("/tier")?.to_owned();
        if run > 0 {
            launch.push(recording.footer("launch_to_attach_s")?);
            detach.push(recording.footer("detach_s")?);
        }
    }
    Ok(HostTimes {
        tier,
        runs: HOST_RUNS,
        launch_to_attach_s: median(&launch),
        detach_s: median(&detach),
    })
}

/// Reports ten minutes, which are made by repeating the intervals of a shorter recording.
fn report(laboratory: &Laboratory, recording: &Recording) -> Result<ReportCosts> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("recording.jsonl");
    let text = recording.prolonged(REPORT_INTERVALS)?;
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(&laboratory.binaries.lockprof);
    // The page, which takes the most.
    let page = folder.path().join("report.html");
    command
        .arg("report")
        .arg(&path)
        .args(["--format", "html", "--output"]);
    command.arg(&page);
    let (seconds, resident_bytes) = timed(&mut command)?;
    Ok(ReportCosts {
        recording_bytes: text.len() as u64,
        intervals: REPORT_INTERVALS,
        seconds,
        resident_bytes,
        page_bytes: fs::metadata(&page).map_or(0, |page| page.len()),
    })
}

/// Compares many boots on each side: one recording under so many boot_ids.
fn compare(laboratory: &Laboratory, recording: &Recording) -> Result<CompareCosts> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut command = Command::new(&laboratory.binaries.lockprof);
    command.arg("compare");
    let mut bytes = 0;
    for (side, option) in [("before", None), ("after", Some("--vs"))] {
        let side_folder = lab::paths::make(folder.path().join(side))?;
        for boot in 0..COMPARED_BOOTS {
            let text = recording.of_boot(&format!("{side}-{boot}"))?;
            let path = side_folder.join(format!("{boot}.jsonl"));
            fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
            bytes += text.len() as u64;
        }
        command.args(option).arg(&side_folder);
    }
    let (seconds, resident_bytes) = timed(&mut command)?;
    Ok(CompareCosts {
        boots_of_each: COMPARED_BOOTS,
        recording_bytes: bytes,
        seconds,
        resident_bytes,
    })
}

/// How long a command takes, and its largest resident memory. The kernel's own account of a child that
/// has ended begins with what we had when we started it, so that a small child would have our size: what it
/// has itself is looked up while it runs.
fn timed(command: &mut Command) -> Result<(f64, u64)> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let mut child = process::spawn(command)?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut resident_bytes = 0;
    let ended = loop {
        let ended = child.try_wait();
        if let Some(ended) = ended.with_context(|| process::display(command))? {
            break ended;
        }
        // None of a child that ends just now.
        let text = fs::read_to_string(&status).unwrap_or_default();
        resident_bytes = resident_bytes.max(most_resident(&text).unwrap_or(0));
        thread::sleep(LOOK_EVERY);
    };
    let seconds = began.elapsed().as_secs_f64();
    if !matches!(ended.code(), Some(0 | VOID)) {
        bail!("`{}` failed: {ended}", process::display(command));
    }
    Ok((seconds, resident_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_memory_is_its_own() {
        // More than a shell needs, in memory of ours.
        let ours = vec![1_u8; 64 << 20];
        let (seconds, bytes) = timed(Command::new("sh").args(["-c", "sleep 0.1"])).unwrap();
        assert!(bytes > 0 && bytes < ours.len() as u64 / 2, "{bytes} bytes");
        assert!(seconds >= 0.1);
        assert!(timed(Command::new("sh").args(["-c", "exit 5"])).is_err());
    }
}
