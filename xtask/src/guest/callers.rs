//! Who takes a lock of which nothing is known besides.

use anyhow::{Context as _, Result, bail};
use lab::kernel::headers::Headers;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict, run, succeed};
use super::summary::{Summary, equal};

/// Netlink sockets that join a group and are closed.
const SOCKETS: u64 = 400;
/// Write holds of nl_table_lock for each, and functions that ask for it, at the least: see the load in the lab's init.
const HOLDS: u64 = 3 * SOCKETS;
const FUNCTIONS: usize = 2;

/// Callers of nl_table_lock are rows by their functions, by each arrangement that this kernel allows: those with
/// programs outside of the hold, by fentry inside it, and by kprobe. None of them is among all others, or has a name
/// of tasklist_lock's.
pub fn callers_are_learned(lab: &Lab<'_>) -> Result<Verdict> {
    let outcome = lab.succeed(vec![
        joining("outside", "--detail holds"),
        joining("inside", "--attach fentry"),
        joining("kprobe", "--attach kprobe --detail holds"),
    ])?;
    let mut functions = Vec::new();
    for name in ["outside", "inside", "kprobe"] {
        let summary = Summary::of(lab, &outcome, name)?;
        equal("tier", summary.text("/tier")?, "exact")?;
        summary.is_valid()?;
        summary.cpus_agree_with_sites()?;
        let mut sites = Vec::new();
        let mut holds = 0;
        for row in summary.rows("/sites")? {
            let site = row["name"].as_str().unwrap_or_default().to_owned();
            if !site.starts_with("netlink_") || row["symbol"] != site.as_str() {
                bail!("{name}: {row} is no function that takes nl_table_lock");
            }
            holds += row["holds"].as_u64().unwrap_or(0);
            sites.push(site);
        }
        sites.sort();
        let lost = summary.lost_while_attached;
        note!(
            "    {name}: {holds} of {HOLDS}, {lost} lost, by {}",
            sites.join(", ")
        );
        if holds > HOLDS || holds + lost < HOLDS {
            bail!("{name}: {holds} holds and {lost} lost of {HOLDS}");
        }
        if sites.len() < FUNCTIONS {
            bail!("{name}: {sites:?} alone took it");
        }
        functions.push(sites);
    }
    equal("outside and inside", &functions[0], &functions[1])?;
    equal("fentry and kprobe", &functions[0], &functions[2])?;
    Ok(Verdict::Passed)
}

/// A run of the load.
fn joining(name: &str, how: &str) -> Step {
    let load = format!("-- /init join-netlink {SOCKETS}");
    run(
        name,
        &format!("--lock nl_table_lock --warm-up 0 --loss-threshold 5 {how} {load}"),
    )
}

/// Functions of the modules `few` and `many` that read, and that write, which are called in turn.
const READERS: u64 = 3;
const WRITERS: [(&str, u64); 2] = [("few", 10), ("many", 70)];
/// Places for callers (`lockprof_abi::MANY_SITES`, less those of unknown and of all other callers).
const PLACES: u64 = 61;

/// Callers in a module are rows, whether they read or write. Where there are more than places, all others are one row of
/// readers and one of writers. Each function has taken the lock as often as each other.
pub fn callers_without_a_place_are_the_others(lab: &Lab<'_>) -> Result<Verdict> {
    let headers = match Headers::of(lab.kernel)? {
        Ok(headers) => headers,
        Err(why) => return Ok(Verdict::Skipped(why)),
    };
    let folder = tempfile::tempdir().context("cannot make a folder for modules")?;
    let sources = [
        ("many.c", include_str!("modules/many.c")),
        ("few.c", "#define FEW\n#include \"many.c\"\n"),
    ];
    headers.build(folder.path(), &["few", "many"], &sources)?;
    let steps = WRITERS.map(|(module, _)| {
        let attach = "lockprof attach --windows off --budget off --detail holds --readers --lock many_lock \
                      --duration 2 --loss-threshold 5 --no-report --quiet --output";
        let output = format!("/out/{module}");
        [
            Step::new(["/init", "insert", &format!("/{module}.ko")]),
            Step::new(attach.split(' ').chain([&*output])),
            Step::new(["/init", "remove", module]),
        ]
    });
    let mut request = lab.request(steps.into_iter().flatten().collect());
    for (module, _) in WRITERS {
        let file = format!("{module}.ko");
        request.files.push(GuestFile {
            guest: format!("/{file}"),
            host: folder.path().join(file),
        });
    }
    let outcome = succeed(&request)?;
    for (module, writers) in WRITERS {
        let summary = Summary::of(lab, &outcome, module)?;
        each_has_as_many(&summary, module, writers).with_context(|| module.to_owned())?;
    }
    Ok(Verdict::Passed)
}

/// Each function has a row, or is among the others, with as many holds as any other.
fn each_has_as_many(summary: &Summary, module: &str, writers: u64) -> Result<()> {
    equal("tier", summary.text("/tier")?, "exact")?;
    let rows = summary.rows("/sites")?;
    let count = |row: &Value| row["holds"].as_u64().unwrap_or(0);
    let of = |kind: &str| -> Vec<u64> {
        let is_one = |row: &&Value| {
            let name = row["name"].as_str().unwrap_or_default();
            name.starts_with(kind) && name.ends_with(&format!(" [{module}]"))
        };
        rows.iter().filter(is_one).map(count).collect()
    };
    let lost = summary.lost_while_attached;
    let sites = [
        ("read:reader_", "read:other", READERS),
        ("writer_", "other", writers),
    ];
    let mut with_place = 0;
    for (kind, other, functions) in sites {
        let rows = of(kind);
        let others = summary.holds(other)?;
        note!(
            "    {module}: {} of {functions} {kind}…, {others} holds of others, {lost} lost",
            rows.len()
        );
        with_place += rows.len() as u64;
        let without = functions.saturating_sub(rows.len() as u64);
        // Readers and writers are attached one after the other: which of them come first nobody knows.
        let Some((&least, &most)) = rows.iter().min().zip(rows.iter().max()) else {
            continue;
        };
        // At both ends of the measured time a turn may have been half done.
        if least == 0 || most > least + 2 + lost {
            bail!("one of {kind}… has {least} holds, another one {most}, and {lost} were lost");
        }
        if others + lost < least.saturating_sub(1) * without || others > (most + 1) * without {
            bail!(
                "{without} of {kind}… have {others} holds, where each other has {least} to {most}"
            );
        }
    }
    let places = PLACES.min(READERS + writers);
    equal("callers with a place", with_place, places)
}
