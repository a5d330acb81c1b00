//! Waits and holds that are open, as the programs keep them: pure.

use lockprof_abi::{
    CpuState, Followed, IN_INTERRUPT, LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_READ, LCB_F_SPIN,
    LCB_F_WRITE, TaskHold, TaskSlot,
};

use crate::recording::schema::Kind;

/// A wait or a hold that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub kind: Kind,
    /// The lock's address.
    pub lock: u64,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// When it began (CLOCK_MONOTONIC, ns).
    pub began_ns: u64,
    /// The thread, where it is known.
    pub pid: Option<u32>,
    /// The CPU that spins, or on which the lock is held; `None` where the task may sleep.
    pub cpu: Option<u32>,
    /// The return address into who asked for the lock.
    pub caller: Option<u64>,
    /// The call stack's id.
    pub stack: Option<u32>,
    /// Of a hold, by number.
    pub site: Option<u32>,
    /// The thread and the process that had the lock when the wait began, where that is known.
    pub owner: Option<(u32, u32)>,
}

/// The wait for which a task sleeps. One of another window may have ended when no program looked.
pub fn of_task(slot: &TaskSlot, window: u32) -> Option<Open> {
    (slot.lock != 0 && slot.window == window).then(|| Open {
        kind: Kind::Wait,
        lock: slot.lock,
        flags: slot.flags,
        began_ns: slot.began_ns,
        pid: Some(slot.pid),
        cpu: None,
        caller: (slot.caller != 0).then_some(slot.caller),
        stack: u32::try_from(slot.stack_id).ok(),
        site: None,
        owner: (slot.owner != 0).then_some((slot.owner_ids as u32, (slot.owner_ids >> 32) as u32)),
    })
}

/// The wait of a task for the lock that is followed by task, or its hold of it, that is open in this window. Not what an
/// interrupt holds, which is over as soon as somebody could ask for it.
pub fn of_task_hold(hold: &TaskHold, target: u64, followed: Followed, window: u32) -> Option<Open> {
    let (kind, began_ns, is_open) = if hold.start_ns == 0 {
        (Kind::Wait, hold.wait_began_ns, hold.wait_began_ns != 0)
    } else {
        (Kind::Hold, hold.start_ns, hold.end_ns == 0)
    };
    let pid = hold
        .pid
        .checked_sub(1)
        .filter(|_| hold.pid != IN_INTERRUPT)?;
    (is_open && hold.window == window).then(|| Open {
        kind,
        lock: target,
        flags: match followed {
            Followed::Mutex => LCB_F_MUTEX,
            _ if hold.reads != 0 => kind_flags(followed) | LCB_F_READ,
            _ => kind_flags(followed) | LCB_F_WRITE,
        },
        began_ns,
        pid: Some(pid),
        cpu: None,
        caller: None,
        stack: None,
        site: (hold.returned != 0).then_some(hold.site),
        owner: None,
    })
}

/// The flags of waits for a lock that may be read, besides which of the two it is.
const fn kind_flags(followed: Followed) -> u32 {
    match followed {
        Followed::ByCpu | Followed::Rwlock => LCB_F_SPIN,
        Followed::PercpuRwsem => LCB_F_PERCPU,
        Followed::Mutex | Followed::Rwsem => 0,
    }
}

/// The spinning waits and the hold that are open on a CPU in this window; `target` is the lock that is followed.
pub fn of_cpu(cpu: u32, state: &CpuState, target: u64, window: u32) -> Vec<Open> {
    let open = |kind, lock, flags, began_ns| Open {
        kind,
        lock,
        flags,
        began_ns,
        pid: None,
        cpu: Some(cpu),
        caller: None,
        stack: None,
        site: None,
        owner: None,
    };
    let mut all = Vec::new();
    if state.open_waits.seen == window + 1 {
        let frames = &state.open_waits.frames;
        let depth = (state.open_waits.depth as usize).min(frames.len());
        let booked = frames[..depth].iter().filter(|frame| frame.ignored == 0);
        all.extend(booked.map(|frame| Open {
            pid: Some(frame.pid),
            caller: (frame.caller != 0).then_some(frame.caller),
            ..open(Kind::Wait, frame.lock, frame.flags, frame.began_ns)
        }));
    }
    let mark = &state.wait_mark;
    let waits = mark.began_ns != 0 && mark.ended_ns == 0 && mark.lasts_in == window;
    let flags = LCB_F_SPIN | LCB_F_WRITE;
    if waits {
        all.push(open(Kind::Wait, target, flags, mark.began_ns));
    }
    // Who has asked and waits holds nothing.
    let hold = &state.hold;
    if hold.start_ns != 0 && hold.end_ns == 0 && hold.window == window && !waits {
        all.push(Open {
            pid: Some(hold.pid_tgid as u32).filter(|&pid| pid != 0),
            site: Some(hold.site),
            ..open(Kind::Hold, target, flags, hold.start_ns)
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use lockprof_abi::{LCB_F_MUTEX, NO_STACK, OTHER_SITE};

    use super::*;
    use crate::probe::cpus::zeroed_state;

    const TARGET: u64 = 0xffff_ffff_8260_a080;

    fn slot() -> TaskSlot {
        TaskSlot {
            lock: 64,
            began_ns: 5,
            pid: 42,
            flags: LCB_F_MUTEX,
            caller: 0x40,
            stack_id: 3,
            window: 7,
            ..TaskSlot::FREE
        }
    }

    #[test]
    fn a_sleep_is_open_in_its_own_window() {
        let open = of_task(&slot(), 7).unwrap();
        assert_eq!((open.pid, open.cpu, open.stack), (Some(42), None, Some(3)));
        assert_eq!(open.caller, Some(0x40));
        assert_eq!(of_task(&slot(), 8), None);
        assert_eq!(of_task(&TaskSlot { lock: 0, ..slot() }, 7), None);
        let stackless = TaskSlot {
            stack_id: NO_STACK,
            caller: 0,
            ..slot()
        };
        let open = of_task(&stackless, 7).unwrap();
        assert_eq!((open.stack, open.caller), (None, None));
    }

    #[test]
    fn a_task_waits_for_a_mutex_or_holds_it() {
        let waits = TaskHold {
            wait_began_ns: 5,
            pid: 43,
            window: 7,
            ..TaskHold::FREE
        };
        let holds = TaskHold {
            start_ns: 9,
            wait_ended_ns: 9,
            site: OTHER_SITE,
            ..waits
        };
        let of = |hold| {
            let open = of_task_hold(&hold, TARGET, Followed::Mutex, 7)?;
            Some((open.kind, open.began_ns, open.pid, open.site))
        };
        assert_eq!(of(waits), Some((Kind::Wait, 5, Some(42), None)));
        assert_eq!(of(holds), Some((Kind::Hold, 9, Some(42), None)));
        let returned = TaskHold {
            returned: 1,
            ..holds
        };
        assert_eq!(of(returned).unwrap().3, Some(OTHER_SITE));
        for none in [
            TaskHold::FREE,
            TaskHold {
                end_ns: 11,
                ..holds
            },
            TaskHold { window: 6, ..holds },
            TaskHold {
                wait_began_ns: 0,
                ..waits
            },
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_cpu_spins_waits_or_holds() {
        let mut state = zeroed_state();
        assert_eq!(of_cpu(1, &state, TARGET, 7), []);
        state.open_waits.seen = 8;
        state.open_waits.depth = 2;
        state.open_waits.frames[0].lock = 128;
        state.open_waits.frames[0].pid = 42;
        state.open_waits.frames[0].began_ns = 9;
        // The inner lock of a wait that is there itself.
        state.open_waits.frames[1].ignored = 1;
        state.hold.start_ns = 20;
        state.hold.window = 7;
        let kinds = |state: &CpuState| {
            let open = of_cpu(1, state, TARGET, 7);
            let kinds = open
                .into_iter()
                .map(|open| (open.kind, open.lock, open.began_ns));
            kinds.collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(&state),
            [(Kind::Wait, 128, 9), (Kind::Hold, TARGET, 20)]
        );
        // A hold that was asked for begins where its wait ends.
        state.open_waits.depth = 0;
        state.wait_mark.began_ns = 21;
        state.wait_mark.lasts_in = 7;
        assert_eq!(kinds(&state), [(Kind::Wait, TARGET, 21)]);
        state.wait_mark.ended_ns = 30;
        state.wait_mark.lasts_in = 0;
        assert_eq!(kinds(&state), [(Kind::Hold, TARGET, 20)]);
        state.hold.end_ns = 40;
        assert_eq!(kinds(&state), []);
    }

    #[test]
    fn what_is_of_another_window_is_open_no_more() {
        let mut state = zeroed_state();
        state.open_waits.seen = 7;
        state.open_waits.depth = 1;
        state.wait_mark.began_ns = 21;
        state.wait_mark.lasts_in = 6;
        state.hold.start_ns = 20;
        state.hold.window = 6;
        assert_eq!(of_cpu(1, &state, TARGET, 7), []);
    }
}
