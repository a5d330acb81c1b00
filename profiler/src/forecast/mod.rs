//! What a kernel is worth on a machine that one does not have: task lives per second against CPUs, by
//! a model of its locks. Pure.
//!
//! The model is a closed network of queues. Each CPU has one task, which works outside of the locks
//! (a delay that nobody queues for) and takes each lock in turn (a station with one server). What a
//! life asks of each, its *service demand*, is measured on the instruction clock, where it repeats;
//! `measured` makes it from the numbers of recordings, `network` solves the network exactly, and
//! `intervals` says how sure its answer is. [`ASSUMPTIONS`] is what the answer stands on, and belongs
//! beside it.

mod demand;
mod error;
mod intervals;
mod measured;
mod model;
mod network;
mod observer;
mod published;
mod rates;

pub use demand::{Demand, KernelDemands, LifeDemands, LockDemand};
pub use error::ForecastError;
pub use intervals::{Estimate, Interval, LEAST_BOOTS};
pub use measured::{
    CallTime, GuardedCalls, LifeMeasures, SiteHolds, TARGET_LOCK, call_time, demands,
};
pub use model::{
    BUSY, CURVE_CPUS, CurvePoint, Forecast, KernelForecast, LockForecast, NextLimit, TABLE_CPUS,
    forecast,
};
pub use network::throughput;
pub use observer::{OBSERVER, ObserverPoint};
pub use published::{PUBLISHED, PublishedPoint};
pub use rates::MOST_CPUS;

/// What a forecast is, in one sentence: it stands wherever its numbers stand.
pub const LABEL: &str = "A model's forecast from instruction counts, not a measurement.";

/// What an interval of a forecast is.
pub const INTERVALS: &str = "An interval spans the 95 % bootstrap intervals over boots with all, a null \
     hold's part and none of the profiler's cost taken off the holds of every kernel. It says nothing \
     of how well the model fits the machine.";

/// What the forecast stands on, each a sentence.
pub const ASSUMPTIONS: &[&str] = &[
    "Closed: there is one task a CPU, and each begins its next life at once.",
    "A life visits each lock for its service demand, counted in guest instructions on one CPU; the rest \
     of the life runs beside the others and waits for nothing.",
    "Each lock is served first come, first served, and its service times vary as an exponential \
     distribution does. Holds that are all alike wait less about the knee and gain less there: in a \
     simulation 7 % in place of 10 % at 24 CPUs.",
    "A hold is as long with many CPUs as with one: no slow-down by cache lines that move between CPUs, by \
     NUMA, or by readers of the lock.",
    "An instruction takes the same time inside and outside of holds, and with any number of CPUs.",
    "A CPU that spins for a lock takes nothing from the others: no shared hardware threads, no host.",
    "Work inside a hold of tasklist_lock belongs to tasklist_lock. A lock that is taken there has only what \
     is done outside of that hold, and a holder never waits for it: where one does, a kernel with such \
     work inside has fewer lives than forecast.",
    "A call counts as a hold of the lock that it guards from its beginning to its end, which is more than \
     it holds the lock.",
    "Locks that no demand was given for are never waited for.",
];
