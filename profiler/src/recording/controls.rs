//! Positive controls: what lockprof did itself, so that it is known whether the probes see it.
//!
//! That nothing was seen says something only where a control of the same probes, and of the same kind of
//! lock, was seen in the same run.

use serde::{Deserialize, Serialize};

use crate::{site::Site, span::Span};

/// What one control came to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Control {
    /// What it is the proof of.
    pub proves: Proves,
    /// What it came to.
    pub outcome: Proof,
    /// Events that were made; of waits, which nobody can order, the acquisitions that might have waited.
    pub done: u64,
    /// How many of them the probes saw.
    pub seen: u64,
    /// The cause where it is dead or not proved: a part of a sentence, without a full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a control proves that the probes see.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Proves {
    /// Uncontended holds of the target lock: null holds, by setsid().
    Holds,
    /// Holds of one site (fork, exit, reap): by the life of a child.
    Site(#[serde(with = "site_by_name")] Site),
    /// A call that may lie inside holds: by the life of a child.
    Span(#[serde(with = "span_by_name")] Span),
    /// Holds of the target lock that were waited for, and that wait.
    ContendedHolds,
    /// Waits for locks of one family: by threads that contend a private one.
    Waits(LockFamily),
}

/// Locks whose waits come from one place in the kernel, whether they read or write.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum LockFamily {
    /// Mutexes.
    Mutex,
    /// Reader-writer semaphores.
    Rwsem,
    /// Reader-writer locks that spin.
    Rwlock,
    /// Spinlocks.
    Spinlock,
    /// Reader-writer semaphores with a part on each CPU.
    PercpuRwsem,
    /// Locks of a real-time kernel.
    RtMutex,
}

impl LockFamily {
    /// Every family.
    pub const ALL: [Self; 6] = [
        Self::Mutex,
        Self::Rwsem,
        Self::Rwlock,
        Self::Spinlock,
        Self::PercpuRwsem,
        Self::RtMutex,
    ];

    /// What reports call one of them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::Rwsem => "rwsem",
            Self::Rwlock => "rwlock",
            Self::Spinlock => "spinlock",
            Self::PercpuRwsem => "percpu-rwsem",
            Self::RtMutex => "rt_mutex",
        }
    }
}

/// What a control came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The probes see it.
    Proved,
    /// It happened, and the probes did not see it.
    Dead,
    /// It could not be made to happen, or not for certain: nothing is known.
    NotProved,
}

/// The null holds that the daemon itself made in an interval. They are in no other number of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldsControl {
    /// How many were made.
    pub done: u64,
    /// How many of them the probes saw.
    pub seen: u64,
}

/// Whether the null holds of intervals tell that the probes have died: one interval's may all be lost, on their
/// own; those of two in a row are not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Misses {
    /// When an interval's were all missed, and none since has been seen; in seconds since the attach.
    pub since_s: Option<f64>,
}

impl Misses {
    /// Takes the controls of an interval: since when the probes are dead, if they are.
    pub fn add(&mut self, control: HoldsControl, at_s: f64) -> Option<f64> {
        if control.seen > 0 {
            self.since_s = None;
            return None;
        }
        let dead = self.since_s;
        self.since_s.get_or_insert(at_s);
        dead
    }
}

/// That probes which had been proved stopped seeing: the run is void.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Died {
    /// When that was noticed, in seconds since the probes were attached.
    pub at_s: f64,
    /// What was seen until then.
    pub proves: Proves,
    /// The cause, as far as it was found: a part of a sentence.
    pub why: String,
}

mod site_by_name {
    use crate::site::Site;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(site: &Site, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(site.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Site, D::Error> {
        let name = String::deserialize(deserializer)?;
        Site::known(&name).ok_or_else(|| D::Error::custom(format!("unknown site {name:?}")))
    }
}

mod span_by_name {
    use crate::span::Span;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(span.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let name = String::deserialize(deserializer)?;
        Span::find(&name).ok_or_else(|| D::Error::custom(format!("unknown span {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_misses_in_a_row_are_a_death_and_one_is_none() {
        let told = |seen: &[u64]| {
            let mut misses = Misses::default();
            let dead = (0_u32..).zip(seen).filter_map(|(at_s, &seen)| {
                misses.add(HoldsControl { done: 10, seen }, at_s.into())
            });
            dead.collect::<Vec<_>>()
        };
        assert_eq!(told(&[10, 0, 10, 0, 3]), [0.0; 0]);
        assert_eq!(told(&[10, 0, 0, 0]), [1.0, 1.0]);
        assert_eq!(told(&[0, 0, 10, 0]), [0.0]);
    }

    #[test]
    fn what_is_proved_has_a_name_in_json() {
        let cases = [
            (Proves::Holds, r#""holds""#),
            (Proves::ContendedHolds, r#""contended_holds""#),
            (Proves::Site(Site::REAP), r#"{"site":"reap"}"#),
            (Proves::Span(Span::FREE_PID), r#"{"span":"free_pid"}"#),
            (
                Proves::Waits(LockFamily::PercpuRwsem),
                r#"{"waits":"percpu_rwsem"}"#,
            ),
        ];
        for (proves, json) in cases {
            assert_eq!(serde_json::to_string(&proves).unwrap(), json);
            assert_eq!(serde_json::from_str::<Proves>(json).unwrap(), proves);
        }
        let unknown = serde_json::from_str::<Proves>(r#"{"site":"nowhere"}"#);
        assert!(
            unknown
                .unwrap_err()
                .to_string()
                .starts_with("unknown site \"nowhere\"")
        );
    }
}
