//! A kernel that can be booted, and the files in its folder.

use std::fs;
use std::path::PathBuf;

/// The bootable image's file name in a kernel's folder.
pub const IMAGE: &str = "vmlinuz";
/// And its image with symbols, of a kernel that was built here.
pub const SYMBOLS: &str = "vmlinux";
/// The configuration's file name in a kernel's folder.
pub const CONFIG: &str = "config";
/// The file in a built kernel's folder that says what it was built from.
pub const KEY: &str = "key";

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What the user calls it.
    pub name: String,
    /// Its bzImage.
    pub image: PathBuf,
}

impl Kernel {
    /// What a built kernel was built from, as one word.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let text = fs::read_to_string(self.image.with_file_name(KEY)).ok()?;
        Some(text.trim().to_owned())
    }
}
