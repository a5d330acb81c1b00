//! What a guest boots into: init, its script, and the files that a request adds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::protocol::{GuestScript, OUT_DIR, SCRIPT_PATH};

/// Folders that init mounts something on.
const MOUNT_POINTS: [&str; 6] = ["/dev", "/proc", "/sys", "/tmp", "/run", OUT_DIR];

/// A file of the host that the guest gets.
#[derive(Clone, Debug)]
pub struct GuestFile {
    /// Its path in the guest.
    pub guest: String,
    /// Where it is on the host; its permission bits are kept.
    pub host: PathBuf,
}

/// The initramfs as the bytes of a cpio archive.
pub(super) fn build(init: &Path, script: &GuestScript, files: &[GuestFile]) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for place in MOUNT_POINTS {
        archive.directory(place);
    }
    // The kernel opens it for init's own streams, before init can mount a /dev.
    archive.character_device("/dev/console", 5, 1);
    archive.file("/init", 0o755, &read(init)?);
    let script = serde_json::to_vec_pretty(script).context("cannot write the guest's script")?;
    archive.file(SCRIPT_PATH, 0o644, &script);
    for file in files {
        let mode = fs::metadata(&file.host)
            .with_context(|| format!("cannot read {}", file.host.display()))?
            .permissions()
            .mode();
        archive.file(&file.guest, mode, &read(&file.host)?);
    }
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
