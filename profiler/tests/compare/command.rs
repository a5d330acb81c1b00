//! `lockprof compare` as people and scripts use it.

use std::{fs, path::Path, process::Command};

use assert_cmd::assert::OutputAssertExt as _;

use crate::boots::folder;

fn lockprof() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lockprof"))
}

fn compare(before: &Path, after: &Path) -> Command {
    let mut command = lockprof();
    command.arg("compare").arg(before).arg("--vs").arg(after);
    command
}

fn stderr(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

#[test]
fn the_exit_status_tells_of_a_regression() {
    let (base, deferred) = (folder("base"), folder("deferred"));
    let better = compare(&base, &deferred)
        .arg("--fail-on-regression")
        .assert();
    better.success();
    // The other way round it is one; without being asked, that is no failure.
    compare(&deferred, &base).assert().success();
    let mut worse = compare(&deferred, &base);
    worse.arg("--fail-on-regression").assert().code(4);
    assert!(stderr(&mut worse).contains("lockprof: regression in base: the mean reap hold by +"));
    // A limit that is not reached; and a call that has moved into the hold is no regression of its own.
    let mut far_worse = compare(&deferred, &base);
    far_worse
        .arg("--fail-on-regression=1000")
        .assert()
        .success();
    assert_eq!(stderr(&mut far_worse), "");
    // The work of an iteration is noisy, by up to 2.6 %: no answer to whom names less.
    let mut noisy = compare(&base, &deferred);
    noisy.arg("--fail-on-regression=2").assert().code(1);
    let said = stderr(&mut noisy);
    assert!(
        said.contains("the work of an iteration of deferred against base is too noisy"),
        "{said}"
    );
    let mut enough = compare(&base, &deferred);
    enough.arg("--fail-on-regression=5").assert().success();
}

#[test]
fn the_help_says_what_does_not_fail() {
    let help = lockprof().args(["compare", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("A change below 1 % gets no verdict, and so does not fail"));
    assert!(help.contains("Without one, what is too noisy to tell does not fail"));
}

/// `git bisect` would take a success for a good commit.
#[test]
fn where_nothing_can_be_judged_a_script_does_not_go_on() {
    let boot = |kernel: &str| folder(kernel).join("01");
    let mut few = compare(&boot("base"), &boot("deferred"));
    few.assert().success();
    few.arg("--fail-on-regression").assert().code(1);
    let said = stderr(&mut few);
    assert!(
        said.contains("too few boots") && said.contains("(1 and 1"),
        "{said}"
    );

    let by_kprobe = tempfile::tempdir().unwrap();
    for boot in 1..=5 {
        let path = folder("deferred").join(format!("{boot:02}/holds.jsonl"));
        let text = fs::read_to_string(path).unwrap();
        let header = text.replacen("\"method\":\"fentry\"", "\"method\":\"kprobe\"", 1);
        assert_ne!(header, text);
        fs::write(by_kprobe.path().join(format!("{boot}.jsonl")), header).unwrap();
        let bare = folder("deferred").join(format!("{boot:02}/bare.jsonl"));
        fs::copy(bare, by_kprobe.path().join(format!("{boot}-bare.jsonl"))).unwrap();
    }
    let mut other = compare(&folder("base"), by_kprobe.path());
    let table = String::from_utf8(other.output().unwrap().stdout).unwrap();
    assert!(!table.contains("nothing can be said"), "{table}");
    other.arg("--fail-on-regression").assert().code(1);
    let said = stderr(&mut other);
    assert!(said.contains("cannot be compared"), "{said}");

    // Throughput may have become worse where nobody measured it.
    let probed_alone = tempfile::tempdir().unwrap();
    for boot in 1..=5 {
        let path = folder("deferred").join(format!("{boot:02}/holds.jsonl"));
        fs::copy(path, probed_alone.path().join(format!("{boot}.jsonl"))).unwrap();
    }
    let mut other = compare(&folder("base"), probed_alone.path());
    other.assert().success();
    other.arg("--fail-on-regression=5").assert().code(1);
    let said = stderr(&mut other);
    assert!(
        said.contains(
            "the work of an iteration is known of base alone, with threadspawn, 1 process"
        ),
        "{said}"
    );
}

#[test]
fn names_stand_before_paths() {
    let named = |name: &str, kernel: &str| format!("{name}={}", folder(kernel).display());
    let mut command = lockprof();
    command
        .args([
            "compare",
            &named("old", "base"),
            "--vs",
            &named("new", "deferred"),
        ])
        .args(["--vs", &named("newer", "base"), "--format", "markdown"]);
    // The same recordings cannot be two kernels.
    assert!(stderr(&mut command).contains("is named twice"));
    let mut command = lockprof();
    command.args([
        "compare",
        &named("old", "base"),
        "--vs",
        &named("new", "deferred"),
    ]);
    let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(table.starts_with("new (Linux"), "{table}");
}

/// One of the recordings may come through a pipe: `zstd -dc patched.jsonl.zst | lockprof compare base --vs -`.
#[test]
fn standard_input_is_one_recording() {
    let patched = fs::read(folder("deferred").join("01/holds.jsonl")).unwrap();
    let through_a_pipe = |words: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_lockprof"));
        command.arg("compare").arg(folder("base")).args(words);
        command.write_stdin(patched.clone()).output().unwrap()
    };
    let output = through_a_pipe(&["--vs", "-"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("stdin (Linux"), "{table}");
    let output = through_a_pipe(&["--vs", "patched=-"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("patched (Linux"), "{table}");
    let output = through_a_pipe(&["--vs", "-", "--vs", "again=-"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "lockprof: standard input is named twice\n");
}

#[test]
fn mistakes_are_said_in_a_sentence() {
    let base = folder("base");
    lockprof().arg("compare").arg(&base).assert().code(2);
    let nowhere = Path::new("/nowhere/at/all");
    let mut command = compare(&base, nowhere);
    command.assert().code(1);
    assert!(stderr(&mut command).contains("/nowhere/at/all"));
    let empty = tempfile::tempdir().unwrap();
    let mut command = compare(&base, empty.path());
    command.assert().code(1);
    assert!(stderr(&mut command).contains(&empty.path().display().to_string()));
    let mut command = compare(&base, &folder("deferred"));
    command.args(["--format", "svg"]).assert().code(1);
    assert!(stderr(&mut command).contains("name a folder for them with -o"));
    for percent in ["-1", "many", "inf"] {
        let mut command = compare(&base, &folder("deferred"));
        let percent = format!("--fail-on-regression={percent}");
        command.arg(percent).assert().code(2);
    }
}

/// A path may have a name that a terminal would obey.
#[test]
fn no_terminal_obeys_an_error() {
    let mut command = compare(&folder("base"), Path::new("/nowhere/x\u{1b}[31mred"));
    let said = stderr(&mut command);
    assert!(
        said.contains("cannot find /nowhere/x\u{fffd}[31mred: No such"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_compared_fails_and_says_why() {
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/forkexit-debian-6.12.jsonl");
    let mut command = compare(&folder("base"), &other);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("forkexit") && said.contains("clock"),
        "{said}"
    );
}

#[test]
fn pictures_go_into_a_folder() {
    let folder_of_pictures = tempfile::tempdir().unwrap();
    let mut command = compare(&folder("base"), &folder("deferred"));
    command
        .args(["--format", "svg", "-o"])
        .arg(folder_of_pictures.path());
    command.assert().success();
    let files = fs::read_dir(folder_of_pictures.path()).unwrap();
    assert!(files.count() >= 4);
}

/// What is tested below is what the README shows.
#[test]
fn the_readme_shows_the_script() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let script = fs::read_to_string(root.join("docs/bisect.sh")).unwrap();
    assert!(readme.contains(&format!("```sh\n{script}```\n")));
}

/// The README's script under `git bisect run`: a commit of a small repository has the kernel of which it
/// records boots.
#[test]
fn git_bisect_finds_the_commit_that_made_it_worse() {
    let repository = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "user.name=Tester",
                "-c",
                "user.email=tester@example.invalid",
            ])
            .args([
                "-c",
                "commit.gpgsign=false",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(repository.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let mut commits = Vec::new();
    for number in 0..8 {
        let kernel = if number < 5 { "deferred" } else { "base" };
        fs::write(repository.path().join("kernel"), kernel).unwrap();
        fs::write(repository.path().join("number"), number.to_string()).unwrap();
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", &format!("commit {number}")]);
        commits.push(git(&["rev-parse", "HEAD"]).trim().to_owned());
    }
    // In the place of a build and some boots: the recordings of the kernel that is checked out. Their
    // first five boots, as the patched kernel has.
    let outside = tempfile::tempdir().unwrap();
    let record = outside.path().join("record");
    let boots = folder("base");
    let boots = boots.parent().unwrap();
    let text = format!(
        "#!/bin/sh\nkernel=$(cat kernel)\nfor boot in 01 02 03 04 05; do\n  for run in bare holds; do\n    \
         sed \"s/\\\"boot_id\\\":\\\"/&again-/\" -s \"{0}/$kernel/$boot/$run.jsonl\" \
         >\"$1/$boot-$run.jsonl\" || exit 1\n  done\ndone\n",
        boots.display()
    );
    fs::write(&record, text).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bisect.sh");
    git(&["bisect", "start", &commits[7], &commits[0]]);
    let binaries = Path::new(env!("CARGO_BIN_EXE_lockprof")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output = Command::new("git")
        .args(["bisect", "run", "sh"])
        .arg(script)
        .arg(folder("deferred"))
        .arg("sh")
        .arg(&record)
        .env("PATH", path)
        .current_dir(repository.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains(&format!("{} is the first bad commit", commits[5])),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
