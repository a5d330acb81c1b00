//! Set-up, build, tests and the lab of lockprof: what stands behind `cargo xtask`.

pub mod apt;
pub mod bench;
pub mod cargo;
pub mod checkout;
pub mod compare;
pub mod doctor;
pub mod guest;
pub mod kernel;
pub mod kernels;
pub mod lock;
pub mod paths;
pub mod process;
pub mod run;
pub mod setup;
pub mod signals;
pub mod test;
pub mod toolchain;
pub mod vm;
pub mod workers;
