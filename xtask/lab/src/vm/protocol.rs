//! What the host and the guest's init say to each other.
//!
//! The host tells init what to do with a [`GuestScript`] in the initramfs. Init answers over the
//! second serial port with frames of a fixed header and a payload. The port is a raw terminal in
//! front of a file, so it loses and changes nothing; the header's mark is there to find a kernel
//! or a firmware that writes to the wrong port.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

/// Where the script lies in the initramfs.
pub const SCRIPT_PATH: &str = "/etc/lockprof-guest.json";
/// The serial port for frames, as the guest sees it.
pub const RESULTS_PORT: &str = "/dev/ttyS1";
/// The folder whose files come back to the host.
pub const OUT_DIR: &str = "/out";

const MARK: [u8; 2] = *b"Lp";
const HEADER: usize = 9;
/// Init never sends more in one frame; a longer length means that the stream is broken.
const MAX_PAYLOAD: u32 = 1 << 30;

/// One boot's work: its steps run in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GuestScript {
    /// The commands.
    pub steps: Vec<Step>,
    /// What the guest's random numbers begin with. A machine whose clock counts instructions repeats all
    /// else, its boot_id too: boots that are to be samples need different ones.
    #[serde(default)]
    pub seed: u64,
}

impl GuestScript {
    /// These steps, in a boot that is like every other one.
    #[must_use]
    pub fn of(steps: Vec<Step>) -> Self {
        Self { steps, seed: 0 }
    }
}

/// A command in the guest.
///
/// Init makes exactly one process for a step, and nothing else: no thread, no shell, no helper.
/// So the change of `processes` in /proc/stat between [`StepOutcome::stat_before`] and
/// [`StepOutcome::stat_after`] is the step itself, what it starts, and the kernel's own threads.
///
/// [`StepOutcome::stat_before`]: crate::vm::StepOutcome::stat_before
/// [`StepOutcome::stat_after`]: crate::vm::StepOutcome::stat_after
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Step {
    /// The program (a path, or a name in /bin) and its arguments; empty for a step that only
    /// writes files.
    pub argv: Vec<String>,
    /// Added to the environment, which is otherwise `PATH=/bin HOME=/ TERM=dumb`.
    pub env: BTreeMap<String, String>,
    /// Folders to be made before anything is written.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Files to be written before the program starts: (path, content).
    pub writes: Vec<(String, String)>,
    /// Go on with the next step while this one runs. After the last step init waits for all.
    pub background: bool,
    /// Only for a background step: the next step waits until this text was printed (or the step
    /// has ended).
    pub ready: Option<String>,
    /// Sleep so long before the program starts.
    pub delay_ms: u64,
    /// Send this signal to an earlier background step, by its index, before this step starts.
    pub signal_step: Option<(usize, i32)>,
    /// Starve an earlier background step, by its index, before this step starts: its first process is frozen in a
    /// cgroup of its own, so that it gets no time, and does not know.
    pub starve_step: Option<usize>,
    /// Wait until this earlier background step has ended, after its signal and before the delay.
    pub await_step: Option<usize>,
    /// Run as a user who is nobody else, with these capabilities (a mask as in /proc/PID/status), which the program
    /// and what it executes have as ambient ones; as root where there is none.
    #[serde(default)]
    pub unprivileged: Option<u64>,
}

impl Step {
    /// A step that runs `argv`.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Sets a sysctl, such as `kernel.kptr_restrict`, before the step starts.
    #[must_use]
    pub fn sysctl(self, name: &str, value: &str) -> Self {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.write(&path, value)
    }

    /// Writes a file of the guest before the step starts.
    #[must_use]
    pub fn write(mut self, path: &str, content: &str) -> Self {
        self.writes.push((path.to_owned(), content.to_owned()));
        self
    }

    /// Makes a folder of the guest before the step starts.
    #[must_use]
    pub fn folder(mut self, path: &str) -> Self {
        self.folders.push(path.to_owned());
        self
    }

    /// Sets a variable of the step's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the step as a user who is nobody else, with these ambient capabilities.
    #[must_use]
    pub fn unprivileged(mut self, capabilities: CapabilitySet) -> Self {
        self.unprivileged = Some(capabilities.bits());
        self
    }

    /// Lets the next step start while this one runs, as soon as it has printed `ready`.
    #[must_use]
    pub fn background(mut self, ready: Option<&str>) -> Self {
        self.background = true;
        self.ready = ready.map(str::to_owned);
        self
    }

    /// Sleeps before the start.
    #[must_use]
    pub fn delay(mut self, ms: u64) -> Self {
        self.delay_ms = ms;
        self
    }

    /// A step that ends an earlier background step with a signal and waits until it has ended.
    pub fn ending(step: usize, signal: i32) -> Self {
        Self {
            signal_step: Some((step, signal)),
            await_step: Some(step),
            ..Self::default()
        }
    }

    /// Sends a signal to an earlier background step before this one starts.
    #[must_use]
    pub fn signalling(mut self, step: usize, signal: i32) -> Self {
        self.signal_step = Some((step, signal));
        self
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The exit status, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Seconds of guest time from its start to its end.
    pub seconds: f64,
}

/// Kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Init runs; the payload is the kernel's release.
    Hello = 1,
    /// /proc/stat before a step's process is made.
    StatBefore = 2,
    /// Bytes of a step's standard output.
    Stdout = 3,
    /// Bytes of a step's standard error.
    Stderr = 4,
    /// A [`StepEnd`] as JSON.
    Ended = 5,
    /// /proc/stat after a step's process was reaped.
    StatAfter = 6,
    /// A file below [`OUT_DIR`]: a [`Place`](super::memory::Place) as JSON.
    File = 7,
    /// Something that init could not do, as text; the run has failed.
    Trouble = 8,
    /// Everything was done. A guest that ends without it has failed.
    Done = 9,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::StatBefore,
            3 => Self::Stdout,
            4 => Self::Stderr,
            5 => Self::Ended,
            6 => Self::StatAfter,
            7 => Self::File,
            8 => Self::Trouble,
            9 => Self::Done,
            _ => return None,
        })
    }
}

/// One message from init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What it says.
    pub kind: Kind,
    /// The step that it is about (0 where it is about none).
    pub step: u16,
    /// Its content.
    pub payload: Vec<u8>,
}

/// Writes one frame.
pub fn write_frame(out: &mut impl Write, kind: Kind, step: u16, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= MAX_PAYLOAD)
        .ok_or_else(|| io::Error::other("frame is too long"))?;
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&MARK);
    header[2] = kind as u8;
    header[3..5].copy_from_slice(&step.to_le_bytes());
    header[5..].copy_from_slice(&length.to_le_bytes());
    out.write_all(&header)?;
    out.write_all(payload)
}

/// Puts frames together from bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the stream has ended within a frame, if it has ended.
    pub fn is_cut(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The next whole frame, if there is one.
    pub fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some((&header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [m0, m1, kind, s0, s1, l0, l1, l2, l3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = Kind::from_byte(kind).filter(|_| [m0, m1] == MARK && length <= MAX_PAYLOAD);
        let Some(kind) = kind else {
            let text = format!("not a frame of the guest's init: {header:02x?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let Some(payload) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let frame = Frame {
            kind,
            step: u16::from_le_bytes([s0, s1]),
            payload: payload.to_vec(),
        };
        self.bytes.drain(..HEADER + length as usize);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire_however_it_cuts_them() {
        let sent = [
            (Kind::Hello, 0, b"6.12.0".to_vec()),
            (Kind::Stdout, 513, Vec::new()),
            (Kind::Done, 0, vec![0, 255, b'\n', b'\r']),
        ];
        let mut wire = Vec::new();
        for (kind, step, payload) in &sent {
            write_frame(&mut wire, *kind, *step, payload).unwrap();
        }
        for size in 1..=wire.len() {
            let mut frames = Frames::default();
            let mut received = Vec::new();
            for bytes in wire.chunks(size) {
                frames.push(bytes);
                while let Some(frame) = frames.take().unwrap() {
                    received.push((frame.kind, frame.step, frame.payload));
                }
            }
            assert_eq!(received, sent, "in pieces of {size}");
            assert!(!frames.is_cut());
        }
    }

    #[test]
    fn a_broken_stream_is_noticed() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Kind::Stderr, 1, b"abc").unwrap();
        for cut in 1..wire.len() {
            let mut frames = Frames::default();
            frames.push(&wire[..cut]);
            assert_eq!(frames.take().unwrap(), None, "cut at {cut}");
            assert!(frames.is_cut());
        }
        for (index, byte) in [(0, b'x'), (1, b'x'), (2, 0), (2, 77), (8, 255)] {
            let mut frames = Frames::default();
            let mut bad = wire.clone();
            bad[index] = byte;
            frames.push(&bad);
            let error = frames.take().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {index}");
        }
    }

    #[test]
    fn a_sysctl_is_a_file_below_proc_sys() {
        let step = Step::new(["lockprof", "doctor"]).sysctl("kernel.kptr_restrict", "2");
        assert_eq!(
            step.writes,
            [("/proc/sys/kernel/kptr_restrict".to_owned(), "2".to_owned())]
        );
    }
}
