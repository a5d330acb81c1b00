//! Whether waits for spin locks can be seen.
//!
//! On x86 a guest spins in `virt_spin_lock()`, a test-and-set loop that emits no contention event,
//! before it would come to the queued slow path that does (arch/x86/include/asm/qspinlock.h, 6.1 to
//! 7.2). Its static key is on where the CPU has the hypervisor bit (`native_pv_lock_init()`; until
//! commit e639222a5119 of 6.12 it was on by default and switched off), and off again where the guest
//! uses paravirtual spin locks (`kvm_spinlock_init()` of arch/x86/kernel/kvm.c), whose slow path has
//! the events. The queued rwlock itself is not concerned: its slow paths emit for themselves.

use serde::Serialize;

use super::findings::Finding;

/// Whether waits for spin locks can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpinWaits {
    /// They emit events; the first waiter of a lock (the pending one) does not.
    Visible,
    /// They emit none: the kernel spins in virt_spin_lock().
    Invisible,
    /// They emit none, since there are two CPUs: the first waiter of a queued spin lock spins on its pending bit
    /// (kernel/locking/qspinlock.c, 6.1 to 7.2), and a second one cannot come. With paravirtual spin locks it
    /// goes into the queue.
    InvisibleToTwo,
    /// It could not be found out.
    Unknown,
}

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

impl CpuFacts {
    /// Whether waits for spin locks can be seen, and why.
    #[must_use]
    pub fn spin_waits(&self) -> Finding<SpinWaits> {
        use SpinWaits::{Invisible, Unknown, Visible};
        if !self.x86 {
            return self.queued("only x86 guests spin in virt_spin_lock()");
        }
        match self.hypervisor_flag {
            None => return Finding::new(Unknown, "/proc/cpuinfo cannot be read"),
            Some(false) => return self.queued("the CPU has no hypervisor bit"),
            Some(true) => {}
        }
        let native = self.one_cpu || self.nopvspin;
        match (&self.hypervisor, self.pv_spin_locks) {
            (_, Some(false)) => Finding::new(
                Invisible,
                "a guest without CONFIG_PARAVIRT_SPINLOCKS spins in virt_spin_lock(), which emits no event",
            ),
            (
                Hypervisor::Kvm {
                    pv_unhalt: true,
                    realtime,
                },
                Some(true),
            ) if *realtime || native => self.queued(
                "a KVM guest with CPUs of its own, or nopvspin, uses native queued spin locks",
            ),
            (
                Hypervisor::Kvm {
                    pv_unhalt: true, ..
                },
                Some(true),
            ) => Finding::new(
                Visible,
                "a KVM guest whose host offers PV_UNHALT uses queued spin locks",
            ),
            (Hypervisor::Kvm { realtime, .. }, Some(true)) if *realtime || native => Finding::new(
                Unknown,
                "a KVM guest without PV_UNHALT uses queued spin locks here only in newer kernels",
            ),
            (
                Hypervisor::Kvm {
                    pv_unhalt: false, ..
                },
                _,
            ) => Finding::new(
                Invisible,
                "a KVM guest whose host does not offer PV_UNHALT spins in virt_spin_lock(), which emits no event",
            ),
            (Hypervisor::Other { signature }, _)
                if signature.starts_with("TCG") || signature.starts_with("VMware") =>
            {
                Finding::new(
                    Invisible,
                    format!(
                        "a guest of {signature} spins in virt_spin_lock(), which emits no event"
                    ),
                )
            }
            (Hypervisor::None, _) => Finding::new(
                Invisible,
                "the CPU has the hypervisor bit and names no hypervisor, so the guest spins in virt_spin_lock(), which emits no event",
            ),
            (Hypervisor::Other { signature }, _) => Finding::new(
                Unknown,
                format!(
                    "it depends on what {signature:?} offers; the boot log tells (`PV spinlocks enabled`)"
                ),
            ),
            (Hypervisor::Kvm { .. }, None) => Finding::new(
                Unknown,
                "no symbols can be read, so it is not known whether the kernel has paravirtual spin locks",
            ),
        }
    }
}

impl CpuFacts {
    /// What follows where spin locks are queued, without paravirtual ones.
    fn queued(&self, how: &str) -> Finding<SpinWaits> {
        if self.cpus_online == Some(2) {
            Finding::new(
                SpinWaits::InvisibleToTwo,
                "with two CPUs the only waiter for a queued spin lock emits no event; from three on they are visible",
            )
        } else {
            Finding::new(SpinWaits::Visible, how)
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(hypervisor: Hypervisor) -> CpuFacts {
        CpuFacts {
            x86: true,
            hypervisor_flag: Some(true),
            hypervisor,
            pv_spin_locks: Some(true),
            nopvspin: false,
            one_cpu: false,
            cpus_online: Some(4),
        }
    }

    fn kvm(pv_unhalt: bool, realtime: bool) -> CpuFacts {
        guest(Hypervisor::Kvm {
            pv_unhalt,
            realtime,
        })
    }

    #[test]
    fn what_decides_is_the_hypervisor_bit_and_paravirtual_locks() {
        let tcg = guest(Hypervisor::Other {
            signature: "TCGTCGTCGTCG".into(),
        });
        let hyper_v = guest(Hypervisor::Other {
            signature: "Microsoft Hv".into(),
        });
        let masked = CpuFacts {
            hypervisor_flag: Some(false),
            ..tcg.clone()
        };
        let arm = CpuFacts {
            x86: false,
            hypervisor_flag: None,
            ..guest(Hypervisor::None)
        };
        let plain = CpuFacts {
            pv_spin_locks: Some(false),
            ..kvm(true, true)
        };
        let unreadable = CpuFacts {
            hypervisor_flag: None,
            ..tcg.clone()
        };
        let two = |cpu: &CpuFacts| CpuFacts {
            cpus_online: Some(2),
            ..cpu.clone()
        };
        for (cpu, expected) in [
            (two(&masked), SpinWaits::InvisibleToTwo),
            (two(&arm), SpinWaits::InvisibleToTwo),
            // Paravirtual spin locks have no pending bit.
            (two(&kvm(true, false)), SpinWaits::Visible),
            (two(&kvm(true, true)), SpinWaits::InvisibleToTwo),
            (two(&tcg), SpinWaits::Invisible),
            (kvm(true, false), SpinWaits::Visible),
            (kvm(true, true), SpinWaits::Visible),
            (kvm(false, true), SpinWaits::Unknown),
            (kvm(false, false), SpinWaits::Invisible),
            (tcg, SpinWaits::Invisible),
            (hyper_v, SpinWaits::Unknown),
            (guest(Hypervisor::None), SpinWaits::Invisible),
            (masked, SpinWaits::Visible),
            (arm, SpinWaits::Visible),
            (plain, SpinWaits::Invisible),
            (unreadable, SpinWaits::Unknown),
        ] {
            assert_eq!(cpu.spin_waits().value, expected, "{cpu:?}");
        }
    }
}
