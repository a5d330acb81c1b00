//! Sides from files: the only part of a comparison that reads anything.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::Side;
use crate::{
    kernel::classify_stack,
    profile_file,
    recording::{FILE_NAME, PARTIAL_NAME, in_directory, is_stdin},
};

/// How deep recordings are looked for in a folder.
const DEPTH: usize = 4;

/// What the user named as one side: recordings, or folders that have some, the first perhaps with a name
/// for the side before it (`base=out/base`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRequest {
    /// The name, where one was given.
    pub name: Option<String>,
    /// Files and folders.
    pub paths: Vec<PathBuf>,
}

impl SideRequest {
    /// Takes the words of a command line.
    #[must_use]
    pub fn parse(words: &[OsString]) -> Self {
        let mut name = None;
        let mut paths = Vec::new();
        for (index, word) in words.iter().enumerate() {
            // What is no text is a path.
            match word.to_str().and_then(|word| word.split_once('=')) {
                Some((given, path))
                    if index == 0
                        && !given.is_empty()
                        && !given.contains('/')
                        && !Path::new(word).exists() =>
                {
                    name = Some(given.to_owned());
                    paths.push(PathBuf::from(path));
                }
                _ => paths.push(PathBuf::from(word)),
            }
        }
        Self { name, paths }
    }

    /// The name that its paths suggest: that of the only folder, or of the one that all are in.
    fn suggested_name(&self) -> Option<String> {
        let mut names = self.paths.iter().map(|path| {
            if is_stdin(path) {
                return Some(OsStr::new("stdin"));
            }
            let path = if is_of_run(path) {
                path.parent()?
            } else {
                path
            };
            if self.paths.len() == 1 {
                // Of a folder linux-6.12 the version would go.
                let is_recording = !path.is_dir() && path.extension() == Some(OsStr::new("jsonl"));
                if is_recording {
                    path.file_stem()
                } else {
                    path.file_name()
                }
            } else {
                path.parent()?.file_name()
            }
        });
        let first = names.next()??;
        names
            .all(|name| name == Some(first))
            .then(|| first.to_string_lossy().into_owned())
    }
}

/// Reads the sides.
///
/// # Errors
/// A path has no recording, a recording cannot be read, or it is named twice.
pub fn read_sides(requests: &[SideRequest]) -> Result<Vec<Side>> {
    let names = names(requests)?;
    let mut seen = BTreeSet::new();
    let mut sides = Vec::new();
    for (request, name) in requests.iter().zip(names) {
        let mut side = Side::new(name);
        for path in &request.paths {
            for recording in recordings(path)? {
                let real = if is_stdin(&recording) {
                    recording.clone()
                } else {
                    fs::canonicalize(&recording).with_context(|| cannot_find(&recording))?
                };
                let origin = profile_file::name(&recording);
                if !seen.insert(real) {
                    bail!("{origin} is named twice");
                }
                let profile = profile_file::read_profile(&recording, classify_stack)?;
                side.add(&origin, &profile);
            }
        }
        sides.push(side);
    }
    Ok(sides)
}

/// A number is hardly a recording: an option's value that was taken for one.
fn cannot_find(recording: &Path) -> String {
    let text = recording.display().to_string();
    let number = text.trim_end_matches('%').parse::<f64>().is_ok();
    let hint = if number {
        " (a percentage stands behind an equals sign: --fail-on-regression=5)"
    } else {
        ""
    };
    format!("cannot find {text}{hint}")
}

/// A name for each side, all of them different.
fn names(requests: &[SideRequest]) -> Result<Vec<String>> {
    let letters = || ('A'..='Z').map(String::from);
    let suggested: Vec<Option<String>> = requests
        .iter()
        .map(|request| request.name.clone().or_else(|| request.suggested_name()))
        .collect();
    let distinct: BTreeSet<&String> = suggested.iter().flatten().collect();
    let names = if distinct.len() == requests.len() {
        suggested.into_iter().flatten().collect()
    } else {
        let given = requests.iter().zip(letters());
        given
            .map(|(request, letter)| request.name.clone().unwrap_or(letter))
            .collect::<Vec<_>>()
    };
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() != requests.len() {
        bail!("two sides have the same name: give each one of its own, as in NAME=PATH");
    }
    Ok(names)
}

/// The recordings that a path means: itself, that of a run's folder, or those of all runs in it.
fn recordings(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    search(path, DEPTH, &mut found)?;
    found.sort();
    if found.is_empty() {
        bail!(
            "{} has no {FILE_NAME}: name a recording, the folder of a run, or a folder of such",
            path.display()
        );
    }
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        if path.is_dir() && depth > 0 {
            search(&path, depth - 1, found)?;
        } else if is_of_run(&path) {
            // A folder is of one run, though an older one's recording may be there as well.
            if path == in_directory(folder) {
                found.push(path);
            }
        } else if path.extension() == Some(OsStr::new("jsonl")) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a recording has the name of one in a run's directory.
fn is_of_run(path: &Path) -> bool {
    [FILE_NAME, PARTIAL_NAME]
        .map(OsStr::new)
        .map(Some)
        .contains(&path.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[&str]) -> SideRequest {
        SideRequest::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn sides_have_the_names_of_their_folders_or_given_ones() {
        let named = request(&["base=out/a", "out/b"]);
        assert_eq!(named.name.as_deref(), Some("base"));
        assert_eq!(
            named.paths,
            [PathBuf::from("out/a"), PathBuf::from("out/b")]
        );
        let folders = [
            request(&["out/base"]),
            request(&["out/mine/1", "out/mine/2"]),
        ];
        assert_eq!(names(&folders).unwrap(), ["base", "mine"]);
        let versions = [
            request(&["out/linux-6.12"]),
            request(&["out/linux-7.2.jsonl"]),
        ];
        assert_eq!(names(&versions).unwrap(), ["linux-6.12", "linux-7.2"]);
        let alike = [request(&["a/run"]), request(&["b/run"])];
        assert_eq!(names(&alike).unwrap(), ["A", "B"]);
        let piped = [request(&["out/base"]), request(&["-"])];
        assert_eq!(names(&piped).unwrap(), ["base", "stdin"]);
        let twice = [request(&["x=a/run"]), request(&["x=b/run"])];
        assert!(names(&twice).is_err());
    }

    #[test]
    fn a_percentage_that_was_taken_for_a_path_is_recognised() {
        let error = read_sides(&[request(&["5"])]).unwrap_err();
        assert!(error.to_string().contains("--fail-on-regression=5"));
        let error = read_sides(&[request(&["nowhere"])]).unwrap_err();
        assert_eq!(error.to_string(), "cannot find nowhere");
    }
}
