//! All contended locks, for programs.

use serde_json::{Value, json};

use super::durations;
use crate::profile::{
    Class, ClassWaits, CommandWaits, Container, Doing, Locks, LongWait, Pair, Person, Profile,
    WaitedFor, Waits, WhoWaits,
};

/// The fields of a recording of all locks; `null` in others.
pub(super) fn fields(profile: &Profile) -> Vec<(&'static str, Value)> {
    let locks = profile.locks.as_ref();
    let of = |field: fn(&Locks) -> Value| locks.map_or(Value::Null, field);
    vec![
        ("looked_at", json!(profile.header.locks)),
        (
            "classes",
            of(|locks| {
                let classes = locks.classes.iter();
                classes.map(|class| self::class(locks, class)).collect()
            }),
        ),
        (
            "owners",
            of(|locks| locks.owners.iter().map(owner).collect()),
        ),
        (
            "owners_doing",
            of(|locks| locks.doing.iter().map(doing).collect()),
        ),
        ("tasks", of(|locks| locks.tasks.iter().map(who).collect())),
        (
            "processes",
            of(|locks| locks.processes.iter().map(who).collect()),
        ),
        (
            "commands",
            of(|locks| locks.commands.iter().map(command).collect()),
        ),
        (
            "waiting_cgroups",
            of(|locks| locks.cgroups.iter().map(cgroup).collect()),
        ),
        ("pairs", of(|locks| locks.pairs.iter().map(pair).collect())),
        ("without_place", of(|locks| waits(&locks.without_place))),
        (
            "longest_waits",
            of(|locks| locks.longest.iter().map(long_wait).collect()),
        ),
    ]
}

fn class(locks: &Locks, class: &ClassWaits) -> Value {
    let mut value = named(&class.class);
    let callers = locks.callers.iter();
    let callers = callers.filter(|caller| caller.class == class.class);
    let (owned, owners) = locks.owned(&class.class);
    let all = locks.waited_ns();
    value["count"] = class.waits.count().into();
    value["sampled"] = class.waits.sampled.into();
    value["waited_ns"] = json!(class.waits.known_total_ns());
    value["share"] = json!((all > 0).then(|| class.waits.total_ns as f64 / all as f64));
    value["wait_ns"] = durations(&class.waits);
    value["owner_known"] = waits(&owned);
    value["owning_processes"] = owners.into();
    value["callers"] = callers
        .map(|caller| {
            json!({
                "caller": caller.caller,
                "kind": caller.kind.name(),
                "count": caller.waits.count(),
                "waited_ns": caller.waits.known_total_ns(),
                "wait_ns": durations(&caller.waits),
            })
        })
        .collect();
    value["members"] = class
        .members
        .iter()
        .map(|member| {
            let mut value = waits(&member.waits);
            value["name"] = member.name.clone().into();
            value
        })
        .collect();
    value
}

fn named(class: &Class) -> Value {
    json!({
        "name": class.name,
        "kind": class.kind(),
        "named_by": class.named_by.name(),
    })
}

fn waits(waits: &Waits) -> Value {
    json!({
        "count": waits.count,
        "measured": waits.measured,
        "waited_ns": (waits.measured > 0 || waits.count == 0).then_some(waits.waited_ns),
        "longest_ns": (waits.measured > 0).then_some(waits.longest_ns),
    })
}

fn person(person: &Person) -> Value {
    json!({"id": (person.id != 0).then_some(person.id), "name": person.name})
}

/// The class that was waited for the longest, and how long.
fn most((class, waited_ns): &(Class, u64)) -> Value {
    let mut value = named(class);
    value["waited_ns"] = (*waited_ns).into();
    value
}

fn who(who: &WhoWaits) -> Value {
    let mut value = waits(&who.waits);
    value["who"] = person(&who.who);
    value["process"] = who.process.as_ref().map_or(Value::Null, person);
    value["most_for"] = most(&who.most);
    value
}

fn cgroup(cgroup: &WhoWaits) -> Value {
    let mut value = who(cgroup);
    let container = Container::of(&cgroup.who.name);
    value["container"] =
        json!(container.map(|Container { runtime, id }| json!({"runtime": runtime, "id": id})));
    value
}

fn command(command: &CommandWaits) -> Value {
    let mut value = waits(&command.waits);
    value["name"] = command.name.clone().into();
    value["processes"] = command.processes.into();
    value["most_for"] = most(&command.most);
    let behind = command.behind.iter().map(|behind| {
        let mut value = waits(&behind.waits);
        value["owner"] = json!(behind.owner);
        value["own_process"] = behind.is_own.into();
        value["processes"] = behind.processes.into();
        value
    });
    value["behind"] = behind.collect();
    value
}

fn long_wait(wait: &LongWait) -> Value {
    let waiter = wait.waiter.as_ref();
    let (from_s, to_s) = wait.ended_in_s;
    json!({
        "ns": wait.ns,
        "ended_after_s": from_s,
        "ended_before_s": to_s,
        "class": named(&wait.class),
        "kind": wait.kind.name(),
        "caller": wait.caller,
        "task": waiter.map(|(task, _)| person(task)),
        "process": waiter.map(|(_, process)| person(process)),
        "owner": wait.owner.as_ref().map(person),
        "owner_is_hint": wait.owner_is_hint,
    })
}

fn owner(owner: &WaitedFor) -> Value {
    let mut value = waits(&owner.waits);
    let [on_cpu, runnable, asleep] = owner.states;
    value["class"] = named(&owner.class);
    value["owner"] = person(&owner.owner);
    value["tasks"] = owner.tasks.into();
    value["by_own_process_ns"] = owner.own_ns.into();
    value["found"] = json!({"on_cpu": on_cpu, "runnable": runnable, "asleep": asleep});
    value["reader_hints"] = owner.reader_hints.into();
    value
}

fn doing(doing: &Doing) -> Value {
    json!({
        "class": named(&doing.class),
        "owner": doing.owner,
        "by": doing.by.name(),
        "reader_hint": doing.reader_hint,
        "threads": doing.threads,
        "state": doing.state,
        "stack": doing.stack,
        "seen": doing.seen,
    })
}

fn pair(pair: &Pair) -> Value {
    let mut value = waits(&pair.waits);
    value["waiter"] = person(&pair.waiter);
    value["owner"] = pair.owner.as_ref().map_or(Value::Null, person);
    value
}
