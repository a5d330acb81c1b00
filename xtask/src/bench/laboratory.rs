//! What every boot of the bench has: the binaries, and the observer outside of the guest.

use std::path::PathBuf;

use anyhow::Result;
use lab::vm::VmRequest;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;

use super::hold_counter;
use super::observer::EMPTY_PROBES;
use crate::cargo::{self, StaticBinaries};
use crate::guest::round::Lab;
use crate::toolchain::Environment;

/// The program that refreshes counters in memory.
const REFRESH: &str = "lockprof-refresh";

/// Everything that was built.
#[derive(Clone, Debug)]
pub struct Laboratory {
    /// lockprof, init, and programs that do nothing.
    pub binaries: StaticBinaries,
    /// The daemon's refresh alone.
    pub refresh: PathBuf,
    /// QEMU's plugin, or why there is none.
    pub hold_counter: Result<PathBuf, String>,
}

impl Laboratory {
    /// Builds it all.
    pub fn build(environment: &Environment) -> Result<Self> {
        let binaries = cargo::build_static(environment)?;
        let folder = cargo::build(environment, &[("lockprof", REFRESH)])?;
        Ok(Self {
            binaries,
            refresh: folder.join(REFRESH),
            hold_counter: hold_counter::build(environment)?,
        })
    }

    /// A boot with these steps, on two CPUs; change what is to be different.
    pub fn request(&self, lab: &Lab<'_>, steps: Vec<Step>) -> VmRequest {
        let mut request = lab.request(steps);
        request.files.push(GuestFile {
            guest: format!("/bin/{EMPTY_PROBES}"),
            host: self.binaries.empty_probes.clone(),
        });
        request
    }
}
