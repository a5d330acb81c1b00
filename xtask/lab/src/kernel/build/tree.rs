//! A source tree with its objects, in the cache: the same for all kernels of one source, configuration
//! and compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::config;
use super::patches::Patched;
use super::source::Source;
use crate::apt::write;
use crate::{paths, process};

/// The tree, as its folders are called.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The source, unpatched but while a patched kernel is built.
    pub source: PathBuf,
    /// What make makes of it.
    pub objects: PathBuf,
    /// The files as they were before a patch, and which those are.
    originals: PathBuf,
}

/// Relative to the originals: the files that a patch has changed or made, one a line.
const LIST: &str = "files";

impl Tree {
    /// Opens it, and takes out the patch of a build that was broken off; unpacks the source where there
    /// is none.
    pub fn open(folder: &Path, source: &Source) -> Result<Self> {
        let tree = Self {
            source: folder.join("source"),
            objects: folder.join("objects"),
            originals: folder.join("originals"),
        };
        paths::make(folder.to_owned())?;
        if !tree.source.is_dir() {
            let unpacking = folder.join("unpacking");
            if unpacking.exists() {
                fs::remove_dir_all(&unpacking)
                    .with_context(|| format!("cannot remove {}", unpacking.display()))?;
            }
            source.unpack(&unpacking)?;
            fs::rename(&unpacking, &tree.source)
                .with_context(|| format!("cannot make {}", tree.source.display()))?;
        }
        paths::make(tree.objects.clone())?;
        tree.restore()?;
        Ok(tree)
    }

    /// Where make leaves the kernel.
    pub fn image(&self) -> PathBuf {
        self.objects.join("arch/x86/boot/bzImage")
    }

    /// Where make leaves the image with its symbols.
    pub fn symbols(&self) -> PathBuf {
        self.objects.join("vmlinux")
    }

    /// Where make has the configuration.
    pub fn config(&self) -> PathBuf {
        self.objects.join(".config")
    }

    /// Makes the configuration, unless it is there. It is written last of all by this: a configuration
    /// that is there is the whole one.
    pub fn configure(&self, fragment: &str) -> Result<()> {
        if self.config().is_file() {
            return Ok(());
        }
        let asked = self.objects.join("asked.config");
        write(&asked, fragment)?;
        process::output(
            self.make()
                .arg("allnoconfig")
                .env("KCONFIG_ALLCONFIG", &asked),
        )?;
        let made = fs::read_to_string(self.config())
            .with_context(|| format!("cannot read {}", self.config().display()))?;
        config::check(fragment, &made).map_err(|wrong| {
            // The next attempt is to say so again; an error here is less than that one.
            let _ = fs::remove_file(self.config());
            anyhow!(wrong)
        })
    }

    /// make, in this tree.
    pub fn make(&self) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(&self.source)
            .arg(format!("O={}", self.objects.display()))
            .env("LC_ALL", "C");
        command
    }

    /// Puts patched files into the tree, after their originals were set aside.
    pub fn patch(&self, patched: &Patched) -> Result<()> {
        let files: Vec<&Path> = patched.files().map(|(file, _)| file).collect();
        if files.is_empty() {
            return Ok(());
        }
        paths::make(self.originals.clone())?;
        for file in &files {
            let original = self.source.join(file);
            if original.is_file() {
                copy(&original, &self.originals.join(file))?;
            }
        }
        let names: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        // From here on the tree counts as patched.
        write(&self.originals.join(LIST), &names.join("\n"))?;
        for (file, content) in patched.files() {
            let place = self.source.join(file);
            match content {
                Some(content) => copy(&content, &place)?,
                None => fs::remove_file(&place)
                    .with_context(|| format!("cannot remove {}", place.display()))?,
            }
        }
        Ok(())
    }

    /// Brings the tree back to what it was. Restored files are new ones to make.
    pub fn restore(&self) -> Result<()> {
        let Ok(list) = fs::read_to_string(self.originals.join(LIST)) else {
            // Broken off before the tree was touched, or never begun.
            return remove_folder(&self.originals);
        };
        for file in list.lines().filter(|line| !line.is_empty()) {
            let (original, place) = (self.originals.join(file), self.source.join(file));
            if original.is_file() {
                copy(&original, &place)?;
            } else if place.is_file() {
                fs::remove_file(&place)
                    .with_context(|| format!("cannot remove {}", place.display()))?;
            }
        }
        remove_folder(&self.originals)
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Copies a file's content, and makes the folders above it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        paths::make(parent.to_owned())?;
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::build::patches::{Patch, try_on};

    fn tree(folder: &Path) -> Tree {
        let tree = Tree {
            source: folder.join("source"),
            objects: folder.join("objects"),
            originals: folder.join("originals"),
        };
        fs::create_dir_all(tree.source.join("kernel")).unwrap();
        fs::write(tree.source.join("kernel/exit.c"), "one\ntwo\n").unwrap();
        tree
    }

    #[test]
    fn a_tree_comes_back_from_a_patch_even_if_the_build_was_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let tree = tree(folder.path());
        let text = "--- a/kernel/exit.c\n+++ b/kernel/exit.c\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+new\n";
        let patch = Patch {
            name: "mine".to_owned(),
            text: text.to_owned(),
        };
        let patched = try_on(&tree.source, &[patch]).unwrap();
        tree.patch(&patched).unwrap();
        let content = || fs::read_to_string(tree.source.join("kernel/exit.c")).unwrap();
        assert_eq!(content(), "one\n2\n");
        assert!(tree.source.join("new.c").is_file());
        // As the next build does, whatever became of this one.
        tree.restore().unwrap();
        assert_eq!(content(), "one\ntwo\n");
        assert!(!tree.source.join("new.c").exists());
        assert!(!tree.originals.exists());
        // Originals that were set aside before the tree was touched are nothing to bring back.
        fs::create_dir_all(tree.originals.join("kernel")).unwrap();
        fs::write(tree.originals.join("kernel/exit.c"), "half").unwrap();
        tree.restore().unwrap();
        assert_eq!(content(), "one\ntwo\n");
    }
}
