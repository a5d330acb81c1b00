//! The CPU, as far as spin locks depend on it, and who emulates it.

use serde::Serialize;

/// Who emulates the machine, by CPUID leaf 0x40000000 (arch/x86/kernel/cpu/hypervisor.c).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Hypervisor {
    /// `KVMKVMKVM`, with what the host offers (leaf 0x40000001,
    /// arch/x86/include/uapi/asm/kvm_para.h).
    Kvm {
        /// KVM_FEATURE_PV_UNHALT (7): paravirtual spin locks are possible.
        pv_unhalt: bool,
        /// KVM_HINTS_REALTIME (0): CPUs of one's own, so native spin locks are used.
        realtime: bool,
    },
    /// Any other, by its signature.
    Other {
        /// The twelve bytes of the leaf.
        signature: String,
    },
    /// No leaf, or not an x86.
    None,
}

/// The CPU, as far as spin locks depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuFacts {
    /// Whether it is an x86.
    pub x86: bool,
    /// Whether /proc/cpuinfo's flags have `hypervisor`; `None` where it could not be read.
    pub hypervisor_flag: Option<bool>,
    /// Who emulates it.
    pub hypervisor: Hypervisor,
    /// Whether the kernel has paravirtual spin locks (`__pv_queued_spin_lock_slowpath`, of
    /// CONFIG_PARAVIRT_SPINLOCKS).
    pub pv_spin_locks: Option<bool>,
    /// Whether the kernel's command line has `nopvspin`.
    pub nopvspin: bool,
    /// Whether there can be one CPU only.
    pub one_cpu: bool,
    /// CPUs that are online.
    pub cpus_online: Option<u32>,
}

/// Asks the CPU who emulates it.
#[cfg(target_arch = "x86_64")]
pub(super) fn hypervisor() -> Hypervisor {
    use core::arch::x86_64::__cpuid;

    let signature_at = |leaf: u32| {
        let registers = __cpuid(leaf);
        let bytes: Vec<u8> = [registers.ebx, registers.ecx, registers.edx]
            .iter()
            .flat_map(|register| register.to_le_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        String::from_utf8(bytes).ok().filter(|text| {
            text.len() >= 3
                && text
                    .chars()
                    .all(|letter| letter.is_ascii_graphic() || letter == ' ')
        })
    };
    // A host that offers Hyper-V's interface first has KVM's 0x100 further on.
    for leaf in [0x4000_0000, 0x4000_0100] {
        if signature_at(leaf).is_some_and(|signature| signature == "KVMKVMKVM") {
            let features = __cpuid(leaf + 1);
            return Hypervisor::Kvm {
                pv_unhalt: features.eax & (1 << 7) != 0,
                realtime: features.edx & 1 != 0,
            };
        }
    }
    match signature_at(0x4000_0000) {
        Some(signature) => Hypervisor::Other { signature },
        None => Hypervisor::None,
    }
}

/// Asks the CPU who emulates it.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn hypervisor() -> Hypervisor {
    Hypervisor::None
}
