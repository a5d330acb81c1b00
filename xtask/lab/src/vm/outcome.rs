//! What a boot brings back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Component, Path};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::memory::GuestMemory;
use super::protocol::{Frame, Kind, StepEnd};
use super::request::Show;
use crate::paths;

/// What a step did.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    /// Its exit status, or 128 + the signal that ended it, as a shell would say.
    pub status: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Seconds of guest time.
    pub seconds: f64,
    /// /proc/stat before its process was made.
    pub stat_before: String,
    /// /proc/stat after its process was reaped.
    pub stat_after: String,
}

impl StepOutcome {
    /// How many tasks the guest made meanwhile, the step's own process included.
    pub fn tasks_made(&self) -> Option<u64> {
        let processes = |stat: &str| {
            let line = stat
                .lines()
                .find_map(|line| line.strip_prefix("processes "))?;
            line.trim().parse::<u64>().ok()
        };
        processes(&self.stat_after)?.checked_sub(processes(&self.stat_before)?)
    }

    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// What a boot that reached its end brought back.
#[derive(Clone, Debug, Default)]
pub struct VmOutcome {
    /// The guest kernel's release.
    pub release: String,
    /// In the script's order.
    pub steps: Vec<StepOutcome>,
    /// Files below /out, by their path there.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The whole console.
    pub console: String,
    /// Why it was booted again: what the emulator did wrong in the boots before this one.
    pub again: Option<String>,
    /// From QEMU's start to init's first word.
    pub boot: Duration,
    /// From QEMU's start to its end.
    pub wall: Duration,
}

impl VmOutcome {
    /// The recording that lockprof has left in /out/NAME: under its temporary name, where it did not come to
    /// the end.
    pub fn recording(&self, name: &str) -> Result<Cow<'_, str>> {
        let path = format!("{name}/recording.jsonl");
        let partial = format!("{path}.partial");
        match self.files.get(&partial).or(self.files.get(&path)) {
            Some(content) => Ok(String::from_utf8_lossy(content)),
            None => bail!("the guest left no {path}"),
        }
    }

    /// Writes the files of the guest's /out into a folder of the host.
    pub fn write_files(&self, folder: &Path) -> Result<()> {
        for (name, content) in &self.files {
            // Only init makes these names, but a guest is a guest: nothing leaves the folder.
            let inside = Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                bail!("the guest sent a file with the name {name:?}");
            }
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                paths::make(parent.to_owned())?;
            }
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn step(&mut self, index: u16) -> &mut StepOutcome {
        let index = usize::from(index);
        if self.steps.len() <= index {
            self.steps.resize(index + 1, StepOutcome::default());
        }
        &mut self.steps[index]
    }

    /// Takes what a frame says into the outcome. `Err` is trouble that init reports.
    pub(super) fn take(&mut self, frame: Frame, memory: &GuestMemory, show: Show) -> Result<()> {
        let Frame {
            kind,
            step,
            payload,
        } = frame;
        let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
        match kind {
            Kind::Hello => self.release = text(&payload),
            Kind::StatBefore => self.step(step).stat_before = text(&payload),
            Kind::StatAfter => self.step(step).stat_after = text(&payload),
            Kind::Stdout => {
                if show.steps {
                    pass_on(&mut std::io::stdout(), &payload);
                }
                self.step(step).stdout.extend(payload);
            }
            Kind::Stderr => {
                if show.steps {
                    pass_on(&mut std::io::stderr(), &payload);
                }
                self.step(step).stderr.extend(payload);
            }
            Kind::Ended => {
                let end: StepEnd =
                    serde_json::from_slice(&payload).context("cannot read how a step ended")?;
                let step = self.step(step);
                step.signal = end.signal;
                step.seconds = end.seconds;
                step.status = end
                    .code
                    .or(end.signal.map(|signal| 128 + signal))
                    .unwrap_or(1);
            }
            Kind::File => {
                let place =
                    serde_json::from_slice(&payload).context("cannot read where a file is")?;
                let content = memory.read(&place)?;
                self.files.insert(place.name, content);
            }
            Kind::Trouble => bail!("{}", text(&payload)),
            Kind::Done => {}
        }
        Ok(())
    }
}

/// A reader that went away (`| head`) does not stop the guest.
fn pass_on(out: &mut impl Write, bytes: &[u8]) {
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::super::memory;
    use super::*;

    #[test]
    fn frames_become_an_outcome() {
        let memory = GuestMemory::new(1).unwrap();
        let place = memory::Place {
            name: "d/recording.jsonl".to_owned(),
            length: 2,
            runs: vec![(5, 1)],
            checksum: memory::checksum(&[0, 0]),
            ..memory::Place::default()
        };
        let mut outcome = VmOutcome::default();
        let frames = [
            (Kind::Hello, 0, "6.1.0".to_owned()),
            (Kind::StatBefore, 1, "cpu 1\nprocesses 100\n".to_owned()),
            (Kind::Stdout, 1, "a".to_owned()),
            (Kind::Stderr, 1, "e".to_owned()),
            (Kind::Stdout, 1, "b".to_owned()),
            (Kind::StatAfter, 1, "processes 142\nx".to_owned()),
            (
                Kind::Ended,
                1,
                r#"{"code":null,"signal":9,"seconds":1.5}"#.to_owned(),
            ),
            (Kind::File, 0, serde_json::to_string(&place).unwrap()),
        ];
        for (kind, step, payload) in frames {
            let payload = payload.into_bytes();
            outcome
                .take(
                    Frame {
                        kind,
                        step,
                        payload,
                    },
                    &memory,
                    Show::default(),
                )
                .unwrap();
        }
        let step = &outcome.steps[1];
        assert_eq!(
            (step.text().as_str(), step.stderr.as_slice()),
            ("ab", b"e".as_slice())
        );
        assert_eq!((step.status, step.signal), (137, Some(9)));
        assert_eq!(step.tasks_made(), Some(42));
        assert_eq!(outcome.steps[0].tasks_made(), None);
        assert_eq!(outcome.files["d/recording.jsonl"], [0, 0]);
    }

    #[test]
    fn a_file_cannot_leave_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/etc/x", "a/../../x"] {
            let files = BTreeMap::from([(name.to_owned(), Vec::new())]);
            let outcome = VmOutcome {
                files,
                ..VmOutcome::default()
            };
            assert!(outcome.write_files(folder.path()).is_err(), "{name}");
        }
        let files = BTreeMap::from([("a/b".to_owned(), b"x".to_vec())]);
        let outcome = VmOutcome {
            files,
            ..VmOutcome::default()
        };
        outcome.write_files(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("a/b")).unwrap(), b"x");
    }
}
