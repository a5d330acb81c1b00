//! Throw-away virtual machines: one boot, some commands, and what they printed and wrote.

mod accelerator;
pub mod console;
pub mod cpio;
pub mod fdinfo;
pub mod initramfs;
pub mod memory;
mod outcome;
pub mod protocol;
pub mod qemu;
mod watch;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::signals;
use initramfs::GuestFile;
use memory::GuestMemory;
use protocol::{Frames, GuestScript};
use qemu::{Machine, Qemu};
pub use watch::GuestFailure;
use watch::Watch;

pub use accelerator::{Accelerator, real_cpus};
pub use outcome::{StepOutcome, VmOutcome};

/// How often a guest's files are looked at.
const POLL: Duration = Duration::from_millis(20);

/// Boots at most, where the emulator is at fault each time. Of some hundred boots with two CPUs one is.
const MOST_BOOTS: u32 = 3;

/// What a guest's nanosecond is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// The host's time: contention exists, times are noisy.
    #[default]
    Wall,
    /// One executed instruction: times repeat exactly, on one CPU only.
    Instructions,
}

impl Clock {
    /// How many guests with this clock may run at once: instructions are counted, however busy the
    /// machine is; by the wall clock a guest has it for itself.
    #[must_use]
    pub fn side_by_side(self) -> usize {
        match self {
            Self::Wall => 1,
            Self::Instructions => real_cpus(),
        }
    }
}

/// What of a guest is shown while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// The steps' standard output and standard error, on our own.
    pub steps: bool,
    /// The kernel's console, on our standard error.
    pub console: bool,
}

/// A boot.
#[derive(Clone, Debug)]
pub struct VmRequest {
    /// A bzImage.
    pub kernel: PathBuf,
    /// The guest's init, from [`crate::cargo::StaticBinaries`].
    pub init: PathBuf,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB; `None` is 1 GiB, and more from nine CPUs on.
    pub memory_mib: Option<u32>,
    /// What a guest's nanosecond is.
    pub clock: Clock,
    /// More arguments for the kernel.
    pub append: Vec<String>,
    /// More properties of its CPUs, `NAME=VALUE,…`.
    pub cpu_properties: Option<String>,
    /// A plugin of QEMU's and its arguments, `FILE,NAME=VALUE,…`.
    pub plugin: Option<String>,
    /// Files for the guest, beside init: lockprof at /bin/lockprof, for one.
    pub files: Vec<GuestFile>,
    /// What the guest does.
    pub script: GuestScript,
    /// For the whole run; `None` is made from the steps' own durations.
    pub timeout: Option<Duration>,
    /// What is shown meanwhile.
    pub show: Show,
}

impl VmRequest {
    /// Two CPUs, wall clock, and lockprof at /bin/lockprof.
    pub fn new(
        kernel: PathBuf,
        binaries: &crate::cargo::StaticBinaries,
        script: GuestScript,
    ) -> Self {
        Self {
            kernel,
            init: binaries.init.clone(),
            cpus: 2,
            memory_mib: None,
            clock: Clock::Wall,
            append: Vec::new(),
            cpu_properties: None,
            plugin: None,
            files: vec![GuestFile {
                guest: "/bin/lockprof".to_owned(),
                host: binaries.lockprof.clone(),
            }],
            script,
            timeout: None,
            show: Show::default(),
        }
    }
}

/// Says what is wrong with a clock for so many CPUs.
pub fn check_clock(clock: Clock, cpus: u32) -> Result<(), String> {
    if clock == Clock::Instructions && cpus != 1 {
        return Err(
            "--clock instructions needs --cpus 1: several CPUs share that clock and are \
                    switched in the middle of a hold, so that holds and waits would be longer \
                    than they are"
                .to_owned(),
        );
    }
    Ok(())
}

/// Boots, runs the script, and brings back what it did. It is an error if the guest hangs,
/// panics, prints a splat, or ends without init's word that everything was done; a step that
/// fails is none.
///
/// A boot that ends by what the splat itself shows to be the emulator's fault is made again, and that
/// is said: nothing that the guest does can be hidden by it.
pub fn run(request: &VmRequest) -> Result<VmOutcome> {
    let accelerator = accelerator(request)?;
    let mut again = None;
    for _ in 1..MOST_BOOTS {
        let error = match run_with(request, accelerator) {
            Ok(outcome) => return Ok(VmOutcome { again, ..outcome }),
            Err(error) => error,
        };
        let failure = error.downcast_ref::<GuestFailure>();
        let Some(splat) = failure.and_then(|failure| failure.emulators_fault.clone()) else {
            return Err(error);
        };
        eprintln!(
            "vm: the emulator has executed a breakpoint that is not in the kernel's text ({splat}); \
             booting again"
        );
        again = Some(splat);
    }
    let outcome = run_with(request, accelerator)?;
    Ok(VmOutcome { again, ..outcome })
}

/// How the guest of a request will be executed.
pub fn accelerator(request: &VmRequest) -> Result<Accelerator> {
    accelerator::choose(request)
}

fn run_with(request: &VmRequest, accelerator: Accelerator) -> Result<VmOutcome> {
    check_clock(request.clock, request.cpus).map_err(anyhow::Error::msg)?;
    let folder = tempfile::Builder::new()
        .prefix("lockprof-vm-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let initrd = folder.path().join("initramfs");
    fs::write(
        &initrd,
        initramfs::build(&request.init, &request.script, &request.files)?,
    )
    .with_context(|| format!("cannot write {}", initrd.display()))?;
    let [console, results, log] =
        ["console", "results", "qemu.log"].map(|name| folder.path().join(name));
    for file in [&console, &results] {
        fs::write(file, "").with_context(|| format!("cannot make {}", file.display()))?;
    }
    let memory_mib = request
        .memory_mib
        .unwrap_or_else(|| default_memory(request.cpus));
    let memory = GuestMemory::new(memory_mib)?;
    let machine = Machine {
        kernel: &request.kernel,
        initrd: &initrd,
        cpus: request.cpus,
        memory_mib,
        memory: &memory.path(),
        clock: request.clock,
        accelerator,
        append: &request.append,
        cpu_properties: request.cpu_properties.as_deref(),
        plugin: request.plugin.as_deref(),
        console: &console,
        results: &results,
    };
    let started = Instant::now();
    let qemu = Qemu::start(&machine, &log)?;
    let mut watch = Watch::new(request, memory, started);
    let ended = follow(qemu, [&console, &results], request, &mut watch);
    let said = fs::read_to_string(&log).unwrap_or_default();
    watch.finish(ended, said.trim())
}

/// Passes on what comes from the guest until QEMU has ended or must end.
fn follow(
    mut qemu: Qemu,
    [console, results]: [&Path; 2],
    request: &VmRequest,
    watch: &mut Watch,
) -> Result<()> {
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (mut console, mut results) = (open(console)?, open(results)?);
    let mut frames = Frames::default();
    loop {
        // What QEMU wrote before it ended is in the files, so they are read once more after that.
        let status = qemu.ended()?;
        watch.console(&grown(&mut console)?, request.show);
        frames.push(&grown(&mut results)?);
        while let Some(frame) = frames.take().context("the results port broke")? {
            watch.frame(frame, request.show);
        }
        if let Some(status) = status {
            if frames.is_cut() {
                bail!("the guest ended in the middle of a message");
            }
            watch.exited(status);
            return Ok(());
        }
        signals::check()?;
        watch.deadline()?;
        thread::sleep(POLL);
    }
}

/// What has been written to a file since the last time.
fn grown(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .context("cannot read what the guest sends")?;
    Ok(bytes)
}

/// 1 GiB is plenty up to 8 CPUs; per-CPU maps and kernel memory grow with each of them.
fn default_memory(cpus: u32) -> u32 {
    1024 + cpus.saturating_sub(8) * 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_the_cpus() {
        assert_eq!([1, 8, 24].map(default_memory), [1024, 1024, 2048]);
    }
}
