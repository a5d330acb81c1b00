//! What a kernel is worth on a machine that one does not have: task lives, or iterations of the load, per second against
//! CPUs, by a model of its locks. Pure.
//!
//! The model is a closed network of queues. Each CPU has one task, which works outside of the locks
//! (a delay that nobody queues for) and takes each lock in turn (a station with one server): a *round*,
//! which is a task's life or an iteration of the load ([`WorkUnit`](crate::work_unit::WorkUnit)). What a
//! round asks of each, its *service demand*, is measured on the instruction clock, where it repeats;
//! `measured` makes it from the numbers of recordings, `network` solves the network exactly, and
//! `intervals` says how sure its answer is. [`Subject::assumptions`] is what the answer stands on, and belongs
//! beside it. A lock whose holds nobody followed is no station: what is asked of it is unknown, and that is said.

mod demand;
mod error;
mod intervals;
mod measured;
mod model;
mod network;
mod observer;
mod published;
mod rates;
mod subject;

pub use demand::{Demand, KernelDemands, LockDemand, RoundDemands};
pub use error::ForecastError;
pub use intervals::{Estimate, Interval, LEAST_BOOTS};
pub use measured::{CallTime, GuardedCalls, RoundMeasures, SiteHolds, call_time, demands};
pub use model::{
    BUSY, CURVE_CPUS, CurvePoint, Forecast, KernelForecast, LockForecast, NextLimit, TABLE_CPUS,
    forecast,
};
pub use network::throughput;
pub use observer::ObserverPoint;
pub use published::{PUBLISHED, PublishedPoint};
pub use rates::MOST_CPUS;
pub use subject::Subject;

/// What a forecast is, in one sentence: it stands wherever its numbers stand.
pub const LABEL: &str = "A model's forecast from instruction counts, not a measurement.";
