//! Whether KVM works here. A device that opens proves nothing: there are machines whose guests
//! hang in it. So a trial boot decides, once for each start of the machine and version of QEMU.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::accelerator::Accelerator;
use super::boot;
use super::clock::Clock;
use super::protocol::GuestScript;
use super::qemu::QEMU;
use super::request::{Show, VmRequest};
use crate::{paths, process, signals};

/// Longer than any boot under KVM takes.
const TRIAL: Duration = Duration::from_secs(10);

/// The best accelerator for a request.
pub(super) fn choose(request: &VmRequest) -> Result<Accelerator> {
    let openable = || {
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open("/dev/kvm")
            .is_ok()
    };
    // Counting instructions is a matter of translation.
    if request.clock == Clock::Instructions || !openable() {
        return Ok(Accelerator::Tcg);
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("cannot read /proc/sys/kernel/random/boot_id")?;
    let version = process::output(Command::new(QEMU).arg("--version"))
        .with_context(|| format!("cannot run {QEMU}: `cargo xtask setup` installs it"))?;
    let key = format!(
        "{} {}",
        boot.trim(),
        version.lines().next().unwrap_or_default()
    );
    let path = paths::make(paths::cache()?)?.join("kvm-verdict");
    if let Ok(text) = fs::read_to_string(&path)
        && let Some((known, verdict)) = text.trim_end().split_once('\n')
        && known == key
    {
        return Ok(if verdict == "works" {
            Accelerator::Kvm
        } else {
            Accelerator::Tcg
        });
    }
    eprintln!("lab: /dev/kvm opens; booting once to see whether guests run in it …");
    let works = trial(request).is_ok();
    // A boot that we broke off ourselves is no verdict.
    signals::check()?;
    let verdict = if works { "works" } else { "hangs" };
    eprintln!(
        "lab: KVM {verdict}{}",
        if works {
            ""
        } else {
            ", so guests are emulated (TCG)"
        }
    );
    fs::write(&path, format!("{key}\n{verdict}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    })
}

fn trial(request: &VmRequest) -> Result<()> {
    let trial = VmRequest {
        cpus: 2,
        memory_mib: Some(512),
        cpu_properties: None,
        plugin: None,
        files: Vec::new(),
        script: GuestScript::default(),
        timeout: Some(TRIAL),
        show: Show::default(),
        ..request.clone()
    };
    boot::once(&trial, Accelerator::Kvm).map(|_| ())
}
