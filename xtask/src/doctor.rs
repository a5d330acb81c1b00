//! What set-up would find: a table.

use std::process::Command;

use anyhow::Result;
use lab::{paths, process, vm};

use crate::setup::{self, Found, Purpose};
use crate::toolchain;

/// A line of the table.
struct Row {
    what: &'static str,
    there: bool,
    detail: String,
    purpose: &'static str,
}

/// Prints the table; whether nothing that is needed is missing.
pub fn print() -> Result<bool> {
    let found = Found::look()?;
    for row in rows(&found)? {
        let mark = if row.there { "ok" } else { "MISSING" };
        println!(
            "{:<8} {:<16} {:<58} {}",
            mark, row.what, row.detail, row.purpose
        );
    }
    println!("{:<8} {:<16} {}", "", "cache", paths::cache()?.display());
    match setup::decide(&found, Purpose::Everything) {
        Ok(actions) if actions.is_empty() => {
            println!("Nothing is missing.");
            Ok(true)
        }
        Ok(_) => {
            println!("`cargo xtask setup` installs what is missing.");
            Ok(false)
        }
        Err(message) => {
            println!("{message}");
            Ok(false)
        }
    }
}

fn rows(found: &Found) -> Result<Vec<Row>> {
    let program = |name: &str| {
        paths::which(name).map_or_else(
            || "not in PATH".to_owned(),
            |path| path.display().to_string(),
        )
    };
    let toolchain = match &found.toolchain {
        Some(toolchain) => format!("{}: {}", toolchain.name, toolchain.version),
        None => "no nightly with rust-src, no rustc-web with rust-web-src".to_owned(),
    };
    let linker = toolchain::linker()?.map_or_else(
        || "not installed".to_owned(),
        |path| path.display().to_string(),
    );
    let qemu = match process::output(Command::new(vm::qemu::QEMU).arg("--version")) {
        Ok(text) => text.lines().next().unwrap_or_default().to_owned(),
        Err(_) => program(vm::qemu::QEMU),
    };
    let mut rows = vec![
        Row {
            what: "eBPF toolchain",
            there: found.toolchain.is_some(),
            detail: toolchain,
            purpose: "compiles the programs for the kernel",
        },
        Row {
            what: "bpf-linker",
            there: found.linker,
            detail: linker,
            purpose: "links them",
        },
        Row {
            what: "cc",
            there: found.cc,
            detail: program("cc"),
            purpose: "links everything else",
        },
        Row {
            what: "QEMU",
            there: found.qemu,
            detail: qemu,
            purpose: "runs guests",
        },
        Row {
            what: "strace",
            there: found.strace,
            detail: program("strace"),
            purpose: "tests the workload's system calls",
        },
        Row {
            what: "chromium",
            there: found.browser,
            detail: setup::BROWSERS
                .into_iter()
                .find_map(paths::which)
                .map_or_else(|| program("chromium"), |path| path.display().to_string()),
            purpose: "tests open the report in it",
        },
    ];
    rows.push(Row {
        what: "kernel builds",
        there: found.kernel_build_lacks.is_empty(),
        detail: match found.kernel_build_lacks.as_slice() {
            [] => "all that make needs".to_owned(),
            lacking => format!("{} (installed when a kernel is built)", lacking.join(" ")),
        },
        purpose: "cargo xtask kernel build, and compare",
    });
    if !found.linker && !found.linker_build_lacks.is_empty() {
        rows.push(Row {
            what: "LLVM 22",
            there: false,
            detail: found.linker_build_lacks.join(" "),
            purpose: "builds bpf-linker",
        });
    }
    let (there, detail) = match (found.root, found.sudo) {
        (true, _) => (true, "root"),
        (false, true) => (true, "through sudo"),
        (false, false) => (false, "neither root nor sudo"),
    };
    rows.push(Row {
        what: "privileges",
        there,
        detail: detail.to_owned(),
        purpose: "lockprof loads programs into the kernel",
    });
    Ok(rows)
}
