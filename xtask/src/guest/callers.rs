//! Who takes a lock of which nothing is known besides.

use anyhow::{Result, bail};
use lab::vm::protocol::Step;

use super::summary::{Summary, equal};
use super::{Lab, Verdict, run};

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
