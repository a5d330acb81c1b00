//! Positive controls: lockprof does itself what its probes are there to see, and looks whether they do.
//!
//! A null hold is the shortest proof of those of holds, and a child's life of those of sites and spans. Waits
//! cannot be ordered: two threads contend a lock of their own until one of them was seen to wait.

mod contend;
mod fcntl;
mod file_position;
mod life;
mod memory_map;
mod own_holds;
mod prove;

pub use own_holds::OwnHolds;
pub use prove::{Circumstances, holds_not_proved, null_holds, prove, prove_holds, prove_life};
