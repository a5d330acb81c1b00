//! What it means that something was not seen. This is the one place that decides whether it can be said that
//! there was none; every view takes its sentence from here.
//!
//! That there was none is said only where the same run proves that its probes would have seen one, of the
//! kind of lock that those probes can see, in a time that had the events in which it would have been.

mod lost;
mod unproved;

use super::{Durations, Known, Profile, SiteProfile};
use crate::{
    known_locks::{self, FOLLOWED_HOLDS, has_sites, is_taken_by_each_task},
    recording::schema::{AddressSource, Clock, Kind, LockFamily, Proves},
    site::Site,
    span::Span,
    units,
};

/// Since this schema a recording says itself whether waits for spinlocks are invisible.
const TELLS_OF_SPINLOCKS: u32 = 2;

/// What it means that something was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It would have been seen: there was none.
    Certain,
    /// Whoever recorded it did not try whether the probes would have seen it.
    Untried,
    /// Nobody knows, and why: a part of a sentence.
    Unknown(String),
    /// There were some, and how that is known: a part of a sentence.
    Missed(String),
}

impl Absence {
    /// The sentence: `none` where it is certain that there was none, else that it was not seen.
    fn say(&self, none: &str, unseen: &str) -> String {
        match self {
            Self::Certain => format!("{none}."),
            Self::Untried => {
                format!("{unseen}; whether the probes would have seen one was not tried.")
            }
            Self::Unknown(why) => {
                format!("{unseen}, and whether there was one is not known: {why}.")
            }
            Self::Missed(how) => format!("{unseen}, though there were: {how}."),
        }
    }

    /// Whether what was not seen may be told as 0.
    const fn is_none(&self) -> bool {
        matches!(self, Self::Certain | Self::Untried)
    }
}

/// What is known of something by a control.
fn by_control(known: Known, what: &str) -> Absence {
    match known {
        Known::Proved => Absence::Certain,
        Known::Untried => Absence::Untried,
        Known::Dead { why, at_s } => {
            let since = at_s.map_or_else(String::new, |at_s| {
                format!(" after {}", units::seconds(at_s))
            });
            Absence::Unknown(format!("the probes do not see {what}{since} ({why})"))
        }
        Known::NotProved { why } => Absence::Unknown(format!(
            "it is not proved that the probes see {what} ({why})"
        )),
    }
}

/// What a control is the proof of.
pub(super) fn what(proves: Proves) -> String {
    match proves {
        Proves::Holds => "holds".to_owned(),
        Proves::Site(site) => format!("holds of {}", site.name()),
        Proves::Span(span) => format!("calls of {}", span.name()),
        Proves::ContendedHolds => "holds that were waited for".to_owned(),
        Proves::Waits(family) => format!("waits for {}", plural(family)),
    }
}

/// The sentences.
impl Profile {
    /// In the place of write holds; none where there are any.
    #[must_use]
    pub fn no_holds(&self) -> Option<String> {
        if self.holds_seen() > 0 {
            return None;
        }
        if !self.measures_holds() {
            return Some("Holds are not measured in this tier.".to_owned());
        }
        let (lock, time) = (&self.header.lock.name, units::seconds(self.measured_s));
        let (taken, hold) = match self.lock_family() {
            Some(LockFamily::Mutex) => ("taken", "hold"),
            _ => ("taken for writing", "write hold"),
        };
        Some(self.absence_of_holds().say(
            &format!("{lock} was never {taken} in {time}"),
            &format!("No {hold} of {lock} was seen in {time}"),
        ))
    }

    /// In the place of waits for the lock; none where there are any.
    #[must_use]
    pub fn no_waits(&self) -> Option<String> {
        if self.waits_seen().0 > 0 {
            return None;
        }
        if !self.waits_known() {
            return Some(self.waits_not_measured().to_owned());
        }
        let lock = &self.header.lock.name;
        Some(self.absence_of_waits().say(
            &format!("Nobody was seen waiting for {lock}"),
            &format!("No wait for {lock} was seen"),
        ))
    }

    /// In the place of waits for `what`: any lock, or any other.
    #[must_use]
    pub fn no_waits_for(&self, what: &str) -> String {
        if !self.waits_known() {
            return self.waits_not_measured().to_owned();
        }
        let none = format!("No wait for {what} was seen");
        if let Some(why) = self.lost_of_any_lock().or_else(|| self.left_out()) {
            return Absence::Unknown(why).say(&none, &none);
        }
        let (mut seen, mut unseen, mut untried) = (Vec::new(), Vec::new(), true);
        for family in LockFamily::ALL {
            untried &= self.proof(Proves::Waits(family)) == Known::Untried;
            match self.absence_of_family(family) {
                Absence::Certain => seen.push(plural(family)),
                _ => unseen.push(plural(family)),
            }
        }
        if untried {
            return Absence::Untried.say(&none, &none);
        }
        match (seen.as_slice(), unseen.as_slice()) {
            (_, []) => format!("{none}."),
            ([], _) => format!("{none}, and it is not proved that the probes see any."),
            (seen, unseen) => format!(
                "{none}. The probes see those for {}; whether there were any for {} is not known.",
                units::list(seen),
                units::list(unseen)
            ),
        }
    }

    fn waits_not_measured(&self) -> &'static str {
        match self.header.clock {
            Clock::Instructions => "Waits are not measured on the instruction clock.",
            Clock::Hardware | Clock::EmulatedWall => "Waits are not measured on this kernel.",
        }
    }

    /// Why waits for spinlocks are invisible here, where they are: a part of a sentence. Those for
    /// reader-writer locks that spin are not concerned.
    #[must_use]
    pub fn spinlock_waits_invisible(&self) -> Option<String> {
        // Of two CPUs whose pending waiter has lost its own to a hypervisor, some are seen all the same.
        let mut families = self.contention.iter().map(|wait| wait.kind.family());
        let spinlock = LockFamily::Spinlock;
        if families.any(|family| family == Some(spinlock))
            || self.proof(Proves::Waits(spinlock)).is_proved()
        {
            return None;
        }
        let kernel = &self.header.kernel;
        if let Some(why) = &kernel.spinlock_waits_invisible {
            return Some(why.clone());
        }
        if kernel.spin_waits_invisible {
            return Some("this kernel spins in virt_spin_lock(), which emits no event".to_owned());
        }
        // Recordings that do not say so: of two CPUs the one that waits takes the pending path of
        // queued_spin_lock_slowpath() (kernel/locking/qspinlock.c, 5.19 to 7.3), unless paravirtual locks
        // are in use, whose waits are seen.
        (self.header.schema < TELLS_OF_SPINLOCKS && kernel.cpus_online == 2).then(|| {
            "with two CPUs the first contender of a queued spinlock, which emits no event, is the only one"
                .to_owned()
        })
    }
}

/// The decisions.
impl Profile {
    /// What it means that no write hold was seen.
    pub(super) fn absence_of_holds(&self) -> Absence {
        if self.measured_s <= 0.0 {
            return Absence::Unknown("nothing was measured".to_owned());
        }
        if let Some(why) = self.holds_not_followed() {
            return Absence::Unknown(why);
        }
        if let Some(lost) = self.holds_lost() {
            return Absence::Missed(lost);
        }
        if let Some(open) = self.open_at_the_end(Kind::Hold) {
            return Absence::Missed(open);
        }
        let by_control = by_control(self.proof(Proves::Holds), "holds");
        // copy_process() links each new task in under the lock (kernel/fork.c, 6.1 to 7.3).
        let created = self.series.iter().filter(|point| point.is_measured());
        let created = created.map(|point| point.tasks_created);
        let created = created.fold(0, u64::saturating_add);
        if by_control.is_none() && self.is_taken_by_each_task() && created > 0 {
            return Absence::Missed(format!(
                "the kernel created {} tasks meanwhile, each of them under this lock",
                units::count(created)
            ));
        }
        match self.events_lost() {
            Some(why) if by_control.is_none() => Absence::Unknown(why),
            _ => by_control,
        }
    }

    /// Why holds of such a lock are not followed: a part of a sentence.
    fn holds_not_followed(&self) -> Option<String> {
        match self.lock_family() {
            _ if self.is_followed_by_task() => None,
            Some(LockFamily::Rwlock) if self.sites_are_known() || self.was_held() => None,
            Some(LockFamily::Rwlock) => Some(
                "only holds of those who write it by write_lock_irq() are followed, and whether anybody does is not known"
                    .to_owned(),
            ),
            Some(family) => Some(format!(
                "{FOLLOWED_HOLDS}, and this is one of the {}",
                plural(family)
            )),
            None => Some(format!(
                "{FOLLOWED_HOLDS}, and what kind of lock this is is not known"
            )),
        }
    }

    /// What it means that nobody was seen to wait for the lock.
    pub(super) fn absence_of_waits(&self) -> Absence {
        let lock = &self.header.lock;
        if self.measured_s <= 0.0 {
            return Absence::Unknown("nothing was measured".to_owned());
        }
        if let Some(lost) = self.waits_lost() {
            return Absence::Missed(lost);
        }
        if let Some(open) = self.open_at_the_end(Kind::Wait) {
            return Absence::Missed(open);
        }
        match (&lock.address, lock.address_source) {
            (None, AddressSource::Stacks) => {
                return Absence::Unknown(
                    "the lock's address is not known, and would be learned from release_task's waits for it"
                        .to_owned(),
                );
            }
            (None, AddressSource::Process) => {}
            (None, _) => {
                return Absence::Unknown(
                    "the lock's address is not known, so that its waits are among those for all locks"
                        .to_owned(),
                );
            }
            (Some(_), _) => {}
        }
        if let Some(why) = self.without_a_place() {
            return Absence::Unknown(why);
        }
        if let Some(family) = self.lock_family() {
            return self.absence_of_family(family);
        }
        let all = LockFamily::ALL.into_iter();
        let absences = all.map(|family| self.absence_of_family(family));
        let mut doubts = absences.filter(|absence| *absence != Absence::Certain);
        match doubts.next() {
            None => Absence::Certain,
            Some(Absence::Unknown(why)) => {
                Absence::Unknown(format!("what kind of lock this is is not known, and {why}"))
            }
            // An older recording, of which more may be known by the kind.
            Some(untried) => doubts.find(|doubt| !doubt.is_none()).unwrap_or(untried),
        }
    }

    /// What it means that nobody was seen to wait for any lock of a family.
    fn absence_of_family(&self, family: LockFamily) -> Absence {
        let by_control = self.absence_by_control(family);
        match self.lost_of_family(family) {
            Some(why) if by_control.is_none() => Absence::Unknown(why),
            _ => by_control,
        }
    }

    /// The same by what the controls prove.
    fn absence_by_control(&self, family: LockFamily) -> Absence {
        // Who holds such a lock, or spins for it, is not switched out.
        if spins(family) && self.header.kernel.cpus_possible == 1 && !self.is_real_time() {
            return Absence::Certain;
        }
        if family != LockFamily::Spinlock {
            let proves = Proves::Waits(family);
            return by_control(self.proof(proves), &what(proves));
        }
        Absence::Unknown(match self.spinlock_waits_invisible() {
            Some(why) => format!("waits for spinlocks are invisible here ({why})"),
            None => "the first waiter in the line for a spinlock emits no event".to_owned(),
        })
    }

    /// What it means that a call, which was seen, was seen in no hold.
    #[must_use]
    pub fn absence_in_holds(&self, span: Span) -> Absence {
        if self.holds_with_spans(|site| site.is_writer()) == 0 {
            return Absence::Unknown(format!(
                "no hold of {} was seen in that time",
                self.header.lock.name
            ));
        }
        for (proves, what) in [(Proves::Holds, "holds"), (Proves::Span(span), "its calls")] {
            let known = self.proof(proves);
            if matches!(known, Known::Dead { .. }) || self.controls.seen_in_part(proves) {
                return by_control(known, what);
            }
        }
        if let Some(why) = self.calls_lost(span) {
            return Absence::Unknown(why);
        }
        // Holds and calls that were seen in the same time prove as much as controls before it.
        Absence::Certain
    }

    /// Whether the deferral of this span's calls would be seen by none of them being inside a hold of the lock.
    #[must_use]
    pub fn tells_deferral(&self, span: Span) -> bool {
        let mut known = known_locks::spans_of(&self.header.lock.name).iter();
        known.any(|known| known.span == span && known.tells_deferral)
    }

    /// Whether the deferral was seen: tasks were reaped, and what it defers was done, and never in a hold.
    #[must_use]
    pub fn deferral_is_seen(&self) -> bool {
        let calls = || {
            self.spans
                .iter()
                .filter(|span| self.tells_deferral(span.span))
        };
        self.is_taken_by_each_task()
            && calls().any(|deferred| deferred.calls > 0)
            && calls().all(|deferred| {
                deferred.site.is_none() && self.absence_in_holds(deferred.span) == Absence::Certain
            })
            && self.holds_with_spans(|site| site == Site::REAP) > 0
    }

    /// Takes back zeroes that nobody knows: where none was seen and none would have been, it is as if holds or
    /// waits were not measured.
    pub(super) fn without_unknown_zeroes(mut self) -> Self {
        if self.waits_known() && self.waits_seen().0 == 0 && !self.absence_of_waits().is_none() {
            self.target_waits_unknown = true;
            for site in &mut self.sites {
                site.wait = None;
            }
            if let Some(scaled) = &mut self.scaled {
                (scaled.waits, scaled.waited_ns) = (None, None);
            }
        }
        if self.measures_holds() && self.holds_seen() == 0 && !self.absence_of_holds().is_none() {
            self.holds_unknown = true;
            for site in &mut self.sites {
                site.hold = None;
            }
            for point in &mut self.series {
                (point.holds, point.held_ns, point.lives) = (None, None, None);
                point.cpus.clear();
            }
            if let Some(scaled) = &mut self.scaled {
                (scaled.holds, scaled.held_ns, scaled.lives) = (None, None, None);
            }
        }
        self
    }
}

/// What the decisions ask.
impl Profile {
    /// What kind of lock this is: by its definition where that is known, else by what was seen of it.
    #[must_use]
    pub fn lock_family(&self) -> Option<LockFamily> {
        let by_waits = || {
            let mut waits = self.contention.iter().filter(|wait| wait.is_target);
            waits.find_map(|wait| wait.kind.family())
        };
        // Recordings that do not say so.
        let by_name = || {
            if self.is_real_time() {
                LockFamily::RtMutex
            } else {
                LockFamily::Rwlock
            }
        };
        let known = self.header.lock.kind.or_else(by_waits);
        known
            .or_else(|| self.was_held().then_some(LockFamily::Rwlock))
            .or_else(|| self.sites_are_known().then(by_name))
    }

    /// Whether it is the lock whose sites are known.
    #[must_use]
    pub fn sites_are_known(&self) -> bool {
        has_sites(&self.header.lock.name)
    }

    /// Whether each task takes it for writing when it is made, when it ends and when it is reaped: of no other lock holds
    /// tell task lives.
    #[must_use]
    pub fn is_taken_by_each_task(&self) -> bool {
        is_taken_by_each_task(&self.header.lock.name)
    }

    /// Whether any write hold of it was seen, in the measured time or not.
    fn was_held(&self) -> bool {
        let mut holds = self.attached.holds.iter().flatten();
        holds.any(|(_, &count)| count > 0)
    }

    fn is_real_time(&self) -> bool {
        self.header.kernel.version.contains("PREEMPT_RT")
    }

    /// Write holds in the measured time.
    fn holds_seen(&self) -> u64 {
        holds_of(self.sites.iter().filter(|site| site.site.is_writer()))
    }

    /// Holds of some sites in the time in which spans were measured.
    fn holds_with_spans(&self, which: impl Fn(Site) -> bool) -> u64 {
        holds_of(self.sites_of_spans().iter().filter(|site| which(site.site)))
    }
}

fn holds_of<'a>(sites: impl Iterator<Item = &'a SiteProfile>) -> u64 {
    let holds = sites.filter_map(|site| site.hold.as_ref());
    holds.map(Durations::count).fold(0, u64::saturating_add)
}

/// Whether who waits for locks of a family does so on the CPU.
const fn spins(family: LockFamily) -> bool {
    matches!(family, LockFamily::Rwlock | LockFamily::Spinlock)
}

/// What reports call all locks of a family.
fn plural(family: LockFamily) -> String {
    let name = family.name();
    let end = if name.ends_with('x') { "es" } else { "s" };
    format!("{name}{end}")
}
