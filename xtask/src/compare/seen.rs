//! Whether a boot of the first kernel has seen the lock that the comparison is about: else the others are not worth
//! their time. Of the others it may be the patch that a lock is not taken any more.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::process;
use serde_json::Value;

/// By what it is looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// The lockprof that reads recordings.
    pub lockprof: PathBuf,
    /// Whether there are boots by the wall clock, too, which knows waits.
    pub has_waits: bool,
}

impl Look {
    /// Why the recording in a folder has nothing of the lock.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn why_nothing(&self, folder: &Path) -> Result<Option<String>> {
        let mut command = Command::new(&self.lockprof);
        command.arg("report").arg(folder).args(["--format", "json"]);
        let json = process::output(&mut command)?;
        let report = serde_json::from_str(&json)
            .with_context(|| format!("lockprof report of {} printed no JSON", folder.display()))?;
        Ok(why_nothing(&report, self.has_waits))
    }
}

/// The same of what `lockprof report --format json` prints.
fn why_nothing(report: &Value, has_waits: bool) -> Option<String> {
    let lock = report["lock"]["name"].as_str().unwrap_or("the lock");
    let is_exact = report["tier"] == "exact";
    let mut sites = report["sites"].as_array().into_iter().flatten();
    let is_held = sites.any(|site| site["holds"].as_u64().is_some_and(|holds| holds > 0));
    if is_exact && !is_held {
        return Some(format!(
            "no hold of {lock} was seen: is it of this kind (NAME:KIND), and does the load take it (--workload)?"
        ));
    }
    (!is_exact && !has_waits).then(|| {
        format!(
            "holds of {lock} are not followed, and the instruction clock knows no waits: --clock wall compares those"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lock_that_was_not_taken_is_not_worth_more_boots() {
        let why = |tier: &str, sites: Value, has_waits| {
            let report = json!({"tier": tier, "sites": sites, "lock": {"name": "event_mutex"}});
            why_nothing(&report, has_waits).unwrap_or_default()
        };
        let (none, unknown) = (json!([{"holds": 0}]), json!([{"holds": null}]));
        for nothing in [json!([]), none, unknown] {
            let said = why("exact", nothing, true);
            assert!(said.contains("no hold of event_mutex"), "{said}");
        }
        let held = json!([{"holds": 0}, {"holds": 7}]);
        assert_eq!(why("exact", held, false), "");
        assert!(why("wait-only", json!([]), false).contains("--clock wall"));
        assert_eq!(why("wait-only", json!([]), true), "");
    }
}
