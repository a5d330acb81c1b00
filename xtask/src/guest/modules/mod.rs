//! Kernel modules that come and go.

use anyhow::{Context as _, Result, bail};
use lab::kernel::headers::Headers;
use lab::vm::VmOutcome;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::daemon::MEASURING;
use super::round::{Lab, Verdict, run};
use super::summary::{Summary, equal};

/// A module with a function of the name of one of the kernel's own.
const CLASH: Module = Module {
    name: "clash",
    function: "free_pid",
    lock: "clash_mutex",
};
/// One that differs from it in nothing but names.
const OTHER: Module = Module {
    name: "other",
    function: "other_function",
    lock: "other_mutex",
};
/// Lives of each load, and the processes that make them.
const LIVES: u64 = 60;
const LOAD: u64 = LIVES + 2;
/// Calls of a module's function in its time, at the least: more than there are lives in a run.
const MANY_CALLS: u64 = 1000;
/// Tasks of a module, which end when it is unloaded.
const TASKS: u64 = 2;
/// So long a module waits for its own lock before and after others come and go, in milliseconds.
const A_WHILE: u64 = 2200;

struct Module {
    name: &'static str,
    function: &'static str,
    lock: &'static str,
}

impl Module {
    fn insert(&self) -> Step {
        Step::new(["/init", "insert", &format!("/{}.ko", self.name)])
    }

    fn remove(&self) -> Step {
        Step::new(["/init", "remove", self.name])
    }

    /// The function as a report has it.
    fn caller(&self) -> String {
        format!("{} [{}]", self.function, self.name)
    }

    fn named_lock(&self) -> String {
        format!("{} [{}]", self.lock, self.name)
    }
}

/// A module has a function of the name of one that is probed, and is there when lockprof comes, goes, and comes again
/// elsewhere: the kernel's own function is probed and no call is one too many or missing, and who waits in a module has
/// its name, or none.
pub fn a_modules_function_is_not_the_kernels(lab: &Lab<'_>) -> Result<Verdict> {
    let headers = match Headers::of(lab.kernel)? {
        Ok(headers) => headers,
        Err(why) => return Ok(Verdict::Skipped(why)),
    };
    let folder = tempfile::tempdir().context("cannot make a folder for modules")?;
    let renamed = format!(
        "#define FUNCTION {}\n#define LOCK {}\n#include \"clash.c\"\n",
        OTHER.function, OTHER.lock
    );
    let sources = [("clash.c", include_str!("clash.c")), ("other.c", &*renamed)];
    headers.build(folder.path(), &[CLASH.name, OTHER.name], &sources)?;

    let load = || {
        let words = format!("workload forkexit --tasks 1 --iterations {LIVES} --warm-up 0");
        Step::new(["lockprof"].into_iter().chain(words.split(' ')))
    };
    let run_of_lives = format!("--workload forkexit --tasks 1 --iterations {LIVES} --warm-up 0");
    let attach = "lockprof attach --windows off --budget off --detail spans --no-report --output /out/attached";
    let steps = vec![
        CLASH.insert(),
        run("kprobe", &format!("{run_of_lives} --attach kprobe")),
        Step::new(attach.split(' ')).background(Some(MEASURING)),
        load(),
        CLASH.remove().delay(A_WHILE),
        load(),
        OTHER.insert(),
        load(),
        CLASH.insert(),
        load(),
        OTHER.remove().delay(A_WHILE),
        CLASH.remove(),
        Step::ending(2, libc::SIGINT),
    ];
    let (inserts, removals) = ([0, 6, 8], [4, 10, 11]);
    let mut request = lab.request(steps);
    for module in [CLASH, OTHER] {
        let file = format!("{}.ko", module.name);
        request.files.push(GuestFile {
            guest: format!("/{file}"),
            host: folder.path().join(&file),
        });
    }
    let outcome = super::round::succeed(&request)?;
    for step in removals {
        let calls = outcome.steps[step].text().trim().parse::<u64>();
        let calls = calls.context("the module's calls are no number")?;
        note!("    a module's function was called {calls} times");
        if calls < MANY_CALLS {
            bail!("a module's function was called {calls} times alone");
        }
    }
    // Loads, the steps that load and unload, and the modules' own tasks.
    let ended = 4 * LOAD + 5 + 3 * TASKS;
    calls_are_the_kernels(&Summary::of(lab, &outcome, "attached")?, ended)?;
    kprobes_are_told_apart(&Summary::of(lab, &outcome, "kprobe")?)?;
    let texts = inserts.map(|step| outcome.steps[step].text());
    let texts = texts.iter().map(|text| {
        note!("    {}", text.trim());
        text_page(text).with_context(|| format!("no address is in {text}"))
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    callers_have_their_own_names(lab, &outcome, &texts)?;
    Ok(Verdict::Passed)
}

/// Each life frees one pid, and a module frees none.
fn calls_are_the_kernels(attached: &Summary, ended: u64) -> Result<()> {
    attached.nothing_was_lost_in_holds()?;
    let reaps = attached.attached_holds("reap")?;
    let (freed, freed_inside) = attached.span_with_missed("free_pid")?;
    let (released, _) = attached.span_with_missed("release_task")?;
    note!("    {reaps} lives, {freed} calls of free_pid, {ended} known");
    equal(
        "reap and exit holds",
        reaps,
        attached.attached_holds("exit")?,
    )?;
    equal("calls of free_pid and lives", freed, reaps)?;
    equal("calls of free_pid in holds", freed_inside, reaps)?;
    equal("calls of release_task and lives", released, reaps)?;
    equal(
        "fork holds and /proc/stat",
        attached.attached_holds("fork")?,
        attached.count("/ground_truth/tasks_created_by_kernel")?,
    )?;
    let of_load = attached.holds("reap")?;
    if of_load < ended || of_load > reaps {
        bail!("{of_load} lives have ended of {ended} at the least and {reaps} at the most");
    }
    Ok(())
}

/// By kprobe the function is the kernel's own, or said to be absent because there are two: never the module's.
fn kprobes_are_told_apart(kprobe: &Summary) -> Result<()> {
    equal("method", kprobe.text("/attach")?, "kprobe")?;
    kprobe.is_sound()?;
    let absent = kprobe.rows("/spans_absent")?;
    let why = absent.iter().find(|row| row["name"] == CLASH.function);
    let Some(why) = why else {
        let (freed, _) = kprobe.span_with_missed("free_pid")?;
        note!("    by kprobe: {freed} calls of free_pid");
        return equal(
            "calls of free_pid by kprobe and lives",
            freed,
            kprobe.attached_holds("reap")?,
        );
    };
    let why = why["reason"].to_string();
    note!("    by kprobe free_pid is absent: {why}");
    if !why.contains("several functions of the kernel and its modules have this name") {
        bail!("the reason says nothing of two functions: {why}");
    }
    Ok(())
}

/// The page of a module's text, by its line of /proc/modules: it has no more than one.
fn text_page(line: &str) -> Option<u64> {
    let address = line.split_ascii_whitespace().nth(5)?;
    page(address)
}

fn page(address: &str) -> Option<u64> {
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    Some(address >> 12)
}

/// Mutexes of modules and who waits for them: each by its own name or by none. `texts` are the pages of clash, of
/// other and of clash again: where other lies is where clash was, if the kernel likes.
fn callers_have_their_own_names(lab: &Lab<'_>, outcome: &VmOutcome, texts: &[u64]) -> Result<()> {
    let attached = Summary::of(lab, outcome, "attached")?;
    let (mut clash, mut other) = (0, 0);
    for row in attached.rows("/contention")? {
        let (lock, caller) = (words(&row["lock"]), words(&row["site"]));
        if row["kind"] != "mutex" {
            continue;
        }
        let count = row["count"].as_u64().unwrap_or(0);
        let named = [CLASH, OTHER]
            .into_iter()
            .find(|one| caller == one.caller());
        let right_lock = match (&named, page(caller)) {
            (Some(module), _) => Some(module.named_lock()),
            // Who has no name waits for a lock that has none.
            (None, Some(page)) if texts.contains(&page) => None,
            (None, _) => {
                // The kernel's own free_pid takes no mutex.
                let is_modules = [CLASH, OTHER].iter().any(|one| one.function == caller);
                if is_modules || caller.contains('[') || lock.contains('[') {
                    bail!("{caller} is said to wait for {lock}");
                }
                continue;
            }
        };
        note!("    {count} waits for {lock} by {caller}");
        if !lock.starts_with("0x") && Some(lock) != right_lock.as_deref() {
            bail!("{caller} is said to wait for {lock}");
        }
        match named {
            Some(module) if module.name == CLASH.name => clash += count,
            Some(_) => other += count,
            None if page(caller) == Some(texts[1]) => other += count,
            None => {}
        }
    }
    if clash == 0 || other == 0 {
        bail!("{clash} waits have the name of the module that was there, {other} are of the other");
    }
    Ok(())
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or("nobody")
}
