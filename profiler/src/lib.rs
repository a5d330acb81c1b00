//! lockprof: how long a kernel lock is held, by whom, doing what, and who waits for it.
//!
//! `kernel` says what the running kernel allows, `probe` attaches the eBPF programs, `daemon` reads
//! them and writes a `recording`; `profile` is what a recording says, and `export` shows it.

pub mod cli;
pub mod compare;
pub mod daemon;
pub mod doctor;
pub mod export;
pub mod file_size;
pub mod forecast;
pub mod guard;
pub mod kernel;
pub mod known_locks;
pub mod offspring;
pub mod probe;
pub mod proc;
pub mod profile;
pub mod profile_file;
pub mod recording;
pub mod renounce;
pub mod report;
pub mod run;
pub mod site;
pub mod span;
pub mod statistics;
pub mod tell;
pub mod text;
pub mod units;
pub mod work_unit;
