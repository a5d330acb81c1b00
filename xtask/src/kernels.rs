//! `cargo xtask kernel`: the kernels for guests.

use anyhow::Result;
use clap::Subcommand;
use lab::kernel::build::{self, BuildRequest};
use lab::kernel::{self, Kernel};

use crate::setup::{self, Purpose};

/// `cargo xtask kernel`.
#[derive(Clone, Debug, Subcommand)]
pub enum KernelCommand {
    /// Show the kernels that are in the cache
    List,
    /// Fetch a kernel of Debian's into the cache
    Fetch {
        /// debian:SERIES, such as debian:6.12
        name: String,
        /// Look for a newer one even if the series is in the cache
        #[arg(long)]
        update: bool,
    },
    /// Build a kernel from source, with or without patches
    Build(BuildRequest),
}

/// Does it; of a kernel that was fetched or built the image's path is printed.
pub fn perform(command: &KernelCommand) -> Result<()> {
    let kernel = match command {
        KernelCommand::List => return kernel::list(),
        KernelCommand::Fetch { name, update } => kernel::fetch(name, *update)?,
        KernelCommand::Build(request) => build(request)?,
    };
    println!("{}", kernel.image.display());
    Ok(())
}

/// Builds a kernel, unless it has been built from the same before, and installs what that takes.
pub fn build(request: &BuildRequest) -> Result<Kernel> {
    // Nothing is installed for what cannot be built.
    request.check()?;
    setup::ensure(Purpose::Kernels)?;
    build::ensure(request)
}
