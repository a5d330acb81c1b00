//! One boot, from an empty folder to the end of QEMU.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::accelerator::Accelerator;
use super::clock::check_clock;
use super::initramfs;
use super::memory::GuestMemory;
use super::outcome::VmOutcome;
use super::protocol::Frames;
use super::qemu::{Machine, Qemu};
use super::request::VmRequest;
use super::watch::Watch;
use crate::signals;

/// How often a guest's files are looked at.
const POLL: Duration = Duration::from_millis(20);

/// Boots once, with this accelerator.
pub(super) fn once(request: &VmRequest, accelerator: Accelerator) -> Result<VmOutcome> {
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
