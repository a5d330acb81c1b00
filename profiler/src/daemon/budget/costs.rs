//! What one hold and one wait cost, by what is attached.
//!
//! The numbers are BENCHMARKS.md's, in instructions, the larger of those of Linux 6.12 and 7.2. A machine's
//! own null hold tells how long an instruction of them takes there.

use crate::kernel::sees_waits_begin;
use crate::recording::schema::{Arrangement, Method, NullHold, RunTime, WindowKind};

/// Nanoseconds an instruction, before anything is measured: a slow machine's.
const ASSUMED_NS: f64 = 0.5;

/// Instructions of one set of programs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Instructions {
    /// Added inside a hold that nobody waited for.
    in_hold: f64,
    /// Added inside one that was waited for.
    in_contended_hold: f64,
    /// Added to an acquisition and its release in all.
    pair: f64,
    /// The null hold as it is reported.
    null_hold: f64,
}

/// Of a wait of any lock: on the way into the queue, and in the hold that follows it.
const WAIT: f64 = 343.0 + 389.0;

/// Of a mutex, by fentry. What a pair costs in all is that by which an iteration of the load `cgroup` is longer on the
/// instruction clock of Linux 6.12, less [`PASSING`] for the other mutex in it. Of an rwsem it is taken to be as much.
const MUTEX: Instructions = Instructions {
    in_hold: 600.0,
    in_contended_hold: 797.0,
    pair: 1006.0,
    null_hold: 0.0,
};
/// Of three programs that compare the address of another mutex: half of that by which an iteration of the load `pipe`, with
/// its two mutexes, is longer.
const PASSING: f64 = 550.0;

/// Of two programs that look whether a switch is a holder's: that by which a switch of `perf bench sched pipe` is longer on the
/// instruction clock of Linux 6.12.
const SWITCH: f64 = 275.0;

/// Of the two programs at a function whose calls are asked for, for each call anywhere: two of the three of [`PASSING`] are
/// taken for them, which look as much up.
const CALL: f64 = PASSING * 2.0 / 3.0;

/// `None` where such programs measure no holds.
const fn instructions(
    kind: WindowKind,
    method: Method,
    arrangement: Option<Arrangement>,
) -> Option<Instructions> {
    let (in_hold, in_contended_hold, pair, null_hold) = match (kind, method, arrangement) {
        (WindowKind::Bare | WindowKind::Waits, ..)
        | (_, Method::Wait | Method::Off, _)
        | (_, _, None) => return None,
        // A third of what is added to the three holds of a life, whose calls are spans.
        (WindowKind::Spans, Method::Fentry, _) => (1744.0, 1947.0, 2158.0, 261.0),
        (WindowKind::Spans, Method::Kprobe, _) => (3953.0, 4156.0, 4664.0, 480.0),
        (WindowKind::Holds, Method::Fentry, Some(Arrangement::Exit)) => (37.0, 227.0, 727.0, 252.0),
        (WindowKind::Holds, Method::Fentry, Some(Arrangement::Robust)) => {
            (234.0, 444.0, 826.0, 205.0)
        }
        (WindowKind::Holds, Method::Fentry, Some(Arrangement::Inside)) => {
            (552.0, 755.0, 966.0, 261.0)
        }
        (WindowKind::Holds, Method::Kprobe, _) => (480.0, 670.0, 1614.0, 444.0),
    };
    Some(Instructions {
        in_hold,
        in_contended_hold,
        pair,
        null_hold,
    })
}

/// How fast this machine runs the programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// An instruction.
    ns_per_instruction: f64,
    /// A wait, where the kernel has measured the programs' run time.
    wait_ns: Option<f64>,
    measured: bool,
}

impl Speed {
    /// Before anything is attached, or where nothing can be measured.
    #[must_use]
    pub const fn assumed() -> Self {
        Self {
            ns_per_instruction: ASSUMED_NS,
            wait_ns: None,
            measured: false,
        }
    }

    /// By a null hold that programs of this kind have measured here, and the run time of those at the two
    /// tracepoints, which without CAP_SYS_ADMIN is not known.
    #[must_use]
    pub fn measured(
        null_hold: &NullHold,
        kind: WindowKind,
        method: Method,
        arrangement: Option<Arrangement>,
        run_time: &[RunTime],
    ) -> Self {
        let Some(known) =
            instructions(kind, method, arrangement).filter(|_| null_hold.p50_ns > 0.0)
        else {
            return Self::assumed();
        };
        let of = |is_it: fn(&str) -> bool| {
            let found = run_time.iter().find(|time| is_it(&time.program));
            found.map(|time| time.ns_per_run)
        };
        Self {
            ns_per_instruction: null_hold.p50_ns / known.null_hold,
            wait_ns: of(sees_waits_begin)
                .zip(of(|program| program == "contention_ended"))
                .map(|(began, ended)| began + ended),
            measured: true,
        }
    }

    /// Where the times are from, as a sentence.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match (self.measured, self.wait_ns.is_some()) {
            (false, _) => {
                "costs are lockprof's own benchmark, in instructions, at an assumed half nanosecond each"
            }
            (true, false) => {
                "costs are lockprof's own benchmark, in instructions, each as long as this machine's null \
                 hold tells"
            }
            (true, true) => {
                "costs of holds are lockprof's own benchmark by this machine's null hold; those of waits \
                 were measured by the kernel"
            }
        }
    }
}

/// What one event costs, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Inside a hold that nobody waited for.
    pub in_hold_ns: f64,
    /// Inside one that was waited for.
    pub in_contended_hold_ns: f64,
    /// Around an acquisition and its release, what is inside left out.
    pub around_hold_ns: f64,
    /// Around a hold of another lock of the kind of one that is followed by task: the programs compare its address.
    pub passing_ns: f64,
    /// A switch of tasks, where holders that are not running are looked for.
    pub switch_ns: f64,
    /// A call of a function that was asked for, wherever it happens.
    pub call_ns: f64,
    /// A wait of any lock.
    pub wait_ns: f64,
}

impl Costs {
    /// Of the programs of such a window.
    #[must_use]
    pub fn of(
        kind: WindowKind,
        method: Method,
        arrangement: Option<Arrangement>,
        speed: Speed,
    ) -> Self {
        if kind == WindowKind::Bare || method == Method::Off {
            return Self::default();
        }
        let ns = |instructions: f64| instructions * speed.ns_per_instruction;
        let waits = Self {
            wait_ns: speed.wait_ns.unwrap_or_else(|| ns(WAIT)),
            ..Self::default()
        };
        let costs = match instructions(kind, method, arrangement) {
            Some(known) => waits.with(&known, speed),
            None => waits,
        };
        costs.with_calls(kind, speed)
    }

    /// Of the programs that follow a lock by task, in windows of holds or of spans: those of a mutex are taken for all.
    #[must_use]
    pub fn by_task(kind: WindowKind, method: Method, speed: Speed) -> Self {
        Self {
            passing_ns: PASSING * speed.ns_per_instruction,
            switch_ns: SWITCH * speed.ns_per_instruction,
            ..Self::of(WindowKind::Waits, method, None, speed).with(&MUTEX, speed)
        }
        .with_calls(kind, speed)
    }

    fn with_calls(self, kind: WindowKind, speed: Speed) -> Self {
        let call_ns = match kind {
            WindowKind::Spans => CALL * speed.ns_per_instruction,
            _ => 0.0,
        };
        Self { call_ns, ..self }
    }

    fn with(self, known: &Instructions, speed: Speed) -> Self {
        let ns = |instructions: f64| instructions * speed.ns_per_instruction;
        Self {
            in_hold_ns: ns(known.in_hold),
            in_contended_hold_ns: ns(known.in_contended_hold),
            around_hold_ns: ns(known.pair - known.in_hold),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT: Option<Arrangement> = Some(Arrangement::Exit);

    fn null_hold(p50_ns: f64) -> NullHold {
        NullHold {
            holds: 1000,
            mean_ns: p50_ns,
            p50_ns,
        }
    }

    #[test]
    fn the_cheaper_kind_costs_less_everywhere() {
        for method in [Method::Fentry, Method::Kprobe] {
            for arrangement in [Arrangement::Exit, Arrangement::Robust, Arrangement::Inside] {
                let of = |kind| Costs::of(kind, method, Some(arrangement), Speed::assumed());
                let costs = WindowKind::ALL.map(of);
                for pair in costs.windows(2) {
                    assert!(pair[0].in_hold_ns <= pair[1].in_hold_ns, "{pair:?}");
                    assert!(pair[0].in_contended_hold_ns <= pair[1].in_contended_hold_ns);
                    assert!(pair[0].around_hold_ns >= 0.0 && pair[1].around_hold_ns >= 0.0);
                    assert!(pair[0].wait_ns <= pair[1].wait_ns);
                }
                assert_eq!(costs[0], Costs::default());
            }
        }
    }

    #[test]
    fn the_null_hold_tells_how_long_an_instruction_takes() {
        let speed = |p50_ns, run_time: &[RunTime]| {
            Speed::measured(
                &null_hold(p50_ns),
                WindowKind::Holds,
                Method::Fentry,
                EXIT,
                run_time,
            )
        };
        let costs = |speed| Costs::of(WindowKind::Holds, Method::Fentry, EXIT, speed);
        let known = costs(speed(504.0, &[]));
        assert_eq!(known.in_hold_ns, 74.0);
        assert_eq!(known.around_hold_ns, 2.0 * (727.0 - 37.0));
        assert_eq!(known.wait_ns, 2.0 * WAIT);
        // One that was not measured tells nothing.
        assert_eq!(costs(speed(0.0, &[])), costs(Speed::assumed()));
    }

    #[test]
    fn waits_cost_what_the_kernel_has_measured() {
        let run = |program: &str, ns_per_run| RunTime {
            program: program.to_owned(),
            runs: 100,
            ns_per_run,
        };
        let both = [
            run("contention_began", 3000.0),
            run("contention_ended", 400.0),
        ];
        for (run_time, expected) in [(&both[..], 3400.0), (&both[..1], WAIT)] {
            let speed = Speed::measured(
                &null_hold(252.0),
                WindowKind::Holds,
                Method::Fentry,
                EXIT,
                run_time,
            );
            let costs = Costs::of(WindowKind::Waits, Method::Fentry, EXIT, speed);
            assert_eq!(costs.wait_ns, expected);
            assert_eq!(costs.in_hold_ns, 0.0);
        }
    }
}
