//! Writing recordings, also where that fails.

use std::{fs, path::Path};

use lockprof::recording::{FILE_NAME, Recording, RecordingWriter, WriteError, schema::Line};

use crate::fixture::Synthetic;

#[test]
fn every_line_is_in_the_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let mut writer = RecordingWriter::create(&path).unwrap();
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

#[test]
fn a_full_disk_is_an_error_with_the_file_and_what_was_tried() {
    let mut writer = RecordingWriter::create(Path::new("/dev/full")).unwrap();
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
    let path = directory.path().join(FILE_NAME);
    let mut writer = RecordingWriter::create(&path).unwrap();
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
    assert!(!Recording::read(&path).unwrap().cut_short);
    assert_eq!(writer.failures().len(), 1);
}
