//! What stands behind `cargo xtask`: set-up, builds, tests and measurements of lockprof, in the VMs of the crate `lab`.

pub mod bench;
pub mod cargo;
pub mod checkout;
pub mod compare;
pub mod doctor;
pub mod guest;
pub mod kernels;
pub mod run;
pub mod setup;
pub mod test;
pub mod toolchain;
pub mod workers;
