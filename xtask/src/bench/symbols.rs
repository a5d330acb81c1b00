//! Where a kernel has the functions that the bench looks at, without address randomisation.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lab::vm::VmRequest;
use lab::vm::protocol::Step;

use super::observer;
use crate::guest::round;

/// Written to by the steps of a script: a call of this function begins the next section of what the
/// hold counter counts (kernel/utsname_sysctl.c).
const MARK: &str = "proc_do_uts_string";
/// The file behind it.
const MARK_FILE: &str = "/proc/sys/kernel/hostname";
/// What [`observer::LOCK`] calls where the lock is not free (kernel/locking/qrwlock.c).
const SLOW_PATH: &str = "queued_write_lock_slowpath";
/// The lock whose holds are counted.
const TARGET: &str = "tasklist_lock";
/// The kernel argument that makes addresses the same in every boot.
pub const NO_RANDOM_ADDRESSES: &str = "nokaslr";

/// Functions by name: their first address, and the first behind them. Of an object both are its first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols(BTreeMap<String, (String, String)>);

impl Symbols {
    /// Boots the kernel of a request once, and asks; about these functions, too.
    pub fn of<'a>(request: &VmRequest, more: impl Iterator<Item = &'a str>) -> Result<Self> {
        let names = [observer::LOCK, SLOW_PATH, observer::UNLOCK, TARGET];
        let names = names.into_iter().chain(observer::SPANS);
        Self::named(request, names.chain(more))
    }

    /// The same about these functions and objects.
    pub fn named<'a>(request: &VmRequest, names: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut request = request.clone();
        request.cpus = 1;
        let names = names.chain([MARK]);
        let argv = [observer::EMPTY_PROBES, "--symbols"]
            .into_iter()
            .chain(names);
        request.script.steps = vec![Step::new(argv)];
        request.append.push(NO_RANDOM_ADDRESSES.to_owned());
        let outcome = round::succeed(&request).context("cannot read the kernel's symbols")?;
        parse(&outcome.steps[0].text())
    }

    /// Whether the kernel has this function.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether an address lies in a function.
    pub fn has_address(&self, function: &str, address: u64) -> bool {
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        self.0.get(function).is_some_and(|(start, end)| {
            let range = number(start).zip(number(end));
            range.is_some_and(|(start, end)| (start..end).contains(&address))
        })
    }

    /// The hold counter's arguments that name functions. `None` where one is missing.
    pub fn hold_counter_arguments(&self) -> Option<String> {
        self.counter_of(observer::LOCK, &[SLOW_PATH], observer::UNLOCK, TARGET)
    }

    /// The same for a lock, by the functions that take it and give it back, and the first of those that the slow path
    /// may be in that the kernel has.
    pub fn counter_of(&self, lock: &str, slow: &[&str], unlock: &str, at: &str) -> Option<String> {
        let range = |name: &str| {
            self.0
                .get(name)
                .map(|(start, end)| format!("{start}-{end}"))
        };
        let slow = slow.iter().find_map(|name| range(name))?;
        let (lock, unlock) = (range(lock)?, range(unlock)?);
        let (at, mark) = (&self.0.get(at)?.0, &self.0.get(MARK)?.0);
        Some(format!(
            "lock={lock},slow={slow},unlock={unlock},at={at},mark={mark}"
        ))
    }
}

/// The same step, and the next section of the hold counter begins with it.
pub fn marked(step: Step) -> Step {
    step.write(MARK_FILE, "bench")
}

fn parse(text: &str) -> Result<Symbols> {
    let mut symbols = BTreeMap::new();
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let [name, start, end] = words[..] else {
            bail!("not NAME START END: {line}");
        };
        symbols.insert(name.to_owned(), (start.to_owned(), end.to_owned()));
    }
    Ok(Symbols(symbols))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_needs_every_function_and_the_lock() {
        let text = "_raw_write_lock_irq 0xa1 0xa9\n_raw_write_unlock_irq 0xb1 0xb9\n\
                    queued_write_lock_slowpath 0xd1 0xd9\n";
        let text = format!("{text}{MARK} 0xc1 0xc9\n");
        assert_eq!(parse(&text).unwrap().hold_counter_arguments(), None);
        let text = format!("{text}tasklist_lock 0xe0 0xe0\n");
        assert_eq!(
            parse(&text).unwrap().hold_counter_arguments().as_deref(),
            Some("lock=0xa1-0xa9,slow=0xd1-0xd9,unlock=0xb1-0xb9,at=0xe0,mark=0xc1")
        );
        assert!(parse("a b").is_err());
        let symbols = parse(&text).unwrap();
        assert!(symbols.has_address("_raw_write_lock_irq", 0xa8));
        assert!(!symbols.has_address("_raw_write_lock_irq", 0xa9));
        assert!(!symbols.has_address("do_exit", 0xa8));
    }
}
