//! Throw-away virtual machines: one boot, some commands, and what they printed and wrote.

mod accelerator;
mod boot;
mod clock;
mod console;
mod cpio;
pub mod fdinfo;
pub mod initramfs;
pub mod memory;
mod outcome;
pub mod protocol;
pub mod qemu;
mod request;
mod trial;
mod watch;

use anyhow::Result;

pub use accelerator::Accelerator;
pub use clock::{Clock, check_clock, real_cpus};
pub use outcome::{StepOutcome, VmOutcome};
pub use request::{Show, VmRequest};
pub use watch::GuestFailure;

/// Boots at most, where the emulator is at fault each time. Of some hundred boots with two CPUs one is.
const MOST_BOOTS: u32 = 3;

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
        let error = match boot::once(request, accelerator) {
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
    let outcome = boot::once(request, accelerator)?;
    Ok(VmOutcome { again, ..outcome })
}

/// How the guest of a request will be executed.
pub fn accelerator(request: &VmRequest) -> Result<Accelerator> {
    trial::choose(request)
}
