//! The configuration: the lab's, with what the user wants on top.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The lab's own.
const LAB: &str = include_str!("../../../kernel.config");
/// What is different in Linux 7.
const LINUX_7: &str = include_str!("../../../kernel-7.config");

/// What is asked for of a source of Debian's, by its series, or of a user's, in one text.
pub fn fragment(series: Option<&str>, user: Option<&Path>) -> Result<String> {
    let lab = if series.is_some_and(|series| series.starts_with("7.")) {
        format!("{LAB}\n{LINUX_7}")
    } else {
        LAB.to_owned()
    };
    let Some(path) = user else {
        return Ok(lab);
    };
    let more = fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    if let Some((number, line)) = more
        .lines()
        .enumerate()
        .find(|(_, line)| !is_known_form(line.trim()))
    {
        bail!(
            "{}:{}: {line:?} is no line of a configuration: CONFIG_X=y, or # CONFIG_X is not set",
            path.display(),
            number + 1
        );
    }
    Ok(format!("{lab}\n{more}\n"))
}

fn is_known_form(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || option(line).is_some()
}

/// An option and its value; `n` of one that is not set.
fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(name) = line
        .strip_prefix("# ")
        .and_then(|line| line.strip_suffix(" is not set"))
    {
        return name.starts_with("CONFIG_").then_some((name, "n"));
    }
    let (name, value) = line.split_once('=')?;
    name.starts_with("CONFIG_").then_some((name, value))
}

/// Says which options did not get the value that was asked for: what another option forbids is
/// dropped without a word by make.
pub fn check(asked: &str, made: &str) -> Result<(), String> {
    let made: BTreeMap<&str, &str> = made.lines().filter_map(option).collect();
    // The last one asked for is what counts.
    let asked: BTreeMap<&str, &str> = asked.lines().filter_map(option).collect();
    let wrong: Vec<String> = asked
        .into_iter()
        .filter_map(|(name, value)| {
            let got = made.get(name).copied().unwrap_or("n");
            (got != value).then(|| format!("{name}={value} (it is {got})"))
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this source has no such configuration: {}. Something that they depend on is off, or has \
         another name there",
        wrong.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_were_dropped_are_named() {
        let made = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\n";
        assert_eq!(
            check("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x\"\n", made),
            Ok(())
        );
        // What is not there at all is off.
        assert_eq!(check("# CONFIG_C is not set\n", made), Ok(()));
        let error = check("# words\nCONFIG_B=y\nCONFIG_D=64\n", made).unwrap_err();
        assert!(
            error.contains("CONFIG_B=y (it is n), CONFIG_D=64 (it is n)"),
            "{error}"
        );
        // The user's fragment comes last.
        assert_eq!(check("CONFIG_B=y\n# CONFIG_B is not set\n", made), Ok(()));
    }

    #[test]
    fn a_users_fragment_is_checked_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fragment");
        fs::write(&path, "# words\nCONFIG_LOCKDEP=y\n\n").unwrap();
        assert!(
            fragment(None, Some(&path))
                .unwrap()
                .ends_with("CONFIG_LOCKDEP=y\n\n\n")
        );
        fs::write(&path, "CONFIG_A=y\nLOCKDEP\n").unwrap();
        let error = fragment(None, Some(&path)).unwrap_err().to_string();
        assert!(
            error.contains(":2:") && error.contains("LOCKDEP"),
            "{error}"
        );
        assert!(fragment(None, Some(Path::new("/nonexistent"))).is_err());
    }

    #[test]
    fn linux_7_has_other_names() {
        let of = |series| fragment(Some(series), None).unwrap();
        let made = "CONFIG_PREEMPT_LAZY=y\nCONFIG_SYSCTL=y\n";
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (older, newer) = (lines(&of("6.12")), lines(&of("7.3")));
        assert!(newer.starts_with(&older));
        assert_eq!(check(&newer[older.len()..].join("\n"), made), Ok(()));
    }
}
