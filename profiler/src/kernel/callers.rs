//! The kernel's text by what stands between a waiter and who asked for the lock.

use lockprof_abi::{BETWEEN_TEXT_LIMIT, TextRange};

use super::kallsyms::Kallsyms;

/// By which text the programs find who waits. Empty where addresses are hidden: then nobody is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerTexts {
    /// The scheduler's and the locks', which are passed over.
    pub between: TextRange,
    /// The spinning locks' part of it.
    pub lock: TextRange,
    /// All of the kernel's own.
    pub kernel: TextRange,
}

impl CallerTexts {
    /// As the kernel's symbols have it. The borders are of include/asm-generic/vmlinux.lds.h
    /// (SCHED_TEXT, LOCK_TEXT), where the one follows the other (arch/x86/kernel/vmlinux.lds.S).
    #[must_use]
    pub fn of(symbols: &Kallsyms) -> Self {
        let part = |first, last| {
            let start = symbols.address_of(first)?;
            let length = symbols.address_of(last)?.checked_sub(start)?;
            Some(TextRange { start, length })
        };
        let Some(lock) = part("__lock_text_start", "__lock_text_end") else {
            return Self::default();
        };
        let between = part("__sched_text_start", "__lock_text_end")
            .filter(|text| text.length <= BETWEEN_TEXT_LIMIT as u64)
            .unwrap_or(lock);
        Self {
            between,
            lock,
            kernel: part("_stext", "_etext").unwrap_or_default(),
        }
    }

    /// Whether they tell who asks for a lock that is slept for, too.
    #[must_use]
    pub fn tell_sleepers(&self) -> bool {
        self.between != self.lock
    }

    /// The return address into who asked for the lock, by the addresses of a call stack, the innermost
    /// first. `None` where no lock function is in it.
    #[must_use]
    pub fn caller(&self, frames: &[u64]) -> Option<u64> {
        let mut frames = frames.iter().copied();
        frames.find(|&address| self.between.contains(address))?;
        frames.find(|&address| !self.between.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "\
ffffffff81000000 T _stext
ffffffff81003000 T release_task
ffffffff81008000 T __sched_text_start
ffffffff81008000 T __schedule
ffffffff81009000 T mutex_lock
ffffffff8100a000 T __sched_text_end
ffffffff8100b000 T __lock_text_start
ffffffff8100b000 T _raw_spin_lock
ffffffff8100b100 T _raw_write_lock_irq
ffffffff8100b200 T native_queued_spin_lock_slowpath
ffffffff8100b400 T queued_write_lock_slowpath
ffffffff8100b500 T __lock_text_end
ffffffff8100b600 T __kprobes_text_start
ffffffff8100c000 T _etext
";

    #[test]
    fn the_caller_is_behind_lock_functions_and_the_scheduler() {
        let texts = CallerTexts::of(&Kallsyms::parse(SYMBOLS).unwrap());
        assert_eq!(texts.between.length, 0x3500);
        assert!(texts.tell_sleepers());
        assert_eq!(texts.kernel.length, 0xc000);
        let tracing = 0xffff_ffff_8100_0100;
        let slow_path = 0xffff_ffff_8100_b410;
        let lock = 0xffff_ffff_8100_b120;
        let release_task = 0xffff_ffff_8100_3010;
        let stack = [tracing, slow_path, lock, release_task, tracing];
        assert_eq!(texts.caller(&stack), Some(release_task));
        let module = 0xffff_ffff_c000_0010;
        let mutex = 0xffff_ffff_8100_9010;
        let spin = 0xffff_ffff_8100_b010;
        assert_eq!(texts.caller(&[spin, mutex, module]), Some(module));
        assert_eq!(
            texts.caller(&[tracing, slow_path, release_task]),
            Some(release_task)
        );
        assert_eq!(texts.caller(&[tracing, release_task]), None);
        assert_eq!(texts.caller(&[lock]), None);
    }

    #[test]
    fn a_long_scheduler_is_not_passed_over() {
        let symbols = SYMBOLS.replace(
            "ffffffff81008000 T __sched_text_start",
            "ffffffff80f00000 T __sched_text_start",
        );
        let texts = CallerTexts::of(&Kallsyms::parse(&symbols).unwrap());
        assert_eq!(texts.between, texts.lock);
        assert!(!texts.tell_sleepers());
    }

    #[test]
    fn hidden_addresses_tell_nobody() {
        let hidden: String = SYMBOLS
            .lines()
            .map(|line| format!("0000000000000000{}\n", &line[16..]))
            .collect();
        let texts = CallerTexts::of(&Kallsyms::parse(&hidden).unwrap());
        assert_eq!(texts, CallerTexts::default());
        assert_eq!(texts.caller(&[0xffff_ffff_8100_b010, 1]), None);
    }
}
