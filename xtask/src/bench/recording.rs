//! What the bench reads in a recording: the daemon's own cost, line by line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lab::vm::VmOutcome;
use serde_json::Value;

use super::statistics::median;

/// A recording's lines.
#[derive(Clone, Debug)]
pub struct Recording {
    lines: Vec<Value>,
    bytes_of_intervals: usize,
}

impl Recording {
    /// The one that a guest has left in /out/NAME.
    pub fn of(outcome: &VmOutcome, name: &str) -> Result<Self> {
        Self::parse(&outcome.recording(name)?)
    }

    /// The one in a folder of this machine.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("recording.jsonl");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        let mut bytes_of_intervals = 0;
        for line in text.lines() {
            let value: Value = serde_json::from_str(line)
                .with_context(|| format!("not a line of a recording: {line:.80}"))?;
            if is_measured(&value) {
                bytes_of_intervals += line.len() + 1;
            }
            lines.push(value);
        }
        Ok(Self {
            lines,
            bytes_of_intervals,
        })
    }

    fn measured(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(|line| is_measured(line))
    }

    fn sum(&self, path: &str) -> f64 {
        let numbers = self
            .measured()
            .filter_map(|line| line.pointer(path)?.as_f64());
        numbers.sum()
    }

    /// Intervals of the measured time.
    pub fn intervals(&self) -> usize {
        self.measured().count()
    }

    /// The median of the daemon's CPU time in one interval, in seconds. The first and the last are left
    /// out: they begin and end at other times.
    pub fn cpu_s_of_an_interval(&self) -> f64 {
        let all = self
            .measured()
            .filter_map(|line| line.pointer("/own/cpu_s")?.as_f64());
        let all = all.collect::<Vec<_>>();
        let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
        median(if inner.is_empty() { &all } else { inner })
    }

    /// The daemon's CPU time by time, as a share of one CPU.
    pub fn cpu_share(&self) -> f64 {
        self.sum("/own/cpu_s") / self.sum("/seconds")
    }

    /// The largest resident memory at an interval's end.
    pub fn resident_bytes(&self) -> u64 {
        let sizes = self
            .measured()
            .filter_map(|line| line.pointer("/own/resident_bytes")?.as_u64());
        sizes.max().unwrap_or(0)
    }

    /// What a minute of measured intervals takes on disk.
    pub fn bytes_per_minute(&self) -> f64 {
        self.bytes_of_intervals as f64 / self.sum("/seconds") * 60.0
    }

    /// A number of the footer.
    pub fn footer(&self, field: &str) -> Result<f64> {
        let footer = self.lines.iter().rfind(|line| line["line"] == "footer");
        let number = footer.and_then(|footer| footer[field].as_f64());
        number.with_context(|| format!("the recording's footer has no {field}"))
    }

    /// Iterations a second of the load that was started with the run.
    pub fn per_second(&self) -> Result<f64> {
        let footer = self.lines.iter().rfind(|line| line["line"] == "footer");
        let rate = footer.and_then(|footer| footer.pointer("/ground_truth/per_second")?.as_f64());
        rate.context("the recording does not tell how often its load has iterated")
    }

    /// A text of the header.
    pub fn header(&self, path: &str) -> Result<&str> {
        let text = self
            .lines
            .first()
            .and_then(|header| header.pointer(path)?.as_str());
        text.with_context(|| format!("the recording's header has no {path}"))
    }

    /// The same recording, as if it were of this boot.
    pub fn of_boot(&self, boot_id: &str) -> Result<String> {
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            let mut line = line.clone();
            if index == 0 {
                let known = line.pointer_mut("/kernel/boot_id");
                *known.context("the recording's header has no boot_id")? = boot_id.into();
            }
            text.push_str(&line.to_string());
            text.push('\n');
        }
        Ok(text)
    }

    /// The same recording with its measured intervals repeated until there are `count` of them, one
    /// behind the other in time.
    pub fn prolonged(&self, count: usize) -> Result<String> {
        let measured = self.measured().collect::<Vec<_>>();
        let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
            bail!("the recording has no measured interval");
        };
        let at = |line: &Value| line["at_s"].as_f64().unwrap_or(0.0);
        let length = at(last) - at(first) + last["seconds"].as_f64().unwrap_or(1.0);
        let end = self.lines.iter().rposition(is_measured).unwrap_or(0);
        let later = (count / measured.len() + 1) as f64 * length;
        let mut text = String::new();
        let mut add = |line: &Value, shift: f64| {
            let mut line = line.clone();
            if shift > 0.0 && line["line"] == "interval" {
                line["at_s"] = (at(&line) + shift).into();
            }
            text.push_str(&line.to_string());
            text.push('\n');
        };
        for (index, line) in self.lines.iter().enumerate() {
            if index > end {
                add(line, later);
            } else if !is_measured(line) {
                add(line, 0.0);
            } else if index == end {
                for number in 0..count {
                    let round = (number / measured.len()) as f64;
                    add(measured[number % measured.len()], round * length);
                }
            }
        }
        Ok(text)
    }
}

fn is_measured(line: &Value) -> bool {
    line["line"] == "interval" && line["phase"] == "measured"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"line":"header","tier":"exact"}
{"line":"interval","phase":"warm_up","at_s":1.0,"seconds":1.0,"own":{"cpu_s":9.0,"resident_bytes":900}}
{"line":"interval","phase":"measured","at_s":2.0,"seconds":1.0,"own":{"cpu_s":0.5,"resident_bytes":10}}
{"line":"interval","phase":"measured","at_s":3.0,"seconds":1.0,"own":{"cpu_s":0.1,"resident_bytes":30}}
{"line":"interval","phase":"measured","at_s":4.0,"seconds":1.0,"own":{"cpu_s":0.3,"resident_bytes":20}}
{"line":"footer","detach_s":0.25}
"#;

    #[test]
    fn the_daemons_cost_is_that_of_measured_intervals() {
        let recording = Recording::parse(TEXT).unwrap();
        assert_eq!(recording.intervals(), 3);
        assert_eq!(recording.cpu_s_of_an_interval(), 0.1);
        assert!((recording.cpu_share() - 0.3).abs() < 1e-9);
        assert_eq!(recording.resident_bytes(), 30);
        assert_eq!(recording.footer("detach_s").unwrap(), 0.25);
        assert!(recording.footer("x").is_err());
        assert_eq!(recording.header("/tier").unwrap(), "exact");
        let line = TEXT.lines().nth(2).unwrap().len() as f64 + 1.0;
        assert!((recording.bytes_per_minute() - line * 60.0).abs() < 1e-6);
    }

    #[test]
    fn a_prolonged_recording_goes_on_in_time() {
        let long = Recording::parse(TEXT).unwrap().prolonged(7).unwrap();
        let long = Recording::parse(&long).unwrap();
        assert_eq!(long.intervals(), 7);
        let times = long.lines.iter().filter_map(|line| line["at_s"].as_f64());
        let times = times.collect::<Vec<_>>();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(times.last(), Some(&8.0));
        assert_eq!(long.footer("detach_s").unwrap(), 0.25);
    }
}
