//! What follows from the capabilities: pure.

use serde::Serialize;

use super::capabilities::{Capabilities, FunctionFacts, Trial};
use super::finding::Finding;
use super::privileges::CapabilitySet;
use super::sites::{LOCK_FUNCTION, RT_LOCK_FUNCTION, UNLOCK_FUNCTION};
use super::spin_waits::SpinWaits;
use crate::known_locks;
use crate::recording::schema::{Deferral, LockFamily};

/// Whether the end of a write hold can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlock {
    /// Lock and unlock are functions.
    OutOfLine,
    /// The unlock is inlined into each caller.
    Inlined,
    /// The lock as well.
    BothInlined,
    /// PREEMPT_RT: an rwlock is another lock, which sleeps.
    Realtime,
    /// It could not be found out.
    Unknown,
}

/// Whether the kernel preempts itself, by `uname -v` (init/Makefile, UTS_VERSION): without
/// CONFIG_PREEMPTION the unlock functions are inlined (kernel/Kconfig.locks, 6.1 to 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preemption {
    /// `PREEMPT_RT`.
    Realtime,
    /// `PREEMPT`, `PREEMPT_DYNAMIC` or `PREEMPT_LAZY`.
    On,
    /// None of these.
    Off,
}

impl Capabilities {
    /// What is known of a function.
    #[must_use]
    pub fn function(&self, name: &str) -> FunctionFacts {
        self.functions.get(name).cloned().unwrap_or_default()
    }

    /// Whether the kernel has this function, by its symbols or else its BTF; `None`: not known.
    #[must_use]
    pub fn has_function(&self, name: &str) -> Option<bool> {
        let function = self.function(name);
        function.symbol.or(function.btf)
    }

    /// Whether the kernel preempts itself.
    #[must_use]
    pub fn preemption(&self) -> Preemption {
        if self.uname.version.contains("PREEMPT_RT")
            || self.config.is_set("CONFIG_PREEMPT_RT") == Some(true)
        {
            Preemption::Realtime
        } else if self.uname.version.contains("PREEMPT") {
            Preemption::On
        } else {
            Preemption::Off
        }
    }

    /// What kind of lock this is, where its definition was read or `told` says so. On PREEMPT_RT mutexes, reader-writer
    /// locks and spinlocks are made of an rt_mutex (include/linux/mutex.h, later mutex_types.h, rwlock_types.h and
    /// spinlock_types.h, 5.15 to 7.3).
    #[must_use]
    pub fn lock_kind(&self, name: &str, told: Option<LockFamily>) -> Option<LockFamily> {
        let kind = known_locks::family(name, told)?;
        let real_time = self.preemption() == Preemption::Realtime;
        Some(if real_time { LockFamily::RtMutex } else { kind })
    }

    /// Whether it can be seen when interrupts come.
    #[must_use]
    pub fn sees_interrupts(&self) -> bool {
        !self.btf.interrupts.is_empty() && self.trials.raw_tracepoint.works()
    }

    /// Whether the end of a write hold can be seen.
    ///
    /// `_raw_write_unlock_irq` is compiled under `#ifndef CONFIG_INLINE_WRITE_UNLOCK_IRQ`
    /// (kernel/locking/spinlock.c), so its symbol decides. Where symbols and BTF tell nothing, the
    /// version string does.
    #[must_use]
    pub fn unlock(&self) -> Finding<Unlock> {
        let version = &self.uname.version;
        if self.preemption() == Preemption::Realtime {
            return Finding::new(
                Unlock::Realtime,
                format!("PREEMPT_RT: write_lock_irq() is {RT_LOCK_FUNCTION}()"),
            );
        }
        let source = |function: &FunctionFacts| match function.symbol {
            Some(_) => "kallsyms",
            None => "BTF",
        };
        let unlock = self.function(UNLOCK_FUNCTION);
        match (
            self.has_function(UNLOCK_FUNCTION),
            self.has_function(LOCK_FUNCTION),
        ) {
            (Some(true), Some(false)) | (Some(false), Some(false)) => Finding::new(
                Unlock::BothInlined,
                format!("{} has no {LOCK_FUNCTION}", source(&unlock)),
            ),
            (Some(true), _) => Finding::new(
                Unlock::OutOfLine,
                format!(
                    "{} has {UNLOCK_FUNCTION}, which is compiled only where it is not inlined",
                    source(&unlock)
                ),
            ),
            (Some(false), _) => Finding::new(
                Unlock::Inlined,
                format!("{} has no {UNLOCK_FUNCTION}", source(&unlock)),
            ),
            (None, _) if version.is_empty() => {
                Finding::new(Unlock::Unknown, "neither symbols nor a version can be read")
            }
            (None, _) if self.preemption() == Preemption::On => Finding::new(
                Unlock::OutOfLine,
                "`uname -v` has PREEMPT (no symbols can be read)",
            ),
            (None, _) => Finding::new(
                Unlock::Inlined,
                "`uname -v` has no PREEMPT (no symbols can be read)",
            ),
        }
    }

    /// Whether the kernel has the contention tracepoints (Linux 5.19).
    #[must_use]
    pub fn contention_tracepoints(&self) -> Finding<Option<bool>> {
        let function = "__traceiter_contention_begin";
        match (&self.trials.raw_tracepoint, self.has_function(function)) {
            (Trial::Works, _) => Finding::new(Some(true), "a program was attached to it"),
            (_, Some(false)) if !self.btf.contention_tracepoints => {
                Finding::new(Some(false), "neither kallsyms nor BTF has it")
            }
            (_, Some(true)) => Finding::new(Some(true), "kallsyms has it"),
            _ if self.btf.contention_tracepoints => Finding::new(Some(true), "BTF has it"),
            _ => Finding::new(None, "neither symbols nor BTF can be read"),
        }
    }

    /// Which version of the deferral the kernel has, by its BTF and symbols: never by its release,
    /// since distributions take patches back.
    #[must_use]
    pub fn deferral(&self) -> Finding<Deferral> {
        let has = |function| {
            let facts = self.function(function);
            facts.symbol == Some(true) || facts.btf == Some(true)
        };
        let free_pids = has("free_pids");
        if free_pids && (self.btf.release_task_post || self.btf.error.is_some()) {
            let mut how = "it has free_pids".to_owned();
            if self.btf.release_task_post {
                how.push_str(" and struct release_task_post");
            }
            if let Some(parameters) = self.btf.detach_pid_parameters {
                how.push_str(&format!(", and detach_pid takes {parameters} parameters"));
            }
            return Finding::new(Deferral::Merged, how);
        }
        if has("detach_pid_return") {
            return Finding::new(Deferral::Posted, "it has detach_pid_return");
        }
        if self.btf.error.is_some() && self.symbols.error.is_some() {
            return Finding::new(Deferral::Unknown, "neither symbols nor BTF can be read");
        }
        Finding::new(
            Deferral::Unknown,
            "it has neither free_pids nor detach_pid_return; it may have them inlined",
        )
    }

    /// Whether spinning waits are visible, and why.
    #[must_use]
    pub fn spin_waits(&self) -> Finding<SpinWaits> {
        self.cpu.spin_waits()
    }

    /// These capabilities, had whom asks the privileges of root: what was not tried for want of
    /// them is taken to work where nothing that is known speaks against it.
    #[must_use]
    pub fn assuming_privileges(&self) -> Self {
        let mut root = self.clone();
        root.user.euid = 0;
        root.user.capabilities = Some(CapabilitySet::all());
        for trial in [
            &mut root.trials.fentry,
            &mut root.trials.fexit,
            &mut root.trials.kprobe,
            &mut root.trials.kretprobe,
            &mut root.trials.raw_tracepoint,
            &mut root.trials.kernel_reads,
            &mut root.trials.owner_stacks,
        ] {
            if trial.is_untried() {
                *trial = Trial::Works;
            }
        }
        if self.contention_tracepoints().value == Some(false) {
            root.trials.raw_tracepoint = Trial::Refused {
                error: "this kernel has no contention tracepoints".to_owned(),
            };
        }
        if root.settings.kptr_restrict != Some(2) && root.symbols.hidden {
            root.symbols.hidden = false;
        }
        root
    }
}
