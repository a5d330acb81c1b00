//! A private apt: its lists and its cache lie in lockprof's own folder, so the machine's apt sees
//! nothing of it and no privileges are needed.

mod sources;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process};
use sources::Source;
use suites::Release;

/// A package manager of our own, over some sources.
pub struct Apt {
    config: PathBuf,
}

impl Apt {
    /// Sets it up in `folder` and reads the archive's lists.
    fn open(folder: &Path, sources: &[Source]) -> Result<Self> {
        Self::set_up(folder, sources, &[])
    }

    /// The same with lines of configuration on top.
    fn set_up(folder: &Path, sources: &[Source], more: &[&str]) -> Result<Self> {
        let make = |name: &str| paths::make(folder.join(name));
        let (lists, cache, parts) = (
            make("lists/partial")?,
            make("cache/archives/partial")?,
            make("parts")?,
        );
        write(&parts.join("private.sources"), &sources::render(sources))?;
        let config = folder.join("apt.conf");
        let text = [
            // The machine's hooks are not meant for us; its proxy is.
            "#clear APT::Update::Pre-Invoke;".to_owned(),
            "#clear APT::Update::Post-Invoke;".to_owned(),
            "#clear APT::Update::Post-Invoke-Success;".to_owned(),
            "Dir::Etc::sourcelist \"/dev/null\";".to_owned(),
            format!("Dir::Etc::sourceparts \"{}\";", parts.display()),
            format!("Dir::State::lists \"{}\";", parent(&lists).display()),
            format!("Dir::Cache \"{}\";", folder.join("cache").display()),
            // When apt runs as root it gives up its rights, and then cannot write to our folder.
            "APT::Sandbox::User \"\";".to_owned(),
            "Acquire::Languages \"none\";".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";".to_owned(),
            "Acquire::Retries \"3\";".to_owned(),
        ]
        .join("\n");
        drop(cache);
        write(&config, &format!("{text}\n{}\n", more.join("\n")))?;
        let apt = Self { config };
        // A mirror may lack one of the suites; what counts is whether the package is found.
        if !process::status(apt.command("apt-get").args(["--quiet", "update"]))?.success() {
            eprintln!("lab: not every list could be read; going on with the others");
        }
        Ok(apt)
    }

    /// One of apt's programs, over these sources.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.config);
        command
    }

    /// Downloads packages, `NAME` or `NAME=VERSION`, and unpacks them all into one tree below `work`.
    pub fn unpack(&self, packages: impl Iterator<Item = String>, work: &Path) -> Result<PathBuf> {
        let mut command = self.command("apt-get");
        command
            .args(["--quiet", "download"])
            .args(packages)
            .current_dir(work);
        process::run(&mut command)?;
        let tree = work.join("tree");
        for path in files(work)? {
            if path.extension().is_some_and(|extension| extension == "deb") {
                process::run(
                    Command::new("dpkg-deb")
                        .arg("--extract")
                        .arg(&path)
                        .arg(&tree),
                )?;
            }
        }
        Ok(tree)
    }

    /// A package and everything that it needs, by name.
    pub fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        let listed = process::output(self.command("apt-cache").args([
            "depends",
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
            package,
        ]))?;
        Ok(package_names(&listed))
    }

    /// The version that would be downloaded.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        let policy = process::output(self.command("apt-cache").args(["policy", package]))?;
        let mut lines = policy.lines();
        let version = lines.find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(version
            .filter(|version| *version != "(none)")
            .map(str::to_owned))
    }
}

/// The packages of `apt-cache depends --recurse`: the lines that are not indented. A virtual package
/// stands in angle brackets.
fn package_names(listed: &str) -> Vec<String> {
    let names = listed
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    names.map(str::to_owned).collect()
}

/// Fails where one of the programs is missing.
pub fn check_programs() -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if paths::which(program).is_none() {
            bail!("fetching Debian's packages needs {program}");
        }
    }
    Ok(())
}

/// What `find` finds first: in the machine's own suites, whose lists are small, else in the mirror's other ones.
/// `folder` is that of all lists.
///
/// # Errors
/// apt names no mirror of Debian's, lists cannot be read, or `find` fails.
pub(crate) fn search<T>(
    folder: &Path,
    mut find: impl FnMut(&Apt) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let own = sources::own(&sources::of_the_machine()?, &sources::codename()?);
    let own = Apt::open(&folder.join("own"), &own)?;
    if let Some(found) = find(&own)? {
        return Ok(Some(found));
    }
    find(&open_others(folder)?)
}

/// The suites of the machine's mirror, the newest among them, each under the name that is fresher there.
///
/// # Errors
/// apt names no mirror of Debian's, or lists cannot be read.
pub fn open_others(folder: &Path) -> Result<Apt> {
    let by_alias = sources::others(&sources::of_the_machine()?, &sources::codename()?)?;
    let releases = folder.join("releases");
    let codenames = suites::codenames(&read_releases(&releases, &by_alias)?);
    let mut by_both = by_alias.clone();
    by_both.suites.extend(codenames);
    let found = read_releases(&releases, &by_both)?;
    let freshest = Source {
        suites: suites::freshest(&sources::ALIASES, &found),
        ..by_alias
    };
    Apt::open(&folder.join("others"), &[freshest])
}

/// What the Release files of suites say, without the lists of packages: some hundred kB each. One that is no longer
/// valid has a name and a date all the same.
fn read_releases(folder: &Path, source: &Source) -> Result<Vec<Release>> {
    let without_lists = [
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled \"false\";",
        "Acquire::Check-Valid-Until \"false\";",
    ];
    Apt::set_up(folder, std::slice::from_ref(source), &without_lists)?;
    let files = files(&folder.join("lists"))?;
    let read = |suite: &String| {
        let names = ["InRelease", "Release"].map(|kind| format!("_dists_{suite}_{kind}"));
        let file = files.iter().find(|path| {
            let path = path.to_string_lossy();
            names.iter().any(|name| path.ends_with(name.as_str()))
        })?;
        suites::parse(suite, &fs::read_to_string(file).ok()?)
    };
    Ok(source.suites.iter().filter_map(read).collect())
}

/// Everything in a folder.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_the_lines_that_are_not_indented() {
        let listed = "a\n  Depends: libc6\n  Depends: <v>\nlibc6\n<v>\n  libx\nlibstdc++6\n";
        assert_eq!(package_names(listed), ["a", "libc6", "libstdc++6"]);
    }
}
