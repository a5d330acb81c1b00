//! A kernel that shows the symbols of functions alone, and a file that has those of its data.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::container::mount_privately;

/// `without-data right|wrong|image PROGRAM…`: /proc/kallsyms has no data; that stands in the System.map, as of a kernel
/// that has been moved. The wrong one is of a kernel that has a function elsewhere. By `image` there is no map: the
/// guest's vmlinux is put where packages of symbols have it.
pub const WITHOUT_DATA: &str = "without-data";

/// What is shown in the place of /proc/kallsyms.
const FUNCTIONS: &str = "/functions";
/// Where the guest was given the kernel's image with its symbols.
const GIVEN_IMAGE: &str = "/vmlinux";
/// How far the kernel has been moved from where the map has it.
const MOVED: u64 = 0x100_0000;
/// Where the kernel's image begins: what is below is not moved.
const IMAGE_START: u64 = 0xffff_ffff_8000_0000;
/// The function that the wrong map has elsewhere.
const ELSEWHERE: &str = "release_task";

/// Executes a program that sees the symbols in this way; returns only where it cannot.
pub fn execute(map: &str, program: &[&str]) -> Result<()> {
    let shown = fs::read_to_string("/proc/kallsyms").context("cannot read /proc/kallsyms")?;
    let lines = || {
        shown
            .lines()
            .filter_map(|line| Some((line, line.split_once(' ')?)))
    };
    let functions = lines().filter(|(_, (_, rest))| rest.starts_with(['T', 't', 'W', 'w']));
    write(FUNCTIONS, functions.map(|(line, _)| line.to_owned()))?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("no release")?;
    let release = release.trim_end();
    if map == "image" {
        place_image(release)?;
    } else {
        let own = lines().filter(|(line, _)| !line.contains('\t'));
        write_map(map == "wrong", release, own)?;
    }
    mount_privately(FUNCTIONS, "/proc/kallsyms")?;
    let (name, arguments) = program.split_first().context("no program")?;
    Err(Command::new(name).args(arguments).exec()).with_context(|| format!("cannot execute {name}"))
}

/// Writes a map of these symbols, as of a kernel that has not been moved.
fn write_map<'a>(
    is_wrong: bool,
    release: &str,
    own: impl Iterator<Item = (&'a str, (&'a str, &'a str))>,
) -> Result<()> {
    let moved = own.map(|(line, (address, rest))| {
        let Ok(address) = u64::from_str_radix(address, 16) else {
            bail!("no address: {line}");
        };
        let is_elsewhere = is_wrong && rest.ends_with(&format!(" {ELSEWHERE}"));
        let moved = if address >= IMAGE_START { MOVED } else { 0 };
        Ok(format!(
            "{:016x} {rest}",
            address - moved + u64::from(is_elsewhere) * 16
        ))
    });
    fs::create_dir_all("/boot").context("cannot make /boot")?;
    let map = format!("/boot/System.map-{release}");
    write(&map, moved.collect::<Result<Vec<_>>>()?.into_iter())
}

fn place_image(release: &str) -> Result<()> {
    let folder = "/usr/lib/debug/boot";
    fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    let place = format!("{folder}/vmlinux-{release}");
    fs::rename(GIVEN_IMAGE, &place).with_context(|| format!("cannot make {place}"))
}

fn write(path: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    fs::write(path, text).with_context(|| format!("cannot write {path}"))
}
