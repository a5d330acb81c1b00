//! Where the checkout is that this xtask belongs to.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The root of the checkout: cargo says where xtask's manifest is; without cargo it is the
/// nearest folder above with a workspace that has an xtask.
pub fn root() -> Result<PathBuf> {
    if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR")
        && let Some(root) = Path::new(&manifest).parent()
        && root.join("xtask/Cargo.toml").is_file()
    {
        return Ok(root.to_owned());
    }
    let here = env::current_dir().context("cannot find the current folder")?;
    match here
        .ancestors()
        .find(|dir| dir.join("xtask/Cargo.toml").is_file())
    {
        Some(root) => Ok(root.to_owned()),
        None => bail!("{} is not in a checkout of lockprof", here.display()),
    }
}

/// Cargo's target folder.
pub fn target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(&dir)
            .with_context(|| format!("CARGO_TARGET_DIR: {}", Path::new(&dir).display())),
        None => Ok(root()?.join("target")),
    }
}
