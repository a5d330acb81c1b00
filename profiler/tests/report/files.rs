//! Reports as files: where they go, and what the exit status is to be.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::{Command, Output},
};

use lockprof::{
    export::Format,
    profile_file::read_profile,
    recording::{FILE_NAME, Recording, schema::Line},
    report::{
        PictureKind, ReportRequest, Validity, report, write_or_broken_pipe, write_page,
        write_pictures,
    },
};

use crate::fixture::{Synthetic, bytes, classify};

/// How many pictures there are of one lock.
const PICTURES: usize = 5;

#[test]
fn a_directory_is_reported_into_a_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join(FILE_NAME),
        bytes(&Synthetic::default().lines()),
    )
    .unwrap();
    let output = directory.path().join("summary.json");
    let request = ReportRequest {
        recording: directory.path().to_owned(),
        format: Format::Json,
        output: Some(output.clone()),
    };
    assert_eq!(report(&request, classify).unwrap(), Validity::Valid);
    assert!(fs::read_to_string(output).unwrap().starts_with("{\n"));
}

#[test]
fn the_page_and_its_pictures_lie_beside_the_recording() {
    let directory = tempfile::tempdir().unwrap();
    let profile = Synthetic::default().profile();
    let paths = write_pictures(directory.path(), &profile, PictureKind::Svg).unwrap();
    assert_eq!(paths.len(), PICTURES);
    for name in ["distribution", "anatomy", "heatmap", "blame", "flamegraph"] {
        let file = directory.path().join(format!("{name}.svg"));
        let svg = fs::read_to_string(file).unwrap();
        assert!(svg.contains("<svg "), "{svg}");
    }
    let page = write_page(directory.path(), &profile).unwrap();
    assert!(page.ends_with("report.html"));
    assert!(
        fs::read_to_string(page)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
}

#[test]
fn a_void_recording_has_a_report_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut lines = Synthetic::default().lines();
    let Some(Line::Interval(interval)) = lines.get_mut(4) else {
        panic!("no interval")
    };
    interval.losses.insert("entry_lost".into(), 5);
    let recording = directory.path().join("other-name.jsonl");
    fs::write(&recording, bytes(&lines)).unwrap();
    let request = ReportRequest {
        recording,
        format: Format::Table {
            width: 80,
            color: false,
            by: None,
        },
        output: Some(directory.path().join("table.txt")),
    };
    assert_eq!(report(&request, classify).unwrap(), Validity::Void);
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    fs::write(&path, "hello\n").unwrap();
    let error = format!("{:#}", read_profile(&path, classify).unwrap_err());
    assert!(
        error.contains("notes.txt: this is not a lockprof recording"),
        "{error}"
    );
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    struct Fails(io::ErrorKind);
    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    write_or_broken_pipe(&mut Fails(io::ErrorKind::BrokenPipe), b"x").unwrap();
    write_or_broken_pipe(&mut Fails(io::ErrorKind::StorageFull), b"x").unwrap_err();
}

/// Recordings that lockprof made of real kernels.
#[test]
fn recordings_in_the_data_folder_can_be_shown() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let Ok(entries) = fs::read_dir(data) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            let recording = Recording::read(&path).unwrap_or_else(|error| {
                panic!("{}: {error}", path.display());
            });
            crate::views::every_view(recording);
        }
    }
}

/// The command line as a user types it.
fn lockprof(arguments: &[&str], recording: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockprof"))
        .arg("report")
        .arg(recording)
        .args(arguments)
        .env("NO_COLOR", "")
        .output()
        .unwrap()
}

#[test]
fn one_picture_is_asked_for_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    fs::write(&recording, bytes(&Synthetic::default().lines())).unwrap();
    let one = lockprof(&["--format", "svg", "--only", "anatomy"], &recording);
    assert!(one.status.success());
    let svg = String::from_utf8(one.stdout).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("what a hold is spent on"));
    // Alone it needs no folder; all of them go beside the recording.
    let entries = || fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(entries(), 1);
    assert!(lockprof(&["--format", "svg"], &recording).status.success());
    assert_eq!(entries(), 1 + PICTURES);
}

/// `lockprof report -` with these bytes on standard input.
fn piped(arguments: &[&str], input: &[u8]) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_lockprof"))
        .args(["report", "-"])
        .args(arguments)
        .env("NO_COLOR", "")
        .write_stdin(input)
        .output()
        .unwrap()
}

#[test]
fn a_recording_comes_through_a_pipe_too() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    let bytes = bytes(&Synthetic::default().lines());
    fs::write(&recording, &bytes).unwrap();
    for format in ["table", "json", "csv", "trace"] {
        let arguments = ["--format", format];
        let piped = piped(&arguments, &bytes);
        assert!(piped.status.success());
        assert_eq!(piped.stdout, lockprof(&arguments, &recording).stdout);
    }
    // Its pictures have no folder to lie in but one that is named.
    let nowhere = piped(&["--format", "svg"], &bytes);
    assert_eq!(nowhere.status.code(), Some(1));
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(said.contains("name a folder for them with -o"), "{said}");
    let folder = directory.path().join("pictures");
    let pictures = piped(&["--format", "svg", "-o", folder.to_str().unwrap()], &bytes);
    assert!(pictures.status.success());
    assert_eq!(fs::read_dir(folder).unwrap().count(), PICTURES);
    let empty = piped(&[], b"");
    let said = String::from_utf8(empty.stderr).unwrap();
    assert_eq!(
        said,
        "lockprof: cannot read standard input: the recording is empty\n"
    );
}

/// A compressed file is no broken recording, and says how it is read.
#[test]
fn a_compressed_recording_is_named_as_such() {
    // What the programs make of a file begins like this.
    for (packed, program) in [
        (&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\x04\x58\n\x00", "zstd"),
        (b"\xfd7zXZ\x00\x00\x04\xe6\xd6", "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18\x64\x40", "lz4"),
    ] {
        let output = piped(&[], packed);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        let unpack = format!("`{program} -dc FILE | lockprof report -`");
        assert!(said.contains(&unpack), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// What was to be said is lost, and nothing else: `lockprof report DIR --format svg 2>&1 | true`.
#[test]
fn whoever_read_standard_error_may_have_gone_away() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    fs::write(&recording, bytes(&Synthetic::default().lines())).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_lockprof"))
        .args(["report", "--format", "svg"])
        .arg(&recording)
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let entries = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(entries, 1 + PICTURES);
}

#[test]
fn words_that_do_not_go_together_are_bad_usage() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    fs::write(&recording, bytes(&Synthetic::default().lines())).unwrap();
    for (arguments, problem) in [
        (
            &["--format", "json", "--only", "anatomy"][..],
            "--format svg",
        ),
        (&["--only", "anatomy"], "--format svg"),
        (
            &["--format", "svg", "--only", "spectrum"],
            "one of distribution, anatomy",
        ),
        (&["--format", "pdf"], "markdown"),
    ] {
        let output = lockprof(arguments, &recording);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(problem), "{arguments:?}: {said}");
    }
}

/// Names of folders are from outside.
#[test]
fn what_was_drawn_is_told_so_that_no_terminal_obeys_it() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    fs::write(&recording, bytes(&Synthetic::default().lines())).unwrap();
    let folder = directory.path().join("red\u{1b}[31m");
    let output = lockprof(
        &["--format", "svg", "-o", folder.to_str().unwrap()],
        &recording,
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("drew "), "{said}");
    assert!(said.contains("red\u{fffd}[31m/anatomy.svg"), "{said:?}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

/// A pipe gets neither colours nor a width of its own.
#[test]
fn what_is_no_terminal_gets_plain_text_of_80_columns() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join(FILE_NAME);
    fs::write(&recording, bytes(&Synthetic::default().lines())).unwrap();
    let output = lockprof(&[], &recording);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}'));
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}
