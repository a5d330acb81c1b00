//! From a request to attached probes and the recording's header.

use std::{env, ffi::OsString, io, time::Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    Collector, Settings, advice,
    budget::{self, Budget, Counted, Decision, Foresight, Keeper, Seen},
    command::readable,
    cost,
    cost::Usage,
    heart::Heart,
    in_progress::Watch,
    load::LoadSpec,
    owners::Owners,
    place, process,
    progress::Progress,
    session::{Session, State},
    sight::Sight,
    target::Target,
    windows::{self, Schedule},
};
use crate::{
    kernel::{
        AttachChoice, AttachPlan, Capabilities, Kallsyms, LockRates, Request, SeenKind,
        SiteNumbers, calls_per_s, kernel_identity, lock_address, nobody_took_it, plan,
        privileges::{self, Measuring},
    },
    known_locks,
    offspring::Mark,
    probe::controls::Circumstances,
    recording::{
        RecordingWriter,
        schema::{AddressSource, Anchor, Clock, Detail, Header, Line, SCHEMA, Tier, WindowKind},
    },
    report,
    span::Span,
};

/// Probes the kernel, plans, loads, attaches, and writes the header.
pub(super) fn attach(settings: &Settings) -> Result<Session> {
    settings.load.as_ref().map_or(Ok(()), LoadSpec::check)?;
    let claim = place::claim(settings.directory.as_deref())?;
    let progress = Progress::new(settings.quiet);
    let seen = Seen::begin();
    let symbols = Kallsyms::read();
    let settings = &with_kind(settings, symbols.as_ref().ok(), &progress);
    let capabilities = Capabilities::probe_with(&symbols, &settings.request);
    if capabilities.trials.lacked_files() {
        return Err(io::Error::from_raw_os_error(libc::EMFILE))
            .context("cannot try what this kernel allows");
    }
    let clock = settings.clock.unwrap_or(if capabilities.machine.emulated {
        Clock::EmulatedWall
    } else {
        Clock::Hardware
    });
    let windows = windows::choose(windows::Circumstances {
        choice: settings.windows,
        clock,
        cpus: capabilities.machine.cpus_online.unwrap_or(u32::MAX),
        duration: settings.duration,
    });
    let request = Request {
        windows: windows.is_ok(),
        ..settings.request.clone()
    };
    if settings.request.of_process && known_locks::is_of_process(&settings.request.lock) {
        process::is_in_first_namespace()?;
    }
    let (plan, budget) = if settings.bare {
        (None, None)
    } else {
        let planned = plan(&capabilities, &request)?;
        if planned.tier != Tier::Exact && request.attach == AttachChoice::Auto {
            progress.say(&advice_for(settings, planned.tier));
        }
        let (plan, budget) =
            within_budget(settings, &request, &capabilities, planned, seen, &progress)?;
        (Some(plan), budget)
    };
    let symbols = symbols.unwrap_or_else(|error| {
        if plan.is_some() {
            progress.say(&format!("goes on without the names of functions: {error}"));
        }
        // As where their addresses are hidden.
        Kallsyms::default()
    });
    let (mut target, symbols) = match plan {
        Some(plan) => Target::find(settings, plan, &capabilities, symbols)?,
        None => (Target::none(&settings.request.lock), symbols),
    };
    let mut schedule = target.schedule(windows.as_ref().ok().copied(), settings.duration);
    if let (Some(schedule), Some((_, decision))) = (&mut schedule, &budget)
        && let Some(kind) = decision.kind
    {
        schedule.limit(kind, decision.share);
        schedule.begin_anew();
    }
    if schedule.is_none() && settings.budget.is_some_and(|budget| budget != Budget::Off) {
        let why = windows.as_ref().err().cloned().flatten();
        let why = why.unwrap_or_else(|| "--windows off was asked for".to_owned());
        progress.say(&format!(
            "the budget is not kept while this measures, for that needs windows without probes: {why}"
        ));
    }
    // Only now: a request that this kernel refuses leaves no folder behind.
    let folder = place::make(settings.directory.as_deref())?;
    // The recording takes the folder anew.
    drop(claim);
    let mut recording = RecordingWriter::create(folder)?;
    recording.replaces(report::view_names().collect());
    let mark = Mark::new(cost::monotonic_ns());
    let heart = if settings.guarded {
        Heart::guarded(&recording, &mark, &progress)
    } else {
        Heart::default()
    };
    let first = schedule.as_ref().map(Schedule::kind);
    let programs = target
        .attach_programs(first, &heart)
        .inspect_err(|_error| recording.discard())?;
    let launch_to_attach_s = settings.launched.elapsed().as_secs_f64();
    cost::give_back_memory();
    let usage = Usage::read();
    let (attached, attached_at) = (Instant::now(), Anchor::now());

    let cpus = programs.as_ref().map_or(0, |programs| programs.cpus.len());
    let numbers = programs.as_ref().map_or_else(
        || SiteNumbers::of(None),
        |programs| programs.cpus.numbers().clone(),
    );
    let mut collector = Collector::new(
        cpus,
        symbols,
        &capabilities.btf,
        numbers,
        target.spans(),
        attached_at.monotonic_ns,
    );
    let kernel = kernel_identity(&capabilities);
    let release = kernel.release.clone();
    let mut attach = target.attach();
    if settings.locks.is_some() {
        // Nobody asked for less than there is.
        attach.reasons.clear();
        // Reports of one lock have no classes of others.
        collector.names.ask_slab_caches(&capabilities.btf);
    }
    let tier = target.tier();
    let sight = Sight::new(Circumstances {
        method: attach.method,
        holds_target: known_locks::find(&settings.request.lock)
            .is_some_and(|known| known.control_site.is_some()),
        takes_another: target
            .by_task()
            .filter(|by_task| by_task.hold_of != Some(settings.request.lock.as_str())),
        may_contend_target: settings.load.is_some(),
        spinlocks_invisible: kernel.spinlock_waits_invisible.clone(),
    });
    let kept = privileges::to_measure(&Measuring {
        method: target.method(),
        release: &release,
        has_load: settings.load.is_some(),
        reads_stacks: schedule.is_some() || settings.locks.is_some(),
    });
    let header = Line::Header(Box::new(Header {
        schema: SCHEMA,
        lockprof: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_s: attached_at.realtime_ns as f64 / 1e9,
        attached_at: Some(attached_at),
        kernel,
        clock,
        tier,
        attach,
        lock: target.lock.clone(),
        detail: target.detail(settings.request.detail),
        readers: settings.request.readers,
        cgroups: settings.cgroups,
        cgroup_namespace: collector.in_cgroup_namespace(),
        sample_every: programs.is_some().then_some(settings.sample_every),
        windows: schedule.as_ref().map(Schedule::plan),
        no_windows: windows.err().flatten().filter(|_| !settings.bare),
        budget: budget.as_ref().map(|(foresight, decision)| {
            foresight.to_recording(decision, budget::Speed::assumed())
        }),
        warm_up_s: Some(settings.warm_up.as_secs_f64()),
        locks: settings.locks.as_ref().map(|locks| {
            locks.to_recording(&capabilities, target.owner_stacks(settings, &capabilities))
        }),
        interval_s: settings.interval.as_secs_f64(),
        emulated_by: settings.emulated_by,
        loss_threshold: settings.loss_threshold,
        workload: settings.load.as_ref().map(|load| load.workload().clone()),
        command_line: env::args_os().map(|word| readable(&word)).collect(),
    }));
    recording
        .write(&header)
        .inspect_err(|_error| recording.discard())?;

    // On the instruction clock there are no waits, and every look would be in the numbers.
    let callers = settings.locks.as_ref();
    let callers = callers.map_or_else(Vec::new, |locks| locks.callers.clone());
    let watched = programs.as_ref().filter(|_| clock != Clock::Instructions);
    Ok(Session {
        settings: settings.clone(),
        watch: watched.map(|programs| Watch::begin(programs, &collector, callers)),
        owners: settings.locks.is_some().then(Owners::default),
        collector,
        programs,
        heart,
        mark,
        recording,
        progress,
        release,
        clock,
        exact: tier == Tier::Exact,
        kept,
        keeper: budget
            .zip(schedule.as_ref())
            .map(|((foresight, decision), schedule)| {
                Keeper::new(foresight, decision, schedule.plan())
            }),
        schedule,
        attached,
        launch_to_attach_s,
        usage_at_attach: usage,
        sight,
        state: State::new(usage),
    })
}

/// What to do where this kernel allows less than was asked for.
fn advice_for(settings: &Settings, tier: Tier) -> String {
    // Behind `lockprof run`.
    let words: Vec<OsString> = env::args_os().skip(2).collect();
    let run_words = settings.load.is_some().then_some(&words[..]);
    advice::of_less(tier, run_words, advice::in_checkout())
}

/// What the budget allows of a plan, where there is one: said before anything is attached.
fn within_budget(
    settings: &Settings,
    request: &Request,
    capabilities: &Capabilities,
    planned: AttachPlan,
    seen: Seen,
    progress: &Progress,
) -> Result<(AttachPlan, Option<(Foresight, Decision)>)> {
    let Some(budget) = settings.budget else {
        return Ok((planned, None));
    };
    let lives_per_s = seen.lives_per_s();
    let counted = match counted(&planned, request) {
        Err(error) if budget != Budget::Off => return Err(error),
        counted => counted.unwrap_or_default(),
    };
    let foresight =
        Foresight::new(budget, &planned, request.detail, capabilities).with_counted(counted);
    let decision = foresight.decide_first(lives_per_s)?;
    let allowed = decision.kind.unwrap_or(WindowKind::Bare);
    // Without windows nothing changes later: then only what is allowed is attached.
    let fewer = if allowed == WindowKind::Waits {
        Some((AttachChoice::Wait, request.detail))
    } else if allowed == WindowKind::Holds && !request.windows {
        Some((request.attach, Detail::Holds))
    } else {
        None
    };
    let plan = match fewer.filter(|_| planned.tier == Tier::Exact) {
        None => planned,
        Some((attach, detail)) => {
            if attach == AttachChoice::Wait && planned.lock.source == AddressSource::Process {
                bail!(
                    "{}, and without its holds nobody knows which lock the {} of a process is; --budget off attaches all the \
                     same",
                    decision.reason,
                    planned.lock.name
                );
            }
            let fewer = Request {
                attach,
                detail,
                ..request.clone()
            };
            let mut fewer = plan(capabilities, &fewer)?;
            fewer
                .reasons
                .push(format!("By the budget: {}.", decision.reason));
            fewer
        }
    };
    let foresight =
        Foresight::new(budget, &plan, request.detail, capabilities).with_counted(counted);
    let lines = foresight.announce(&plan, capabilities, lives_per_s, &decision);
    lines.iter().for_each(|line| progress.say(line));
    Ok((plan, Some((foresight, decision))))
}

/// With the kind of the lock, where that was found out, and what is measured of such a kind.
fn with_kind(settings: &Settings, symbols: Option<&Kallsyms>, progress: &Progress) -> Settings {
    let mut settings = settings.clone();
    if settings.request.kind.is_none()
        && let Some(seen) = kind_of(&settings, symbols, progress)
    {
        settings.request.kind = Some(seen.family);
        settings.request.writers_irq = seen.writers_irq();
        if settings.request.by_task().is_some() && settings.request.spans.is_empty() {
            settings.request.detail = Detail::Holds;
        }
    }
    settings
}

/// What kind of lock it is, by who takes it now, where that is neither known nor said; what was found out is said.
fn kind_of(
    settings: &Settings,
    symbols: Option<&Kallsyms>,
    progress: &Progress,
) -> Option<SeenKind> {
    let lock = &settings.request.lock;
    let asks_for_holds = !matches!(
        settings.request.attach,
        AttachChoice::Wait | AttachChoice::Kprobe
    );
    let is_followed = settings.locks.is_none() && !settings.bare && asks_for_holds;
    if !is_followed || known_locks::find(lock).is_some() {
        return None;
    }
    let address = lock_address(symbols, lock)?;
    match SeenKind::of(address) {
        Ok(Some(seen)) => {
            let how = seen.how();
            let kind = seen.family.name();
            progress.say(&format!("the kind of {lock} is {kind}: {how}"));
            Some(seen)
        }
        Ok(None) => {
            progress.say(&format!("{lock}: {}", nobody_took_it(lock)));
            None
        }
        Err(why) => {
            log::info!("what kind of lock {lock} is was not found out: {why}");
            None
        }
    }
}

/// What is counted before anything is attached, since it decides what following costs.
fn counted(planned: &AttachPlan, request: &Request) -> Result<Counted> {
    Ok(Counted {
        locks: locks_of(planned, request)?,
        calls_per_s: calls_of(planned)?,
    })
}

/// How often the functions are called that were asked for.
fn calls_of(planned: &AttachPlan) -> Result<Option<f64>> {
    let asked = planned.spans.iter().copied();
    let asked: Vec<Span> = asked.filter(|span| span.is_on_request()).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let counted = calls_per_s(&asked).map_err(|error| {
        anyhow!(
            "how often the functions of --span are called here, and so what measuring that costs, cannot be counted: {error}; \
             --budget off attaches all the same"
        )
    })?;
    Ok(Some(counted))
}

/// How often locks of its kind are taken here, where one is to be followed by task: all of them come through its programs.
fn locks_of(planned: &AttachPlan, request: &Request) -> Result<Option<LockRates>> {
    let by_task = planned.by_task();
    let address = planned.lock.address;
    let is_known = address.is_some() || planned.lock.source == AddressSource::Process;
    let Some(by_task) = by_task.filter(|_| is_known) else {
        return Ok(None);
    };
    let counted = LockRates::count(by_task, request.readers, address).map_err(|error| {
        anyhow!(
            "how often {} are taken here, and so what following one costs, cannot be counted: {error}; \
             --budget off attaches all the same",
            by_task.plural
        )
    })?;
    Ok(Some(LockRates {
        switches_per_s: counted.switches_per_s.filter(|_| request.off_cpu),
        ..counted
    }))
}
