//! lockprof in a container: a cgroup namespace, whose root is not the machine's.

use anyhow::{Context as _, Result, bail};
use lab::vm::VmOutcome;
use lab::vm::protocol::Step;
use rustix::thread::CapabilitySet;

use super::daemon::{MEASURING, null_holds};
use super::round::{Lab, Verdict};
use super::summary::{Summary, equal, lines_of};

const HIERARCHY: &str = "/sys/fs/cgroup";
/// The cgroup that is the namespace's root.
const CONTAINER: &str = "/container";
/// Cgroups and the null holds of the load in each, by which its row is known.
const CGROUPS: [(&str, u64); 6] = [
    ("/", 5000),
    (CONTAINER, 10_000),
    ("/container/inner", 15_000),
    ("/outside", 20_000),
    ("/outside/inner", 25_000),
    // Its path begins like that of the hierarchy's mount.
    ("/sys/fs/cgroup/inner", 30_000),
];
/// Holds beside those, at the most: of a load's life, and of the profilers that calibrate in the container.
const OTHERS: u64 = 4500;
/// To load and attach programs, and to see addresses.
const TO_TRACE: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYSLOG);

/// A view of the hierarchy: how it is mounted, what a program in the container may do, and whether paths begin at the
/// machine's root.
struct View {
    name: &'static str,
    mounted: &'static str,
    capabilities: Option<CapabilitySet>,
    is_machines: bool,
}

const VIEWS: [View; 3] = [
    View {
        name: "container",
        mounted: "own",
        capabilities: None,
        is_machines: false,
    },
    View {
        name: "hosts-mount",
        mounted: "hosts",
        capabilities: None,
        is_machines: true,
    },
    // Who may not open cgroups by their ids looks for them, and finds none that is outside.
    View {
        name: "without-handles",
        mounted: "own",
        capabilities: Some(TO_TRACE),
        is_machines: false,
    },
];

impl View {
    fn attach(&self) -> Step {
        let capabilities = self.capabilities.map(|some| some.bits().to_string());
        let capabilities = capabilities.as_deref().unwrap_or("all");
        let in_container = format!(
            "/init in-cgroup-namespace {HIERARCHY}{CONTAINER} {} {capabilities}",
            self.mounted
        );
        // Where interrupts are off at both ends of a hold, so that none is lost to one.
        let attach = "lockprof attach --windows off --budget off --detail holds --arrangement inside --cgroups";
        let words = format!(
            "{in_container} {attach} --no-report --output /out/{}",
            self.name
        );
        Step::new(words.split(' ')).background(Some(MEASURING))
    }

    /// What a cgroup may be called here: its path, where it is inside; never like a path where it is outside.
    fn is_right(&self, cgroup: &str, name: &str) -> bool {
        if self.is_machines {
            return name == cgroup;
        }
        match cgroup.strip_prefix(CONTAINER) {
            Some("") => name == "/",
            Some(below) => name == below,
            // Who may not open ids cannot tell it from one that is gone.
            None => {
                let said = name.contains("outside of this cgroup namespace");
                name.starts_with("cgroup ") && (said || self.capabilities.is_some())
            }
        }
    }
}

/// In a cgroup namespace its root is the own cgroup, and the report says that it is not the machine's; what is outside
/// has no path and a name of its own each. Where the host's hierarchy is seen, paths are the host's.
pub fn a_containers_root_is_not_the_machines(lab: &Lab<'_>) -> Result<Verdict> {
    let folders = CGROUPS.iter().fold(
        Step::default().sysctl("kernel.kptr_restrict", "1"),
        |step, (cgroup, _)| step.folder(&format!("{HIERARCHY}{cgroup}")),
    );
    let mut steps = vec![folders];
    steps.extend(VIEWS.iter().map(View::attach));
    // Init goes there, and what it starts there stays there.
    steps.extend(CGROUPS.iter().map(|(cgroup, holds)| {
        let procs = format!("{HIERARCHY}{}/cgroup.procs", cgroup.trim_end_matches('/'));
        null_holds(*holds).write(&procs, "0")
    }));
    let first = Step::default().write(&format!("{HIERARCHY}/cgroup.procs"), "0");
    steps.push(first);
    steps.extend((1..=VIEWS.len()).map(|step| Step::ending(step, libc::SIGINT)));
    let outcome = super::round::succeed(&lab.request(steps))?;
    for view in VIEWS {
        names_are_right(lab, &outcome, &view).with_context(|| view.name.to_owned())?;
    }
    Ok(Verdict::Passed)
}

fn names_are_right(lab: &Lab<'_>, outcome: &VmOutcome, view: &View) -> Result<()> {
    let summary = Summary::of(lab, outcome, view.name)?;
    let cgroups = summary.value("/cgroups")?.as_object();
    let cgroups = cgroups.context("the run has no cgroups")?;
    for (cgroup, expected) in CGROUPS {
        let mut rows = cgroups.iter().filter(|(_, totals)| {
            let holds = totals["holds"].as_u64().unwrap_or(0);
            (expected..expected + OTHERS).contains(&holds)
        });
        let (Some((name, _)), None) = (rows.next(), rows.next()) else {
            bail!(
                "none or several of the cgroups have the {expected} holds of {cgroup}: {cgroups:?}"
            );
        };
        note!("    {}: {cgroup} is {name:?}", view.name);
        if !view.is_right(cgroup, name) {
            bail!("{cgroup} is called {name:?}");
        }
    }
    let lines = lines_of(outcome, view.name)?;
    let header = lines.first().context("the recording is empty")?;
    // Left out where it is not so.
    let says = header["cgroup_namespace"].as_bool().unwrap_or(false);
    equal("said to be in a namespace", says, !view.is_machines)
}
