//! Which kernel was measured, for the recording.

use super::capabilities::Capabilities;
use super::spin_waits::SpinWaits;
use crate::recording::schema::Kernel;

/// The kernel as the recording has it. What could not be found out is empty or 0.
#[must_use]
pub fn kernel_identity(capabilities: &Capabilities) -> Kernel {
    let machine = &capabilities.machine;
    let spin_waits = capabilities.spin_waits();
    let invisible = matches!(
        spin_waits.value,
        SpinWaits::Invisible | SpinWaits::InvisibleToTwo
    );
    Kernel {
        release: capabilities.uname.release.clone(),
        version: capabilities.uname.version.clone(),
        machine: capabilities.uname.machine.clone(),
        boot_id: machine.boot_id.clone().unwrap_or_default(),
        cpus_online: machine.cpus_online.unwrap_or_default(),
        cpus_possible: machine.cpus_possible.unwrap_or_default(),
        clock_source: machine.clock_source.clone().unwrap_or_default(),
        cpu_model: machine.cpu_model.clone().unwrap_or_default(),
        config_hash: capabilities.config.hash.clone(),
        deferral: capabilities.deferral().value,
        spin_waits_invisible: spin_waits.value == SpinWaits::Invisible,
        spinlock_waits_invisible: invisible.then_some(spin_waits.how),
    }
}
