//! The kernel side from user space: loading, attaching, reading and detaching the programs.

pub mod calibrate;
pub mod controls;
pub mod cpus;
pub mod kernel_calls;
pub mod learn;
mod link_info;
pub mod links;
pub mod memory;
pub mod misses;
mod object;
pub mod programs;
