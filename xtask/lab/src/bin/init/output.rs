//! What goes back to the host: frames over the second serial port, and files by the place in
//! memory where the host finds them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lab::vm::memory::{PAGE, Place, add_page, checksum};
use lab::vm::protocol::{Kind, RESULTS_PORT, write_frame};

/// The serial port that frames go over.
pub struct Port(File);

impl Port {
    /// Opens it, raw.
    pub fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(RESULTS_PORT)?;
        // SAFETY: termios is plain integers, for which zero bytes are valid; tcgetattr() fills it
        // or fails, and the pointers are to this one live value.
        unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(file.as_raw_fd(), &raw mut mode) != 0 {
                return Err(io::Error::last_os_error());
            }
            // Raw, or the terminal would turn every newline of a frame into two bytes.
            libc::cfmakeraw(&raw mut mode);
            mode.c_cflag = (mode.c_cflag | libc::CLOCAL) & !libc::CRTSCTS;
            if libc::tcsetattr(file.as_raw_fd(), libc::TCSANOW, &raw const mode) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self(file))
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: Kind, step: u16, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 16);
        write_frame(&mut frame, kind, step, payload)?;
        self.0
            .write_all(&frame)
            .context("cannot write to the results port")
    }

    /// Waits until everything is sent.
    pub fn drain(&mut self) {
        // SAFETY: takes the descriptor of an open file.
        unsafe { libc::tcdrain(self.0.as_raw_fd()) };
    }
}

/// Sends where the files of a folder lie, and of those in it.
pub fn send_files(port: &mut Port, folder: &Path, below: &str) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            send_files(port, &entry.path(), &format!("{name}/"))?;
        } else {
            let content =
                fs::read(entry.path()).with_context(|| format!("cannot read /out/{name}"))?;
            let place = locate(name, &content)?;
            // The host reads it there, and the guest never needs the memory again.
            std::mem::forget(content);
            port.send(Kind::File, 0, &serde_json::to_vec(&place)?)?;
        }
    }
    Ok(())
}

/// Finds the physical pages of some bytes, by Documentation/admin-guide/mm/pagemap.rst.
fn locate(name: String, content: &[u8]) -> Result<Place> {
    let start = content.as_ptr() as u64;
    let offset = start % PAGE;
    let pages = if content.is_empty() {
        0
    } else {
        (offset + content.len() as u64).div_ceil(PAGE)
    };
    let mut entries = vec![0; pages as usize * 8];
    File::open("/proc/self/pagemap")
        .and_then(|map| map.read_exact_at(&mut entries, start / PAGE * 8))
        .context("cannot read /proc/self/pagemap")?;
    let mut runs = Vec::new();
    for entry in entries.chunks_exact(8) {
        let entry = entry
            .iter()
            .rev()
            .fold(0, |entry, byte| entry << 8 | u64::from(*byte));
        let (present, page) = (entry >> 63 == 1, entry & ((1 << 55) - 1));
        if !present || page == 0 {
            bail!("a page of {name} is not in memory");
        }
        add_page(&mut runs, page);
    }
    Ok(Place {
        name,
        offset: if content.is_empty() { 0 } else { offset },
        length: content.len() as u64,
        runs,
        checksum: checksum(content),
    })
}
