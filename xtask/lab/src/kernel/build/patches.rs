//! Patches: tried on copies of the files that they touch, so that a tree is never half patched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::own;
use crate::{paths, process};

/// A patch.
#[derive(Clone, Debug)]
pub struct Patch {
    /// What the user calls it.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Patch {
    /// What it does to files, without what stands before that: other words make no other kernel.
    pub fn changes(&self) -> &str {
        let text = self.text.as_str();
        let starts = ["diff ", "--- "].into_iter();
        let first = starts
            .filter_map(|start| {
                let within = text.find(&format!("\n{start}")).map(|at| at + 1);
                if text.starts_with(start) {
                    Some(0)
                } else {
                    within
                }
            })
            .min();
        first.map_or(text, |at| &text[at..])
    }
}

/// What patches make of the files that they touch.
#[derive(Debug)]
pub struct Patched {
    /// The files, as patched, below this folder.
    folder: tempfile::TempDir,
    /// Relative to the tree.
    files: Vec<PathBuf>,
}

impl Patched {
    /// Each file, and where its new content lies; none where the patch removes it.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Option<PathBuf>)> {
        self.files.iter().map(|file| {
            let content = self.folder.path().join(file);
            (file.as_path(), content.is_file().then_some(content))
        })
    }
}

/// Reads patches by file or name.
pub fn read(names: &[String]) -> Result<Vec<Patch>> {
    names
        .iter()
        .map(|name| {
            let text = match own::find(name).and_then(|own| own.patch) {
                Some(text) if !Path::new(name).is_file() => text.to_owned(),
                _ => fs::read_to_string(name).with_context(|| {
                    let own = own::ALL.iter().filter(|own| own.patch.is_some());
                    let known: Vec<&str> = own.map(|own| own.name).collect();
                    format!(
                        "cannot read the patch {name} (the project's own are {})",
                        known.join(", ")
                    )
                })?,
            };
            Ok(Patch {
                name: name.clone(),
                text,
            })
        })
        .collect()
}

/// Applies patches, one on top of the other, to copies.
///
/// # Errors
/// A patch does not apply: the error names its file and hunk. The tree is as it was.
pub fn try_on(tree: &Path, patches: &[Patch]) -> Result<Patched> {
    let folder = tempfile::Builder::new()
        .prefix("lockprof-patch-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let mut files = BTreeSet::new();
    for patch in patches {
        let touched = touched(&patch.text);
        if touched.is_empty() {
            bail!("the patch {} changes no file", patch.name);
        }
        for file in touched {
            let file = safe(&file).with_context(|| {
                format!(
                    "the patch {} names {file:?}, which is no file of a tree",
                    patch.name
                )
            })?;
            if files.insert(file.clone()) {
                copy_if_there(tree, folder.path(), &file)?;
            }
        }
        apply(folder.path(), patch)?;
    }
    Ok(Patched {
        folder,
        files: files.into_iter().collect(),
    })
}

/// The files in the headers of a patch, without a/ and b/.
fn touched(text: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(old) = line.strip_prefix("--- ") else {
            continue;
        };
        let Some(new) = lines.peek().and_then(|line| line.strip_prefix("+++ ")) else {
            continue;
        };
        for name in [old, new] {
            let name = name.split('\t').next().unwrap_or(name).trim();
            if name != "/dev/null"
                && let Some((_, file)) = name.split_once('/')
            {
                files.insert(file.to_owned());
            }
        }
    }
    files
}

/// A path that stays below a folder.
fn safe(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(file);
    let below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (below && !file.is_empty()).then_some(path)
}

fn copy_if_there(tree: &Path, folder: &Path, file: &Path) -> Result<()> {
    let from = tree.join(file);
    if !from.is_file() {
        return Ok(());
    }
    let to = folder.join(file);
    if let Some(parent) = to.parent() {
        paths::make(parent.to_owned())?;
    }
    fs::copy(&from, &to)
        .map(drop)
        .with_context(|| format!("cannot copy {}", from.display()))
}

fn apply(folder: &Path, patch: &Patch) -> Result<()> {
    let text = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    fs::write(text.path(), &patch.text)
        .with_context(|| format!("cannot write {}", text.path().display()))?;
    // Without fuzz: a hunk whose surroundings differ may be meant for another place.
    let output = process::output_any(
        Command::new("patch")
            .args([
                "--strip=1",
                "--batch",
                "--forward",
                "--fuzz=0",
                "--no-backup-if-mismatch",
            ])
            .arg("--input")
            .arg(text.path())
            .arg("--directory")
            .arg(folder)
            .env("LC_ALL", "C"),
    )?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    bail!(
        "the patch {} does not apply: {}. The tree is as it was. patch says:\n{}",
        patch.name,
        failures(&said),
        said.trim_end()
    )
}

/// Which hunks of which files failed, from what patch said.
fn failures(said: &str) -> String {
    let mut file = "";
    let mut all = Vec::new();
    for line in said.lines() {
        if let Some(name) = line
            .strip_prefix("patching file ")
            .or_else(|| line.strip_prefix("checking file "))
        {
            file = name;
        } else if line.starts_with("Hunk #") && line.contains("FAILED") {
            let hunk = line.split(" FAILED").next().unwrap_or(line);
            let place = line
                .split("FAILED at ")
                .nth(1)
                .map(|rest| rest.trim_end_matches('.'));
            let place = place.map_or_else(String::new, |line| format!(", line {line}"));
            all.push(format!("{} of {file}{place}", hunk.to_lowercase()));
        } else if line.contains("can't find file to patch") || line.starts_with("can't find file") {
            all.push("a file that it changes is not there".to_owned());
        } else if line.contains("previously applied") || line.contains("Reversed (or") {
            all.push(format!("it seems to be in {file} already"));
        } else if line.contains("malformed patch") || line.contains("Only garbage") {
            all.push(line.trim_start_matches("patch: **** ").to_owned());
        }
    }
    if all.is_empty() {
        "patch failed".to_owned()
    } else {
        all.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "Words.\n\n--- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n--- /dev/null\n+++ b/new.h\n@@ -0,0 +1 @@\n+new\n";

    fn tree(content: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("kernel")).unwrap();
        fs::write(tree.path().join("kernel/exit.c"), content).unwrap();
        tree
    }

    fn patch(text: &str) -> Vec<Patch> {
        vec![Patch {
            name: "mine".to_owned(),
            text: text.to_owned(),
        }]
    }

    #[test]
    fn words_before_the_changes_make_no_other_kernel() {
        let changes = |text: &str| {
            let patch = Patch {
                name: String::new(),
                text: text.to_owned(),
            };
            patch.changes().to_owned()
        };
        let files = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(changes(&format!("Subject: x\n\nWhy.\n{files}")), files);
        assert_eq!(changes(files), files);
        let git = format!("diff --git a/x b/x\n{files}");
        assert_eq!(changes(&format!("Why.\n---\n x | 2 +-\n\n{git}")), git);
        assert_eq!(changes("nothing"), "nothing");
    }

    #[test]
    fn a_patch_is_applied_to_copies() {
        let tree = tree("one\ntwo\nthree\n");
        let patched = try_on(tree.path(), &patch(PATCH)).unwrap();
        let files: Vec<(PathBuf, String)> = patched
            .files()
            .map(|(file, content)| {
                (
                    file.to_owned(),
                    fs::read_to_string(content.unwrap()).unwrap(),
                )
            })
            .collect();
        assert_eq!(
            files,
            [
                (PathBuf::from("kernel/exit.c"), "one\n2\nthree\n".to_owned()),
                (PathBuf::from("new.h"), "new\n".to_owned()),
            ]
        );
        let untouched = fs::read_to_string(tree.path().join("kernel/exit.c")).unwrap();
        assert_eq!(untouched, "one\ntwo\nthree\n");
        assert!(!tree.path().join("new.h").exists());
    }

    #[test]
    fn a_patch_that_does_not_apply_names_file_and_hunk() {
        let tree = tree("one\nTWO\nthree\n");
        let error = try_on(tree.path(), &patch(PATCH)).unwrap_err().to_string();
        assert!(
            error.contains("hunk #1 of kernel/exit.c, line 1"),
            "{error}"
        );
        assert!(error.contains("mine"), "{error}");
        let untouched = fs::read_to_string(tree.path().join("kernel/exit.c")).unwrap();
        assert_eq!(untouched, "one\nTWO\nthree\n");
        assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 1);
    }

    #[test]
    fn bad_patches_are_refused() {
        let tree = tree("one\n2\nthree\n");
        let twice = try_on(tree.path(), &patch(PATCH)).unwrap_err().to_string();
        assert!(
            twice.contains("already") || twice.contains("hunk #1"),
            "{twice}"
        );
        assert!(try_on(tree.path(), &patch("no patch at all\n")).is_err());
        let outside = "--- a/../../etc/x\n+++ b/../../etc/x\n@@ -1 +1 @@\n-a\n+b\n";
        let error = try_on(tree.path(), &patch(outside))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no file of a tree"), "{error}");
        assert!(read(&["no-such-patch".to_owned()]).is_err());
    }

    #[test]
    fn the_projects_patches_touch_what_they_say() {
        for own in own::ALL {
            let Some(text) = own.patch else { continue };
            let touched = touched(text);
            let main = match own.name {
                "allocate-cgroup-early" => "kernel/cgroup/cgroup.c",
                _ => "kernel/exit.c",
            };
            assert!(touched.contains(main), "{own:?}");
            // What all the kernel includes would have all of it compiled again.
            assert!(
                touched.iter().all(|path| path.starts_with("kernel/")),
                "{own:?}"
            );
            let source = format!(
                "License: GPL-2.0, as the tree that it is against: Linux {0} (Debian's linux-source-{0})",
                own.series
            );
            assert!(text.contains(&source), "{own:?}");
        }
    }
}
