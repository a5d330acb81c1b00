//! Finds what is missing on this machine and installs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use lab::kernel::build;
use lab::{lock, paths, process, signals};

use crate::cargo;
use crate::toolchain::{self, BPF_LINKER, BpfToolchain, Environment};

/// What LLVM's packages install and bpf-linker's build asks for.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// Debian's compiler with the source of core.
const COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// What bpf-linker is built with.
const LINKER_BUILD: [(&str, &str); 4] = [
    ("llvm-22-dev", "/usr/lib/llvm-22/bin/llvm-config"),
    ("libpolly-22-dev", "/usr/lib/llvm-22/lib/libPolly.a"),
    ("zlib1g-dev", "/usr/include/zlib.h"),
    ("libzstd-dev", "/usr/include/zstd.h"),
];

/// What the tests of the report take for a browser (profiler/tests/report/browser.rs).
pub const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What the machine will be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Building lockprof and running it here.
    Build,
    /// Running guests, too.
    Lab,
    /// Running every test, too.
    Everything,
    /// Building kernels.
    Kernels,
    /// Building the peers of the bench as well.
    Peers,
}

/// What building perf with its eBPF programs takes besides.
const PEERS_BUILD: [(&str, &str); 5] = [
    ("clang", "/usr/bin/clang"),
    ("libdw-dev", "/usr/include/elfutils/libdw.h"),
    ("libtraceevent-dev", "/usr/include/traceevent/event-parse.h"),
    ("llvm", "/usr/bin/llvm-strip"),
    ("pkg-config", "/usr/bin/pkg-config"),
];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// A toolchain for the eBPF object.
    pub toolchain: Option<BpfToolchain>,
    /// Whether our bpf-linker is installed.
    pub linker: bool,
    /// Packages that bpf-linker's build lacks.
    pub linker_build_lacks: Vec<&'static str>,
    /// Packages that building a kernel lacks.
    pub kernel_build_lacks: Vec<&'static str>,
    /// Packages that building the bench's peers lacks besides.
    pub peers_build_lacks: Vec<&'static str>,
    /// A C compiler: crates link with it.
    pub cc: bool,
    /// The emulator.
    pub qemu: bool,
    /// Tests compare system calls with it.
    pub strace: bool,
    /// Tests open the report in it.
    pub browser: bool,
    /// Tests apply patches with it.
    pub patch: bool,
    /// Whether there is an apt-get.
    pub apt: bool,
    /// Whether we are root.
    pub root: bool,
    /// Whether there is a sudo.
    pub sudo: bool,
}

impl Found {
    /// Looks around.
    pub fn look() -> Result<Self> {
        let there = |program| paths::which(program).is_some();
        Ok(Self {
            toolchain: toolchain::bpf_toolchain(),
            linker: toolchain::linker()?.is_some(),
            linker_build_lacks: lacking(&LINKER_BUILD),
            kernel_build_lacks: lacking(&build::PACKAGES),
            peers_build_lacks: lacking(&PEERS_BUILD),
            cc: there("cc"),
            qemu: there(lab::vm::qemu::QEMU),
            strace: there("strace"),
            browser: BROWSERS.into_iter().any(there),
            patch: there("patch"),
            apt: there("apt-get"),
            root: is_root(),
            sudo: there("sudo"),
        })
    }
}

/// The packages whose files are not there.
fn lacking(packages: &[(&'static str, &str)]) -> Vec<&'static str> {
    let missing = packages
        .iter()
        .filter(|(_, file)| !Path::new(file).exists());
    missing.map(|(package, _)| *package).collect()
}

/// Whether we are root.
pub fn is_root() -> bool {
    // SAFETY: geteuid() has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Install packages, through sudo or not.
    Packages {
        /// Their names.
        names: Vec<&'static str>,
        /// Whether sudo is needed.
        sudo: bool,
    },
    /// Build bpf-linker as the calling user.
    BpfLinker,
}

/// What has to be done, in this order. `Err` says everything that the user has to install.
pub fn decide(found: &Found, purpose: Purpose) -> Result<Vec<Action>, String> {
    let mut packages = Vec::new();
    if found.toolchain.is_none() {
        packages.extend(COMPILER);
    }
    if !found.linker {
        packages.extend(&found.linker_build_lacks);
    }
    if !found.cc {
        packages.extend(["gcc", "libc6-dev"]);
    }
    if matches!(purpose, Purpose::Kernels | Purpose::Peers) {
        packages.extend(&found.kernel_build_lacks);
    }
    if purpose == Purpose::Peers {
        packages.extend(&found.peers_build_lacks);
    }
    if matches!(purpose, Purpose::Lab | Purpose::Everything) && !found.qemu {
        packages.push("qemu-system-x86");
    }
    if purpose == Purpose::Everything && !found.strace {
        packages.push("strace");
    }
    if purpose == Purpose::Everything && !found.browser {
        packages.push("chromium");
    }
    if purpose == Purpose::Everything && !found.patch {
        packages.push("patch");
    }
    let mut actions = Vec::new();
    if !packages.is_empty() {
        if !found.apt {
            return Err(by_hand(&packages, "there is no apt-get on this machine"));
        }
        if !found.root && !found.sudo {
            return Err(by_hand(&packages, "you are not root and there is no sudo"));
        }
        actions.push(Action::Packages {
            names: packages,
            sudo: !found.root,
        });
    }
    if !found.linker {
        actions.push(Action::BpfLinker);
    }
    Ok(actions)
}

/// The one message where set-up cannot install.
fn by_hand(packages: &[&str], why: &str) -> String {
    let mut text = format!(
        "set-up cannot install what is missing: {why}.\nInstall these packages (Debian's names), \
         then call it again:\n  apt-get install {}",
        packages.join(" ")
    );
    if packages.contains(&COMPILER[0]) {
        text.push_str(
            "\nInstead of rustc-web, cargo-web and rust-web-src this does too:\n  \
             rustup toolchain install nightly --component rust-src",
        );
    }
    text
}

/// Installs what is missing, and gives what builds need. Does nothing where nothing is missing.
pub fn ensure(purpose: Purpose) -> Result<Environment> {
    let mut found = Found::look()?;
    if !matches!(decide(&found, purpose).as_deref(), Ok([])) {
        let _lock = lock::take(&paths::make(paths::cache()?)?.join("setup.lock"))?;
        // Whoever held the lock may have done it all.
        for action in decide(&Found::look()?, purpose).map_err(anyhow::Error::msg)? {
            perform(&action)?;
        }
        found = Found::look()?;
        match decide(&found, purpose)
            .map_err(anyhow::Error::msg)?
            .as_slice()
        {
            [] => {}
            missing => bail!(
                "set-up has installed everything, and still this is missing: {missing:?}; \
                 `cargo xtask doctor` shows what was found"
            ),
        }
    }
    let Some(toolchain) = &found.toolchain else {
        bail!("no toolchain for the eBPF object was found; `cargo xtask doctor` shows more");
    };
    Environment::new(toolchain)
}

fn perform(action: &Action) -> Result<()> {
    match action {
        Action::Packages { names, sudo } => {
            // Old lists may still do, and the next command says what does not.
            if !process::status(apt(*sudo).args(["--quiet", "update"]))?.success() {
                eprintln!("set-up: apt's lists could not be renewed");
            }
            process::run(
                apt(*sudo)
                    .args(["--quiet", "install", "--yes", "--no-install-recommends"])
                    .args(names),
            )
            .map_err(|error| {
                signals::check().err().unwrap_or_else(|| {
                    anyhow::Error::msg(by_hand(names, &format!("{error:#} (is there a network?)")))
                })
            })
        }
        Action::BpfLinker => install_linker(),
    }
}

fn apt(sudo: bool) -> Command {
    let mut command = if sudo {
        let mut command = Command::new("sudo");
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    } else {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    command.args(["-o", "Acquire::Retries=3"]);
    command
}

/// Builds beside the place where it belongs and renames it when it is whole, so that what was
/// broken off is never taken for finished.
fn install_linker() -> Result<()> {
    let folder = toolchain::linker_folder()?;
    let tools = paths::make(paths::cache()?.join("tools"))?;
    let work = tempfile::Builder::new()
        .prefix(".installing-bpf-linker-")
        .tempdir_in(&tools)
        .with_context(|| format!("cannot make a folder in {}", tools.display()))?;
    let mut command = cargo::cargo()?;
    command
        .args(["install", "bpf-linker", "--quiet", "--version", BPF_LINKER])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(work.path())
        .env("LLVM_PREFIX", LLVM_PREFIX)
        // The caller's own flags and folder are for the checkout.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    process::run(&mut command).context(
        "cannot build bpf-linker: the crates come from the registry that cargo is set to, and LLVM \
         from the packages that set-up installs",
    )?;
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let finished = work.keep();
    fs::rename(&finished, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    set_readable(&folder)
}

/// Temporary folders are for their owner alone; this one is a place like any other now.
fn set_readable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot change {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Found {
        Found {
            toolchain: Some(BpfToolchain {
                name: "/usr".to_owned(),
                version: "rustc 1.96.0".to_owned(),
            }),
            linker: true,
            linker_build_lacks: Vec::new(),
            kernel_build_lacks: Vec::new(),
            peers_build_lacks: Vec::new(),
            cc: true,
            qemu: true,
            strace: true,
            browser: true,
            patch: true,
            apt: true,
            root: true,
            sudo: false,
        }
    }

    fn packages(names: &[&'static str], sudo: bool) -> Action {
        Action::Packages {
            names: names.to_vec(),
            sudo,
        }
    }

    #[test]
    fn nothing_is_done_twice() {
        let purposes = [
            Purpose::Build,
            Purpose::Lab,
            Purpose::Everything,
            Purpose::Kernels,
            Purpose::Peers,
        ];
        for purpose in purposes {
            assert_eq!(decide(&complete(), purpose), Ok(vec![]));
            // Nor is anything asked for that is not needed any more.
            let found = Found {
                apt: false,
                root: false,
                linker_build_lacks: vec!["x"],
                ..complete()
            };
            assert_eq!(decide(&found, purpose), Ok(vec![]));
        }
    }

    #[test]
    fn a_fresh_machine_gets_everything_in_one_go() {
        let fresh = Found {
            apt: true,
            sudo: true,
            linker_build_lacks: LINKER_BUILD.map(|(package, _)| package).to_vec(),
            ..Found::default()
        };
        let common = [
            "rustc-web",
            "cargo-web",
            "rust-web-src",
            "llvm-22-dev",
            "libpolly-22-dev",
            "zlib1g-dev",
            "libzstd-dev",
            "gcc",
            "libc6-dev",
        ];
        for (purpose, more) in [
            (Purpose::Build, &[][..]),
            (Purpose::Lab, &["qemu-system-x86"][..]),
            (
                Purpose::Everything,
                &["qemu-system-x86", "strace", "chromium", "patch"][..],
            ),
        ] {
            let names = [&common[..], more].concat();
            assert_eq!(
                decide(&fresh, purpose),
                Ok(vec![packages(&names, true), Action::BpfLinker])
            );
        }
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let found = Found {
            linker: false,
            ..complete()
        };
        assert_eq!(decide(&found, Purpose::Build), Ok(vec![Action::BpfLinker]));
        let found = Found {
            qemu: false,
            ..complete()
        };
        assert_eq!(decide(&found, Purpose::Build), Ok(vec![]));
        assert_eq!(
            decide(&found, Purpose::Lab),
            Ok(vec![packages(&["qemu-system-x86"], false)])
        );
        let found = Found {
            kernel_build_lacks: vec!["flex", "bison"],
            ..complete()
        };
        assert_eq!(decide(&found, Purpose::Everything), Ok(vec![]));
        assert_eq!(
            decide(&found, Purpose::Kernels),
            Ok(vec![packages(&["flex", "bison"], false)])
        );
        let found = Found {
            peers_build_lacks: vec!["clang"],
            ..found
        };
        assert_eq!(
            decide(&found, Purpose::Peers),
            Ok(vec![packages(&["flex", "bison", "clang"], false)])
        );
    }

    #[test]
    fn where_it_cannot_install_one_message_names_it_all() {
        let cases = [
            (
                Found {
                    apt: false,
                    ..complete()
                },
                "no apt-get",
            ),
            (
                Found {
                    root: false,
                    ..complete()
                },
                "no sudo",
            ),
        ];
        for (mut found, why) in cases {
            found.toolchain = None;
            found.qemu = false;
            let message = decide(&found, Purpose::Everything).unwrap_err();
            assert!(message.contains(why), "{message}");
            for word in ["rustc-web", "rust-src", "qemu-system-x86"] {
                assert!(message.contains(word), "{message}");
            }
        }
    }
}
