//! Which lock is followed, and which bundled load takes it.

use workloads::Workload;

/// The lock that lockprof follows when nobody says otherwise: calls are followed in its holds alone.
const DEFAULT: &str = "tasklist_lock";

/// The bundled load for each lock that has a name of its own: that with the longest holds, where there are several.
/// Locks of single objects (a pipe's mutex, a folder's i_rwsem) have another address in each boot and no name.
const LOADS: [(&str, Workload); 2] = [
    (DEFAULT, Workload::Threadspawn),
    ("cgroup_mutex", Workload::Mkcgroup),
];

/// `--lock`, as `lockprof run` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its symbol.
    name: String,
    /// Its kind, where it was said.
    kind: Option<String>,
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            kind: None,
        }
    }
}

impl Lock {
    /// NAME, or NAME:KIND. What kinds there are lockprof knows, and says in the first boot.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, kind) = match text.split_once(':') {
            Some((name, kind)) => (name, Some(kind)),
            None => (text, None),
        };
        if name.is_empty() || kind == Some("") {
            return Err(format!(
                "{text:?} names no lock: NAME, or NAME:KIND such as event_mutex:mutex"
            ));
        }
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(format!(
                "{name} is an address, which another kernel has for another lock, and this one in one boot alone: \
                 give the lock's name"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
        })
    }

    /// The words by which `lockprof run` follows it.
    pub fn words(&self) -> Vec<String> {
        if *self == Self::default() {
            return Vec::new();
        }
        let kind = self.kind.iter().flat_map(|kind| [":", kind.as_str()]);
        let value: String = std::iter::once(self.name.as_str()).chain(kind).collect();
        vec!["--lock".to_owned(), value]
    }

    /// Whether calls are followed in its holds, as `--detail spans` asks.
    pub fn has_spans(&self) -> bool {
        self.name == DEFAULT
    }

    /// The bundled load for it.
    ///
    /// # Errors
    /// A sentence, where there is none.
    pub fn load(&self) -> Result<Workload, String> {
        let mut loads = LOADS.into_iter();
        let load = loads.find_map(|(lock, load)| (lock == self.name).then_some(load));
        load.ok_or_else(|| {
            format!(
                "no bundled load is known to take {}: name one by --workload, or give your own as -- -- COMMAND",
                self.name
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_named_and_perhaps_of_a_kind() {
        let words = |text: &str| Lock::parse(text).unwrap().words().join(" ");
        assert_eq!(words("event_mutex:mutex"), "--lock event_mutex:mutex");
        assert_eq!(words("cgroup_mutex"), "--lock cgroup_mutex");
        // What lockprof does by itself it is not told.
        assert_eq!(words(DEFAULT), "");
        for (bad, why) in [
            ("0xffffffff83806080:mutex", "in one boot alone"),
            ("ffff:", "names no lock"),
            (":mutex", "names no lock"),
            ("", "names no lock"),
        ] {
            let error = Lock::parse(bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_lock_without_a_load_of_its_own_asks_for_one() {
        for (name, load) in LOADS {
            assert_eq!(Lock::parse(name).unwrap().load(), Ok(load));
        }
        let error = Lock::parse("event_mutex:mutex").unwrap().load();
        assert!(error.unwrap_err().contains("event_mutex"));
    }

    #[test]
    fn calls_are_followed_in_holds_of_the_default_lock_alone() {
        assert!(Lock::default().has_spans());
        assert!(!Lock::parse("cgroup_mutex").unwrap().has_spans());
    }
}
