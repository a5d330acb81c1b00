//! The lock's address: read, or to be learned.

use lockprof_abi::UNKNOWN_OFFSET;
use serde::Serialize;

use super::super::by_task::ByTask;
use super::super::capabilities::Capabilities;
use super::{AttachChoice, PlanError, Request};
use crate::known_locks;
use crate::recording::schema::{AddressSource, LockFamily, Tier};

/// The lock, and how its address is known or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedLock {
    /// Its symbol.
    pub name: String,
    /// Its address, where kallsyms has it.
    pub address: Option<u64>,
    /// How long it is at most, in bytes, where kallsyms tells.
    pub bytes: Option<u64>,
    /// How the address is known, or will be.
    pub source: AddressSource,
    /// The same as a sentence.
    pub how: String,
    /// What kind of lock it is; none where it is not known.
    pub kind: Option<LockFamily>,
    /// Whether all who write turn interrupts off by write_lock_irq().
    #[serde(skip)]
    pub writers_irq: bool,
}

impl PlannedLock {
    /// How it is followed, where that is by task.
    #[must_use]
    pub fn by_task(&self) -> Option<&'static ByTask> {
        ByTask::of(self.kind, self.writers_irq)
    }
}

/// The address that a lock is named by, in hexadecimal with 0x.
pub(in super::super) fn address_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("0x")?, 16).ok()
}

/// Whether the lock of a process can be followed.
fn of_process(capabilities: &Capabilities, request: &Request, tier: Tier) -> Result<(), PlanError> {
    let layout = capabilities.btf.layout;
    let is_known = layout
        .is_some_and(|layout| ![layout.task_mm, layout.mm_mmap_lock].contains(&UNKNOWN_OFFSET));
    let why = if !request.of_process {
        "each process has one: name the process with --pid, or let `lockprof run` start it"
    } else if request.attach == AttachChoice::Wait {
        "it is found by who takes it, which --attach wait does not look at; `lockprof locks --lock mmap_lock --pid PID` \
         measures the waits of a process for it"
    } else if tier != Tier::Exact {
        "it is found by who takes it, and this kernel does not let lockprof see that; `lockprof locks --lock mmap_lock \
         --pid PID` measures the waits of a process for it"
    } else if !is_known {
        "this kernel's BTF does not tell where an address space has its lock"
    } else {
        return Ok(());
    };
    Err(PlanError::UnknownLock {
        lock: request.lock.clone(),
        why: why.to_owned(),
    })
}

/// The lock's address, or how it will be known.
pub(super) fn planned_lock(
    capabilities: &Capabilities,
    request: &Request,
    tier: Tier,
) -> Result<PlannedLock, PlanError> {
    let name = request.lock.as_str();
    let symbols = &capabilities.symbols;
    let found = capabilities.locks.iter().find(|lock| lock.name == name);
    let planned = |address, source, how: String| PlannedLock {
        name: name.to_owned(),
        address,
        bytes: found.and_then(|lock| lock.bytes),
        source,
        how,
        kind: capabilities.lock_kind(name, request.kind),
        writers_irq: request.writers_irq(),
    };
    let addresses = found.map(|lock| lock.address.iter().chain(&lock.more));
    let addresses: Vec<String> = addresses
        .into_iter()
        .flatten()
        .map(|address| format!("{address:#x}"))
        .collect();
    if addresses.len() > 1 {
        return Err(PlanError::UnknownLock {
            lock: name.to_owned(),
            why: format!(
                "/proc/kallsyms has {} objects of this name, at {}, and nothing tells which one is meant; follow one \
                 whose name is its own",
                addresses.len(),
                addresses.join(" and ")
            ),
        });
    }
    if let Some(address) = address_of(name) {
        let how = "it was given".to_owned();
        return Ok(planned(Some(address), AddressSource::Given, how));
    }
    if known_locks::is_of_process(name) {
        of_process(capabilities, request, tier)?;
        let how = "it is that of the process, wherever its tasks take it".to_owned();
        return Ok(planned(None, AddressSource::Process, how));
    }
    if let Some(address) = found.and_then(|lock| lock.address) {
        let how = "/proc/kallsyms has it".to_owned();
        return Ok(planned(Some(address), AddressSource::Kallsyms, how));
    }
    let present = found.is_some_and(|lock| lock.present);
    if present && !symbols.hidden && symbols.error.is_none() {
        // Only where privileges are assumed that whom asks does not have.
        let how = "/proc/kallsyms has it, and shows its address to root".to_owned();
        return Ok(planned(None, AddressSource::Kallsyms, how));
    }
    let why = if let Some(error) = &symbols.error {
        error.clone()
    } else if symbols.hidden {
        match capabilities.settings.kptr_restrict {
            Some(value) => {
                format!("/proc/kallsyms hides addresses (kernel.kptr_restrict is {value})")
            }
            None => "/proc/kallsyms hides addresses".to_owned(),
        }
    } else if !symbols.objects {
        "/proc/kallsyms has functions only (no CONFIG_KALLSYMS_ALL)".to_owned()
    } else {
        "/proc/kallsyms has no such object".to_owned()
    };
    let Some(function) = known_locks::find(name).and_then(|known| known.learned_in) else {
        let advice = if symbols.hidden {
            "set kernel.kptr_restrict to 1, and run as root".to_owned()
        } else {
            let learned = known_locks::all().filter(|known| known.learned_in.is_some());
            let learned: Vec<&str> = learned.map(|known| known.name).collect();
            format!(
                "only {} can be followed without its symbol",
                learned.join(" and ")
            )
        };
        return Err(PlanError::UnknownLock {
            lock: name.to_owned(),
            why: format!("{why}; {advice}"),
        });
    };
    if tier == Tier::Exact {
        let how = format!("{why}; it is learned from the first write lock inside {function}");
        return Ok(planned(None, AddressSource::Learned, how));
    }
    if symbols.error.is_none() && !symbols.hidden {
        let how = format!("{why}; it is learned from {function}, which waits for it to write");
        return Ok(planned(None, AddressSource::Stacks, how));
    }
    let how = format!(
        "{why}, so nobody who waits has a name, and its waits are among those of all locks"
    );
    Ok(planned(None, AddressSource::Unknown, how))
}
