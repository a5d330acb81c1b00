//! What a patch of the making of cgroups may break: each way in which it fails, and what is left of it.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};

/// Where cgroup2 is mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Cgroups of each kind that are made, or are not.
const MANY: usize = 200;

/// Makes cgroups, and has the kernel refuse some.
pub fn check() -> Result<()> {
    let before = descendants()?;
    let parent = Path::new(ROOT).join("smoke");
    let child = parent.join("child");
    fs::create_dir(&parent).context("mkdir")?;
    for _ in 0..MANY {
        fs::create_dir(&child).context("mkdir of a child")?;
        fs::remove_dir(&child).context("rmdir of a child")?;
    }
    // cgroup_check_hierarchy_limits() refuses with EAGAIN, cgroup_mkdir() a line's end with EINVAL.
    let limit = parent.join("cgroup.max.descendants");
    fs::write(&limit, "0").context("cannot set the limit")?;
    for _ in 0..MANY {
        refused(&child, libc::EAGAIN)?;
    }
    fs::write(&limit, "max").context("cannot take the limit back")?;
    refused(&parent.join("two\nlines"), libc::EINVAL)?;
    fs::remove_dir(&parent).context("rmdir")?;
    for _ in 0..MANY {
        parent_that_goes(&parent, &child)?;
    }
    let after = descendants()?;
    ensure!(
        before == after,
        "there were {before} cgroups before, and {after} after"
    );
    Ok(())
}

fn refused(path: &Path, errno: i32) -> Result<()> {
    let result = fs::create_dir(path);
    let refused = result.as_ref().err().and_then(io::Error::raw_os_error);
    ensure!(refused == Some(errno), "mkdir of {path:?} gave {result:?}");
    Ok(())
}

/// A child is made while its parent is removed: either comes first.
fn parent_that_goes(parent: &Path, child: &Path) -> Result<()> {
    fs::create_dir(parent).context("mkdir of a parent")?;
    thread::scope(|scope| {
        let maker = scope.spawn(|| fs::create_dir(child));
        let removed = fs::remove_dir(parent);
        let made = maker.join();
        let made = made.map_err(|_panic| anyhow::anyhow!("the maker of a child panicked"))?;
        ensure!(
            made.is_ok() != removed.is_ok(),
            "mkdir gave {made:?}, and rmdir of its parent {removed:?}"
        );
        if made.is_ok() {
            fs::remove_dir(child).context("rmdir of a child")?;
            fs::remove_dir(parent).context("rmdir of its parent")?;
        }
        Ok(())
    })
}

/// How many cgroups there are beside the root.
fn descendants() -> Result<u64> {
    let path = Path::new(ROOT).join("cgroup.stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("nr_descendants "));
    let count = count.with_context(|| format!("{path:?} has no nr_descendants: {text}"))?;
    count.trim().parse().context("nr_descendants is no number")
}
