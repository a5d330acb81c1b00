//! What a guest's recording says, by `lockprof report --format json` on this machine.

use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use lab::vm::VmOutcome;
use serde_json::Value;

use super::round::Lab;

/// The exit status of a report of a void run.
const VOID: i32 = 3;

/// Holds by length: from, to, and how many.
pub type ByLength = Vec<(f64, f64, f64)>;

/// The summary of a recording.
#[derive(Clone, Debug)]
pub struct Summary {
    name: String,
    json: Value,
    /// Losses from attach to detach, in warm-up and ending too, where reports leave them out.
    pub lost_while_attached: u64,
}

impl Summary {
    /// The summary of the recording that a step left in `/out/NAME`.
    pub fn of(lab: &Lab<'_>, outcome: &VmOutcome, name: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for a recording")?;
        outcome.write_files(folder.path())?;
        let lines = lines_of(outcome, name)?;
        let output = Command::new(&lab.binaries.lockprof)
            .args(["report", "--format", "json"])
            .arg(folder.path().join(name))
            .output()
            .context("cannot start lockprof")?;
        // Of a void run the report is shown as well: the test says what was lost.
        if !output.status.success() && output.status.code() != Some(VOID) {
            let text = outcome.recording(name)?;
            bail!(
                "cannot report the recording {name}: {}it begins {text:.400}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let json = serde_json::from_str(&text)
            .with_context(|| format!("the summary of {name} is not JSON"))?;
        Ok(Self {
            name: name.to_owned(),
            json,
            lost_while_attached: lines.iter().map(losses_of).sum(),
        })
    }

    /// A value by its path, such as `/lock/address`.
    pub fn value(&self, path: &str) -> Result<&Value> {
        self.json
            .pointer(path)
            .ok_or_else(|| anyhow!("the summary of {} has no {path}", self.name))
    }

    /// A count by its path.
    pub fn count(&self, path: &str) -> Result<u64> {
        let value = self.value(path)?;
        value
            .as_u64()
            .ok_or_else(|| anyhow!("{path} of {} is {value}, not a count", self.name))
    }

    /// A number by its path.
    pub fn number(&self, path: &str) -> Result<f64> {
        let value = self.value(path)?;
        value
            .as_f64()
            .ok_or_else(|| anyhow!("{path} of {} is {value}, not a number", self.name))
    }

    /// A text by its path.
    pub fn text(&self, path: &str) -> Result<&str> {
        let value = self.value(path)?;
        value
            .as_str()
            .ok_or_else(|| anyhow!("{path} of {} is {value}, not a text", self.name))
    }

    /// The rows of a list.
    pub fn rows(&self, path: &str) -> Result<&[Value]> {
        let value = self.value(path)?;
        value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| anyhow!("{path} of {} is no list", self.name))
    }

    /// Holds of a site from attach to detach; 0 where it had none.
    pub fn attached_holds(&self, site: &str) -> Result<u64> {
        let holds = self.value("/attached/holds")?;
        let holds = holds
            .as_object()
            .ok_or_else(|| anyhow!("no holds were measured in {}", self.name))?;
        Ok(holds.get(site).and_then(Value::as_u64).unwrap_or(0))
    }

    /// Holds of all sites from attach to detach.
    pub fn all_attached_holds(&self) -> Result<u64> {
        let holds = self.value("/attached/holds")?.as_object();
        let holds = holds.ok_or_else(|| anyhow!("no holds were measured in {}", self.name))?;
        Ok(holds.values().filter_map(Value::as_u64).sum())
    }

    /// Measured holds of a site; 0 where it had none.
    pub fn holds(&self, site: &str) -> Result<u64> {
        let rows = self.rows("/sites")?;
        let row = rows.iter().find(|row| row["name"] == site);
        Ok(row.and_then(|row| row["holds"].as_u64()).unwrap_or(0))
    }

    /// Holds of all sites by length, as the report's buckets have them.
    pub fn holds_by_length(&self) -> Result<ByLength> {
        let rows = self.rows("/sites")?.iter();
        let buckets = rows.filter_map(|row| row["hold_ns"]["buckets"].as_array());
        let buckets = buckets.flatten().map(|bucket| {
            let number = |index: usize| bucket[index].as_f64();
            let (Some(from), Some(to), Some(count)) = (number(0), number(1), number(2)) else {
                bail!("{bucket} of {} is no bucket of holds", self.name);
            };
            Ok((from, to, count))
        });
        buckets.collect()
    }

    /// The mean hold of a site.
    pub fn mean_hold(&self, site: &str) -> Result<f64> {
        let rows = self.rows("/sites")?;
        rows.iter()
            .find(|row| row["name"] == site)
            .and_then(|row| row["hold_ns"]["mean"].as_f64())
            .ok_or_else(|| anyhow!("{} has no mean hold of {site}", self.name))
    }

    /// A number of the lengths of the holds of setsid: `max`, `p50`.
    pub fn setsid(&self, what: &str) -> Result<f64> {
        let rows = self.rows("/sites")?;
        rows.iter()
            .find(|row| row["name"] == "setsid")
            .and_then(|row| row["hold_ns"][what].as_f64())
            .ok_or_else(|| anyhow!("{} has no {what} of the holds of setsid", self.name))
    }

    /// Calls of a span from attach to detach: all, with those that the kernel says it has skipped,
    /// and those inside a hold.
    pub fn span_with_missed(&self, span: &str) -> Result<(u64, u64)> {
        let row = self.value(&format!("/attached/spans/{span}"))?;
        let (Some(calls), Some(in_hold)) = (row["calls"].as_u64(), row["calls_in_hold"].as_u64())
        else {
            bail!("{} has no counts of {span}: {row}", self.name);
        };
        let entered = format!("span_entered_{span}");
        let is_of = |program: &str| {
            let prefixes = ["", "kprobe_", "task_"];
            prefixes
                .into_iter()
                .any(|prefix| program.strip_prefix(prefix) == Some(&entered))
        };
        let missed = self.value("/attached/missed")?.as_object();
        let missed: u64 = missed
            .into_iter()
            .flatten()
            .filter(|(program, _)| is_of(program))
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        Ok((calls + missed, in_hold))
    }

    /// Fails unless nothing that belongs to a hold was lost, and the run is not void.
    pub fn nothing_was_lost_in_holds(&self) -> Result<()> {
        for (loss, count) in self
            .value("/losses/counted")?
            .as_object()
            .into_iter()
            .flatten()
        {
            let of_holds = [
                "hold_",
                "entry_",
                "span_",
                "wait_unclaimed",
                "target_",
                "clock_",
            ];
            let matters = of_holds.iter().any(|start| loss.starts_with(start));
            if matters && count.as_u64() != Some(0) {
                bail!("{}: {loss} is {count}", self.name);
            }
        }
        self.is_sound()
    }

    /// Fails where the run is void.
    pub fn is_valid(&self) -> Result<()> {
        equal(
            &format!("{}: void", self.name),
            self.value("/void")?,
            &Value::Bool(false),
        )
    }

    /// Fails unless nothing of the target lock was lost, and the run is not void.
    pub fn is_sound(&self) -> Result<()> {
        let lost = self.count("/losses/target_losses")?;
        if lost != 0 || self.value("/void")? != &Value::Bool(false) {
            bail!(
                "{}: {lost} events of the lock were lost: {}",
                self.name,
                self.value("/losses")?
            );
        }
        Ok(())
    }

    /// Fails unless the sums over CPUs are those over writers' sites.
    pub fn cpus_agree_with_sites(&self) -> Result<()> {
        for field in ["holds", "held_ns", "contended", "waited_ns"] {
            let sum = |list: &str| -> Result<u64> {
                let rows = self.rows(list)?.iter();
                Ok(rows.filter_map(|row| row[field].as_u64()).sum())
            };
            equal(
                &format!("{}: {field} over CPUs and over sites", self.name),
                sum("/cpus")?,
                sum("/sites")?,
            )?;
        }
        Ok(())
    }
}

/// Fails with both values unless they are the same.
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, first: T, second: T) -> Result<()> {
    if first == second {
        Ok(())
    } else {
        bail!("{what}: {first:?} is not {second:?}")
    }
}

/// The lines of the recording that a step left in `/out/NAME`.
pub(super) fn lines_of(outcome: &VmOutcome, name: &str) -> Result<Vec<Value>> {
    let text = outcome.recording(name)?;
    let lines = text.lines().map(serde_json::from_str);
    let lines: Result<_, _> = lines.collect();
    lines.with_context(|| format!("a line of the recording of {name} is not JSON"))
}

/// Everything that an interval has lost: what the programs count, and runs of them that the kernel refused.
pub(super) fn losses_of(interval: &Value) -> u64 {
    ["losses", "missed"]
        .iter()
        .filter_map(|kind| interval[*kind].as_object())
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}
