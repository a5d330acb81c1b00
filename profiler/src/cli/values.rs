//! Values of options.

use std::time::Duration;

use crate::{
    daemon::WindowChoice, kernel::refuse, known_locks, recording::schema::LockFamily, span::Span,
    units,
};

/// The shortest window that can be asked for: below it, little but its edges would be measured.
const SHORTEST_WINDOW: Duration = Duration::from_millis(20);

/// The longest time that can be asked for: a year.
const LONGEST_S: f64 = 366.0 * 86400.0;

/// The kinds of locks whose holds can be followed.
const KINDS: [LockFamily; 4] = [
    LockFamily::Rwlock,
    LockFamily::Mutex,
    LockFamily::Rwsem,
    LockFamily::PercpuRwsem,
];
/// What is said of a reader-writer lock that spins and that all who write it take by write_lock_irq().
const WRITERS_IRQ: &str = "rwlock-irq";

/// `--lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LockChoice {
    /// The lock's symbol, or its address, in hexadecimal with 0x.
    pub(super) name: String,
    /// What kind of lock it is said to be.
    kind: Option<LockFamily>,
    /// Whether it is said that all who write it take it by write_lock_irq().
    said_irq: bool,
}

impl LockChoice {
    /// What kind of lock it is, where that is known or said.
    pub(super) fn family(&self) -> Option<LockFamily> {
        known_locks::family(&self.name, self.kind)
    }

    /// Whether all who write it take it by write_lock_irq(), where that is known or said.
    pub(super) fn writers_irq(&self) -> bool {
        known_locks::writers_irq(&self.name, self.said_irq)
    }
}

/// A symbol or an address, and perhaps a kind.
pub(super) fn lock_choice(text: &str) -> Result<LockChoice, String> {
    let (name, kind, said_irq) = match text.split_once(':') {
        None => (text, None, false),
        Some((name, WRITERS_IRQ)) => (name, Some(LockFamily::Rwlock), true),
        Some((name, word)) => {
            let mut kinds = KINDS.into_iter();
            let kind = kinds.find(|kind| kind.name() == word);
            let kinds = KINDS.map(LockFamily::name).into_iter().chain([WRITERS_IRQ]);
            let kinds: Vec<String> = kinds.map(str::to_owned).collect();
            let kinds = units::list(&kinds);
            let kind = kind.ok_or_else(|| {
                format!("the kinds of locks whose holds are followed are {kinds}, not {word}")
            })?;
            (name, Some(kind), false)
        }
    };
    if name.is_empty() {
        return Err("a symbol, or an address in hexadecimal with 0x, is missing".to_owned());
    }
    let known = known_locks::find(name);
    if let Some((known, kind)) = known.zip(kind)
        && known.family != kind
    {
        return Err(format!(
            "{name} is no {}: its kind is {} ({})",
            kind.name(),
            known.family.name(),
            known.source
        ));
    }
    Ok(LockChoice {
        name: name.to_owned(),
        kind,
        said_irq,
    })
}

/// A length of time, in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_error| "not a number of seconds".to_owned())?;
    if !(0.0..=LONGEST_S).contains(&seconds) {
        return Err("between 0 seconds and a year".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The same, and not next to nothing.
pub(super) fn positive_seconds(text: &str) -> Result<Duration, String> {
    let length = seconds(text)?;
    if length < Duration::from_millis(1) {
        return Err("at least 0.001 seconds".to_owned());
    }
    Ok(length)
}

/// A function whose calls are measured.
pub(super) fn span_choice(text: &str) -> Result<Span, String> {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if let Some((base, _)) = text.split_once('.') {
        return Err(format!(
            "a part that the compiler has made of {base}, and a probe needs a plain function"
        ));
    }
    if text.is_empty()
        || text.starts_with(|first: char| first.is_ascii_digit())
        || !text.bytes().all(of_name)
    {
        return Err("no name of a function".to_owned());
    }
    refuse(text).map_or_else(|| Ok(Span::named(text)), Err)
}

/// `auto`, `off`, or the least length of a window.
pub(super) fn window_choice(text: &str) -> Result<WindowChoice, String> {
    match text {
        "auto" => Ok(WindowChoice::Auto),
        "off" => Ok(WindowChoice::Off),
        _ => match positive_seconds(text) {
            Ok(length) if length >= SHORTEST_WINDOW => Ok(WindowChoice::AtLeast(length)),
            Ok(_) => Err(format!(
                "at least {} seconds",
                SHORTEST_WINDOW.as_secs_f64()
            )),
            Err(error) => Err(format!("auto, off, or a length: {error}")),
        },
    }
}

/// A share, in per cent.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text
        .parse()
        .map_err(|_error| "not a number of per cent".to_owned())?;
    if !(0.0..=100.0).contains(&percent) {
        return Err("between 0 and 100".to_owned());
    }
    Ok(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_a_name_or_an_address_and_perhaps_a_kind() {
        for (text, name, family) in [
            ("tasklist_lock", "tasklist_lock", Some(LockFamily::Rwlock)),
            ("cgroup_mutex", "cgroup_mutex", Some(LockFamily::Mutex)),
            (
                "cgroup_mutex:mutex",
                "cgroup_mutex",
                Some(LockFamily::Mutex),
            ),
            ("event_mutex", "event_mutex", None),
            ("event_mutex:mutex", "event_mutex", Some(LockFamily::Mutex)),
            ("uts_sem:rwsem", "uts_sem", Some(LockFamily::Rwsem)),
            (
                "0xffff888100:rwlock",
                "0xffff888100",
                Some(LockFamily::Rwlock),
            ),
        ] {
            let choice = lock_choice(text).unwrap();
            assert_eq!(
                (choice.name.as_str(), choice.family()),
                (name, family),
                "{text}"
            );
        }
    }

    #[test]
    fn a_lock_of_another_kind_is_refused_with_its_source() {
        for (text, words) in [
            ("tasklist_lock:mutex", "its kind is rwlock (kernel/fork.c"),
            (
                "a_lock:spinlock",
                "percpu-rwsem and rwlock-irq, not spinlock",
            ),
            ("cgroup_mutex:rwsem", "its kind is mutex"),
            (":mutex", "is missing"),
        ] {
            let error = lock_choice(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
