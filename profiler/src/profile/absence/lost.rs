//! What was lost, and so may have been, or was, though nothing was seen.

use lockprof_abi::Loss;

use super::{
    super::{
        Contention, Losses, Profile,
        losses::{AT_RANDOM, Lost},
    },
    spins,
};
use crate::{
    kernel::sees_waits_begin,
    recording::schema::{LockFamily, Probe},
    span::Span,
    units,
};

/// Losses each of which was a hold of the lock: what is lost was there.
const LOST_HOLDS: &[Loss] = &[
    Loss::HoldWithoutStart,
    Loss::HoldSwitched,
    Loss::HoldInterrupted,
];
/// Losses each of which was a wait for the lock, and a writer's hold behind it.
const LOST_WAITS: &[Loss] = &[
    Loss::WaitUnclaimed,
    Loss::TargetWaitWithoutEnd,
    Loss::TargetWaitWithoutStart,
];
/// Losses each of which was a reader's wait for the lock.
const LOST_READERS: &[Loss] = &[Loss::ReadWaitUnclaimed];
/// Losses each of which was a wait for some lock that spins.
const LOST_SPINNING: &[Loss] = &[Loss::WaitOverflow, Loss::WaitWithoutEnd, Loss::WaitMigrated];

/// Whatever a run is allowed to lose, of more than this it is not known what was lost.
const MOST_LOST: f64 = 0.001;

/// What was lost where waits were, one or many.
const LOST: [&str; 2] = [
    "wait for a lock that nobody knows",
    "waits for locks that nobody knows",
];

/// Each a part of a sentence.
impl Profile {
    /// Holds of the lock that were there, and have no length.
    pub(super) fn holds_lost(&self) -> Option<String> {
        let losses = &self.losses_of_main;
        let lost = losses.some(LOST_HOLDS).with(losses.some(LOST_WAITS));
        (lost.count > 0).then(|| lost.text(None))
    }

    /// Waits for it that were.
    pub(super) fn waits_lost(&self) -> Option<String> {
        let losses = &self.losses_of_main;
        let lost = losses.some(LOST_WAITS).with(losses.some(LOST_READERS));
        (lost.count > 0).then(|| lost.text(None))
    }

    /// Any event of the lock that may have been lost.
    pub(super) fn events_lost(&self) -> Option<String> {
        let lost = self.losses_of_main.lost_of_target();
        (lost.count > 0).then(|| lost.text(Some(["of its events"; 2])))
    }

    /// Calls of a span that were lost where spans were measured, in so great a number that those that were seen say
    /// nothing of them.
    pub(super) fn calls_lost(&self, span: Span) -> Option<String> {
        let losses = self.losses_of_spans.as_ref();
        let losses = losses.unwrap_or(&self.losses_of_main);
        let probes = &self.header.attach.probes;
        let its_programs = |program: &str| {
            let of_it =
                |probe: &Probe| probe.program == program && Span::of_probe(probe) == Some(span);
            probes.iter().any(of_it)
        };
        let lost = losses.some(&[Loss::SpanUnmatched]);
        let lost = lost.with(losses.refused(its_programs));
        let calls = self.spans.iter().filter(|calls| calls.span == span);
        let calls = calls.map(|calls| calls.calls);
        let calls = calls.fold(0, u64::saturating_add);
        // A program that was refused outside of a hold, where tasks may be switched, has nothing to do with holds.
        lost.is_more_than(AT_RANDOM * MOST_LOST, calls)
            .then(|| lost.text(Some(["call", "calls"])))
    }

    /// Waits of the lock's kind for locks that the tables had no place for, which may be this one: a part of a
    /// sentence. Waits that the probes of holds have told by site are in tables of their own.
    pub(super) fn without_a_place(&self) -> Option<String> {
        let family = self.lock_family();
        let of_its_kind = |wait: &&Contention| match (family, wait.kind.family()) {
            (Some(family), Some(other)) => family == other,
            // The flags say nothing: a lock that is slept for.
            (Some(family), None) => !spins(family),
            (None, _) => true,
        };
        let waits = self.unnamed_locks();
        let waits = waits
            .filter(|wait| !self.measures_holds() || !self.is_told_by_site(wait.kind))
            .filter(of_its_kind);
        let waits = waits.map(|wait| wait.waits.count());
        let waits = waits.fold(0, u64::saturating_add);
        (waits > 0).then(|| {
            format!(
                "{} waits of its kind were for locks that the tables had no place for",
                units::count(waits)
            )
        })
    }

    /// More waits were lost of some lock, nobody knows of which, than a run may lose: a part of a sentence.
    pub(super) fn lost_of_family(&self, family: LockFamily) -> Option<String> {
        let losses = &self.losses_of_main;
        let kinds = if spins(family) {
            LOST_SPINNING
        } else {
            &[Loss::TaskSlotTaken]
        };
        self.too_many(losses.some(kinds).with(refused_waits(losses)))
    }

    /// The same where it is no question of which.
    pub(super) fn lost_of_any_lock(&self) -> Option<String> {
        self.too_many(self.lost_waits())
    }

    /// Waits that a filter by caller has left out, since it was not to be told who asked.
    pub(super) fn left_out(&self) -> Option<String> {
        let lost = self.losses_of_main.some(&[Loss::CallerUnknown]);
        (lost.count > 0).then(|| {
            let waits = if lost.count == 1 { "wait" } else { "waits" };
            format!(
                "of {} {waits} it was not to be told who asked",
                units::count(lost.count)
            )
        })
    }

    /// Waits for any lock that were not seen, or not whole.
    fn lost_waits(&self) -> Lost {
        let losses = &self.losses_of_main;
        let lost = losses.some(LOST_SPINNING).with(refused_waits(losses));
        lost.with(losses.some(&[Loss::TaskSlotTaken]))
    }

    /// Where some waits were seen, that many others were not. Where none was, what it means that none was says it.
    pub(in crate::profile) fn waits_are_lower_bounds(&self) -> Option<String> {
        // Of all locks together no sentence says that one of them was not waited for.
        let of_one = self.locks.is_none();
        let is_said = || of_one && self.waits_seen().0 == 0 && !self.absence_of_waits().is_none();
        // Those of the lock may be in tables of their own.
        let seen = seen_waits(&self.contention).max(self.waits_seen().0);
        if !self.waits_known() || seen == 0 || is_said() {
            return None;
        }
        let lost = self.lost_waits();
        lost.is_more_than(AT_RANDOM * MOST_LOST, seen)
            .then(|| lost.text(Some(LOST)))
    }

    /// Whether waits that were lost are more than a run may lose of all that there were.
    fn too_many(&self, lost: Lost) -> Option<String> {
        let seen = seen_waits(&self.contention);
        lost.is_more_than(self.header.loss_threshold.min(MOST_LOST), seen)
            .then(|| lost.text(Some(LOST)))
    }
}

fn seen_waits(contention: &[Contention]) -> u64 {
    let seen = contention.iter().map(|wait| wait.waits.count());
    seen.fold(0, u64::saturating_add)
}

/// Runs of the programs that see waits, each of which is one that was not seen to begin or to end: or both.
fn refused_waits(losses: &Losses) -> Lost {
    let began = losses.refused(sees_waits_begin);
    began.or(losses.refused(|program| program == "contention_ended"))
}
