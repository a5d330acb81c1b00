//! What the daemon aims at.

use super::goal::{Goal, goal};
use crate::bench::pieces::mebibytes;
use crate::bench::results::DaemonCosts;

/// All of them.
pub fn goals(daemon: Option<&DaemonCosts>) -> Vec<Goal> {
    let size = |cpus| {
        daemon.and_then(|daemon| daemon.sizes.iter().find(|size| size.possible_cpus == cpus))
    };
    let refresh = |cpus| {
        let mut all = daemon.into_iter().flat_map(|daemon| &daemon.refreshes);
        let found = all.find(|refresh| refresh.cpus == cpus);
        found.map(|refresh| refresh.cpu_s * 1e3)
    };
    let busy = daemon.and_then(|daemon| daemon.busy.as_ref());
    let busy = busy.map(|busy| busy.resident_bytes);
    let milliseconds = |ms: f64| format!("{ms:.2} ms, every CPU active");
    vec![
        goal(
            "the daemon's refresh each second, 24 CPUs",
            "at most 2 ms of CPU (0.2 %)",
            refresh(24),
            milliseconds,
            |ms| ms <= 2.0,
        ),
        goal(
            "the daemon's memory, 24 CPUs",
            "at most 24 MiB resident",
            size(24)
                .map(|size| size.resident_bytes)
                .max(busy)
                .map(mebibytes),
            |size| format!("{size:.1} MiB"),
            |size| size <= 24.0,
        ),
        goal(
            "the daemon's refresh, 1024 CPUs",
            "at most 20 ms of CPU",
            refresh(1024),
            milliseconds,
            |ms| ms <= 20.0,
        ),
        launch(daemon),
    ]
}

fn launch(daemon: Option<&DaemonCosts>) -> Goal {
    let host = daemon.and_then(|daemon| daemon.host.as_ref());
    let tier = host.map_or("", |host| host.tier.as_str());
    goal(
        "launch to probes attached, warm, on the host",
        "at most 250 ms",
        host.map(|host| host.launch_to_attach_s * 1e3),
        |ms| format!("{ms:.0} ms, in the tier {tier}"),
        |ms| ms <= 250.0,
    )
}
