//! Which views there are of a recording of all locks, and what its page says.

use std::fs;

use lockprof::{
    export::{Format, Picture},
    profile::Profile,
    recording::FILE_NAME,
    report::{PictureKind, write_pictures},
    units,
};

use crate::{
    all_locks::{AllLocks, WAIT_NS, busy_sum},
    every_lock_pictures::{eighty, long_names},
    fixture::{Synthetic, bytes},
    pictures::keep,
    windowed::text,
};

#[test]
fn there_are_no_pictures_of_holds() {
    let folder = tempfile::tempdir().unwrap();
    let profile = AllLocks::default().profile();
    write_pictures(folder.path(), &profile, PictureKind::Svg).unwrap();
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "classes.svg",
            "flamegraph.svg",
            "waiters.svg",
            "waits-over-time.svg"
        ]
    );
}

#[test]
fn a_picture_that_does_not_fit_is_refused() {
    let refused = |profile: &Profile, format: Format| {
        let error = format.exporter().export(profile).unwrap_err();
        format!("{error:#}")
    };
    let all = AllLocks::default().profile();
    for picture in [
        Picture::Distribution,
        Picture::Anatomy,
        Picture::Heatmap,
        Picture::Blame,
    ] {
        let said = refused(&all, Format::Svg(picture));
        assert_eq!(said, refused(&all, Format::Png(picture)));
        let expected = format!(
            "there is no picture {} of a recording of all locks, whose holds are not measured: there are classes, \
             waits-over-time, waiters and flamegraph",
            picture.name()
        );
        assert_eq!(said, expected);
    }
    let one = Synthetic::default().profile();
    for picture in [Picture::Classes, Picture::Waiters, Picture::WaitsOverTime] {
        let said = refused(&one, Format::Svg(picture));
        assert!(said.contains("of a recording of one lock"), "{said}");
        assert!(said.ends_with("heatmap, blame and flamegraph"), "{said}");
    }
}

/// The same on the command line: a message, and no file.
#[test]
fn the_command_line_says_which_pictures_there_are() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(FILE_NAME),
        bytes(&AllLocks::default().lines()),
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lockprof"))
        .args(["report", "--format", "svg", "--only", "anatomy"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("lockprof: there is no picture anatomy"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_flame_graph_stands_on_classes() {
    let profile = AllLocks::default().profile();
    let folded = text(&profile, Format::Folded);
    let sums: Vec<&str> = folded.lines().collect();
    // The key that stands for all mmap_locks is no address of any.
    assert!(!folded.contains("0x"), "{folded}");
    let waits = busy_sum(4) * 3;
    let munmap = format!("__vm_munmap;mmap_lock (rwsem:W) {}", 6 * waits * WAIT_NS);
    assert!(sums.contains(&munmap.as_str()), "{munmap} in {folded}");
    let pipe = format!("pipe_write;mutex_of_pipe_write {}", 3 * waits * WAIT_NS);
    assert!(sums.contains(&pipe.as_str()), "{pipe} in {folded}");
}

#[test]
fn the_page_names_class_caller_and_owner() {
    let profile = eighty().profile();
    let page = text(&profile, Format::Html);
    keep("eighty.html", page.as_bytes());
    keep(
        "one.html",
        text(&AllLocks::default().profile(), Format::Html).as_bytes(),
    );
    keep(
        "long.html",
        text(&long_names().profile(), Format::Html).as_bytes(),
    );
    let ids: Vec<&str> = page
        .split("<section id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "verdict", "classes", "callers", "owners", "people", "locks", "measured"
        ]
    );
    let section = |id: &str| {
        let (_, rest) = page.split_once(&format!("<section id=\"{id}\"")).unwrap();
        rest.split_once("</section>").unwrap().0.to_owned()
    };
    for (id, expected) in [
        ("verdict", "tasks that wait, on average"),
        ("verdict", "classes of locks"),
        ("classes", "mmap_lock (rwsem)"),
        ("classes", "Waits over time"),
        ("callers", "__vm_munmap"),
        ("callers", "<iframe"),
        ("owners", "server 900"),
        ("owners", "its own process"),
        ("people", "/load"),
        ("people", "mmload 1000"),
        ("locks", "spinlock of function_0_0"),
    ] {
        assert!(section(id).contains(expected), "{expected} in {id}");
    }
    let locks = profile.locks.as_ref().unwrap();
    let waits = format!("<dt>waits</dt><dd>{}</dd>", units::count(locks.count()));
    assert!(section("verdict").contains(&waits), "{waits}");
    // Each picture has a text in its place.
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 3);
}
