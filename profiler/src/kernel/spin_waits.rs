//! Whether waits for spin locks can be seen.
//!
//! On x86 a guest spins in `virt_spin_lock()`, a test-and-set loop that emits no contention event,
//! before it would come to the queued slow path that does (arch/x86/include/asm/qspinlock.h, 6.1 to
//! 7.2). Its static key is on where the CPU has the hypervisor bit (`native_pv_lock_init()`; until
//! commit e639222a5119 of 6.12 it was on by default and switched off), and off again where the guest
//! uses paravirtual spin locks (`kvm_spinlock_init()` of arch/x86/kernel/kvm.c), whose slow path has
//! the events. The queued rwlock itself is not concerned: its slow paths emit for themselves.

use serde::Serialize;

use super::cpu::{CpuFacts, Hypervisor};
use super::finding::Finding;

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
