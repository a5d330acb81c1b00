//! Writing recordings, also where that fails.

use std::{fs, path::PathBuf};

use lockprof::recording::{
    FILE_NAME, Folder, PARTIAL_NAME, Recording, RecordingWriter, WriteError, schema::Line,
};

use crate::fixture::Synthetic;

#[test]
fn every_line_is_in_the_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PARTIAL_NAME);
    let mut writer = RecordingWriter::create(Folder::open(directory.path()).unwrap()).unwrap();
    let lines = Synthetic::default().lines();
    for (index, line) in lines.iter().enumerate() {
        writer.write(line).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap().lines().count(),
            index + 1
        );
    }
    // By the file, and by its directory.
    assert_eq!(
        Recording::read(&path).unwrap(),
        Recording::read(directory.path()).unwrap()
    );
    assert!(writer.failures().is_empty());
}

/// A recording has its name when it is whole, and takes it from an older one. One that is not is newer.
#[test]
fn what_is_whole_has_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("made/run");
    let lines = Synthetic::default().lines();
    let write = |count: usize| {
        let mut writer = RecordingWriter::create(Folder::make(&folder).unwrap()).unwrap();
        lines[..count]
            .iter()
            .for_each(|line| writer.write(line).unwrap());
        writer
    };
    let names = || {
        let entries = fs::read_dir(&folder).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let read = || Recording::read(&folder).unwrap();
    drop(write(lines.len() - 1));
    assert_eq!(names(), [PARTIAL_NAME]);
    assert!(read().cut_short);
    write(lines.len()).complete().unwrap();
    assert_eq!(names(), [FILE_NAME]);
    assert!(!read().cut_short);
    drop(write(2));
    assert_eq!(names(), [FILE_NAME, PARTIAL_NAME]);
    assert!(read().cut_short);
    // One in which nothing is leaves what was there before, and no folder that was made for it.
    write(1).discard();
    assert_eq!(names(), [FILE_NAME]);
    fs::remove_dir_all(directory.path().join("made")).unwrap();
    write(1).discard();
    assert!(!directory.path().join("made").exists());
}

#[test]
fn a_full_disk_is_an_error_with_the_file_and_what_was_tried() {
    let mut writer = RecordingWriter::new(
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
        PathBuf::from("/dev/full"),
    );
    let lines = Synthetic::default().lines();
    let error = writer.write(&lines[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write /dev/full: No space left on device (os error 28)"
    );
    assert_eq!(writer.failures(), [error.to_string()]);
}

#[test]
fn what_no_reader_would_accept_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = RecordingWriter::create(Folder::open(directory.path()).unwrap()).unwrap();
    let lines = Synthetic::default().lines();
    writer.write(&lines[0]).unwrap();
    let Line::Calibration(calibration) = &lines[1] else {
        panic!("no calibration")
    };
    let mut broken = calibration.clone();
    broken.null_hold.as_mut().unwrap().mean_ns = f64::NAN;
    let error = writer.write(&Line::Calibration(broken)).unwrap_err();
    assert!(matches!(error, WriteError::Invalid { .. }), "{error}");
    // As if it had never been.
    for line in &lines[1..] {
        writer.write(line).unwrap();
    }
    writer.complete().unwrap();
    assert!(!Recording::read(directory.path()).unwrap().cut_short);
    assert_eq!(writer.failures().len(), 1);
}
