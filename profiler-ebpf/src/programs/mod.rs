//! The entry points by subject; the bodies stand beside them.

mod blame;
mod booking;
mod caller;
mod constants;
mod contention;
mod hold;
mod interrupts;
mod learn;
mod maps;
mod memory;
mod mutex;
mod off_cpu;
mod owners;
mod percpu_rwsem;
mod reader;
mod rwlock;
mod rwsem;
mod site;
mod span;
mod span_by_task;
mod task;
mod task_hold;
mod wait;
mod waiters;
