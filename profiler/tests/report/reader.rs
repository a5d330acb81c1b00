//! Recordings that are whole, cut, altered, or from the future.

use lockprof::recording::{
    Problem, ReadError, Recording, RecordingLines,
    schema::{Killed, Line, SCHEMA, SiteInterval},
};
use proptest::prelude::*;

use crate::fixture::{Synthetic, bytes};

fn read(bytes: &[u8]) -> Result<Recording, ReadError> {
    Recording::from_lines(RecordingLines::new(bytes))
}

fn small() -> Synthetic {
    Synthetic {
        cpus: 1,
        intervals: 1,
        holds: 3,
        ..Synthetic::default()
    }
}

/// The message for a recording in whose text `from` is replaced by `to`, once.
fn altered(from: &str, to: &str) -> String {
    let text = String::from_utf8(bytes(&small().lines())).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    read(text.replacen(from, to, 1).as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_was_written_is_read_back() {
    let lines = Synthetic::default().lines();
    let recording = read(&bytes(&lines)).unwrap();
    let Recording {
        header,
        calibration,
        intervals,
        footer,
        killed,
        cut_short,
    } = recording;
    let mut again = vec![Line::Header(Box::new(header))];
    again.extend(calibration.map(Line::Calibration));
    again.extend(
        intervals
            .into_iter()
            .map(|interval| Line::Interval(Box::new(interval))),
    );
    again.extend(footer.map(|footer| Line::Footer(Box::new(footer))));
    assert_eq!(again, lines);
    assert!(!cut_short);
    assert_eq!(killed, None);
}

/// What the guard writes in the place of a footer.
const KILLED: Line = Line::Killed(Killed {
    silent_s: 12,
    stopped: true,
});

#[test]
fn the_guard_may_have_ended_it() {
    let mut lines = Synthetic {
        footer: false,
        ..Synthetic::default()
    }
    .lines();
    lines.push(KILLED);
    let recording = read(&bytes(&lines)).unwrap();
    assert!(recording.cut_short && recording.footer.is_none());
    assert_eq!(recording.killed.map(Line::Killed), Some(KILLED));
}

#[test]
fn a_recording_without_its_footer_is_cut_short() {
    let recording = read(&bytes(
        &Synthetic {
            footer: false,
            ..small()
        }
        .lines(),
    ))
    .unwrap();
    assert!(recording.cut_short);
    assert_eq!(recording.intervals.len(), 2);
}

#[test]
fn every_truncation_is_cut_short_or_refused() {
    let lines = small().lines();
    let whole = bytes(&lines);
    let header = bytes(&lines[..1]).len();
    for length in 0..=whole.len() {
        match read(&whole[..length]) {
            // The last line is whole without its line end, too.
            Ok(recording) => assert_eq!(recording.cut_short, length < whole.len() - 1, "{length}"),
            Err(ReadError::Empty) => assert_eq!(length, 0),
            Err(ReadError::NotARecording { .. }) => assert!(length < header, "{length}"),
            Err(error) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn other_files_are_not_recordings() {
    for (file, message) in [
        ("", "the recording is empty"),
        (
            "\n",
            "this is not a lockprof recording: its first line, column",
        ),
        (
            "\u{7f}ELF\0\0",
            "this is not a lockprof recording: its first line, column 1",
        ),
        ("{\"line\":\"interval\"}\n", "its first line is no header"),
        ("{\"line\":\"header\"}\n", "its header names no schema"),
        (
            "{\"line\":\"header\",\"schema\":0}\n",
            "there is no schema 0",
        ),
    ] {
        let error = read(file.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message), "{file:?}: {error}");
    }
}

#[test]
fn a_newer_recording_says_what_to_do() {
    // Nothing else of it is looked at.
    let newer = "{\"line\":\"header\",\"schema\":7,\"lockprof\":\"2.1.0\",\"kernel\":[]}\n";
    assert_eq!(
        read(newer.as_bytes()).unwrap_err().to_string(),
        format!(
            "made by a newer lockprof (2.1.0): schema 7, this one reads up to {SCHEMA}; \
             update lockprof"
        )
    );
}

#[test]
fn a_broken_line_is_named() {
    let message = altered("\"seconds\":1.0", "\"seconds\":!1.0");
    assert!(message.starts_with("line 3, column 41: "), "{message}");
    assert!(message.ends_with("expected value"), "{message}");
    assert!(altered("\"seconds\":1.0,", "").contains("missing field `seconds`"));
    assert!(altered("\"seconds\":1.0", "\"seconds\":1e999").starts_with("line 3, "));
    assert!(altered("\"seconds\":1.0", "\"seconds\":null").starts_with("line 3, "));
    assert!(altered("\"line\":\"footer\"", "\"line\":\"epilogue\"").starts_with("line 5, "));
}

#[test]
fn what_cannot_be_is_refused() {
    for (from, to, message) in [
        (
            "\"site\":\"fork\"",
            "\"site\":\"\"",
            "line 3: site: \"\" is no name of a function",
        ),
        (
            "\"span\":\"free_pid\"",
            "\"span\":\"free_fd\"",
            "line 3: unknown span \"free_fd\"",
        ),
        (
            "\"waiter\":\"fork\"",
            "\"waiter\":\"\\u001b[2J\"",
            "line 3: waiter: \"\\u{1b}[2J\" is no name of a function",
        ),
        (
            "\"losses\":{",
            "\"losses\":{\"luck\":1",
            "line 3: unknown loss \"luck\"",
        ),
        (
            "\"octaves\":[14,7]",
            "\"octaves\":[14,7,3]",
            "line 3: octaves: 3 numbers are no pairs",
        ),
        (
            "\"octaves\":[14,7]",
            "\"octaves\":[40,7]",
            "line 3: octaves: bucket 40 of 40",
        ),
        (
            "\"octaves\":[14,7]",
            "\"octaves\":[14,8]",
            "line 3: octaves: the buckets sum up to 8",
        ),
        (
            "\"seconds\":1.0",
            "\"seconds\":-1.0",
            "line 3: seconds: -1 is not possible",
        ),
        (
            "\"seconds\":1.0",
            "\"seconds\":1e300",
            "line 3: seconds: 1000",
        ),
        (
            "\"at_s\":1.0",
            "\"at_s\":5.0",
            "line 4: at_s: 2 comes after 5",
        ),
        (
            "\"cpu\":0",
            "\"cpu\":4000000000",
            "line 3: cpu: 4000000000 is not possible",
        ),
        (
            "\"cpus_online\":1",
            "\"cpus_online\":99999999",
            "line 1: cpus_online: 99999999",
        ),
        (
            "0xffff888100a0b0c0",
            "somewhere",
            "line 3: lock: \"somewhere\" is no address",
        ),
        (
            "\"null_hold_ns\":253.4",
            "\"null_hold_ns\":-3",
            "line 2: null_hold_ns: -3",
        ),
    ] {
        let error = altered(from, to);
        assert!(error.starts_with(message), "{error}");
    }
}

/// Callers of a lock that no list has are told by their function; how many there are is bounded, for each name is kept.
#[test]
fn sites_without_everyday_names_are_read() {
    let named = |name: String| {
        let text = String::from_utf8(bytes(&small().lines())).unwrap();
        read(
            text.replacen("\"site\":\"fork\"", &format!("\"site\":\"{name}\""), 1)
                .as_bytes(),
        )
    };
    let recording = named("work.isra.0 [module]".to_owned()).unwrap();
    let sites = recording.intervals[0].cpus[0].sites.iter();
    let names: Vec<&str> = sites.map(|site| site.site.as_str()).collect();
    assert_eq!(names, ["work.isra.0 [module]", "exit", "reap"]);
    let error = named("x".repeat(641)).unwrap_err().to_string();
    assert!(error.ends_with("is no name of a function"), "{error}");

    let mut lines = small().lines();
    let Line::Interval(interval) = &mut lines[2] else {
        panic!("the third line is an interval");
    };
    let site = interval.cpus[0].sites[0].clone();
    interval.cpus[0].sites = (0..129)
        .map(|number| SiteInterval {
            site: format!("function_{number}"),
            ..site.clone()
        })
        .collect();
    match read(&bytes(&lines)) {
        Err(ReadError::Invalid { problem, .. }) => assert_eq!(problem, Problem::TooManySites),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_have_their_order() {
    let lines = small().lines();
    let [header, calibration, interval] = [&lines[0], &lines[1], &lines[2]];
    let footer = lines.last().unwrap();
    for (order, problem) in [
        (vec![header, header], Problem::SecondHeader),
        (
            vec![header, calibration, calibration],
            Problem::SecondCalibration,
        ),
        (
            vec![header, footer, interval],
            Problem::AfterEnding("interval", "footer"),
        ),
        (
            vec![header, footer, footer],
            Problem::AfterEnding("footer", "footer"),
        ),
        (
            vec![header, &KILLED, footer],
            Problem::AfterEnding("footer", "guard's ending"),
        ),
    ] {
        let last = order.len() as u64;
        let order: Vec<Line> = order.into_iter().cloned().collect();
        match read(&bytes(&order)) {
            Err(ReadError::Invalid {
                line,
                problem: found,
            }) => {
                assert_eq!((line, found), (last, problem));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_line_without_an_end_is_not_read_for_ever() {
    let endless = std::io::BufReader::new(std::io::repeat(b'{'));
    let error = RecordingLines::new(endless).next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "line 1 is longer than 64 MiB");
}

#[test]
fn a_missing_file_is_named() {
    let error = Recording::read("/nonexistent/recording".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot open /nonexistent/recording: "),
        "{error}"
    );
}

proptest! {
    /// Whatever happens to a file, it is read or refused; and what is read can be shown.
    #[test]
    fn altered_recordings_do_not_panic(
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        digits in any::<bool>(),
        keep in any::<bool>(),
    ) {
        let mut bytes = bytes(&small().lines());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // Digits for digits gives lines that are still JSON, and say something else.
            match (digits, bytes[at].is_ascii_digit()) {
                (true, true) => bytes[at] = b'0' + byte % 10,
                (true, false) => {}
                (false, _) => bytes[at] = byte,
            }
        }
        if !keep {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        if let Ok(recording) = read(&bytes) {
            crate::views::every_view(recording);
        }
    }
}
