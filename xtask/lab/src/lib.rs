//! The lab: any kernel booted in a throw-away virtual machine, with commands to run in it, and what they
//! printed and wrote brought back.
//!
//! [`kernel`] has the kernels: Debian's, fetched by a private [`apt`], the user's, and built ones with and
//! without patches. [`vm`] boots one under QEMU, with an initramfs of init and what files the caller adds;
//! the guest's init is this crate's program `guest-init`, and [`vm::protocol`] is what the two say to each
//! other. The rest is what both stand on: children that end with us, signals, locks between processes, and
//! the user's cache.
//!
//! The lab installs nothing on this machine and builds nothing of this repository's: whoever calls it does
//! that before, and gives it the files.

pub mod apt;
pub mod kernel;
pub mod lock;
pub mod paths;
pub mod process;
pub mod signals;
pub mod vm;
