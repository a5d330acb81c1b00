//! From a request to attached probes and the recording's header.

use std::{
    env,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use lockprof_abi::TextRange;

use super::{
    Collector, Settings,
    budget::{self, Budget, Decision, Foresight, Keeper, Seen},
    cost,
    cost::Usage,
    follow::Session,
    heart::Heart,
    progress::Progress,
    windows::{self, Schedule},
};
use crate::{
    guard::Patience,
    kernel::{
        AttachChoice, AttachPlan, CallerTexts, Capabilities, Kallsyms, Request, UNLOCK_FUNCTION,
        kernel_identity, lock_function, plan, site_ranges,
    },
    probe::{
        learn,
        programs::{Constants, Programs},
    },
    recording::{
        RecordingWriter, directory_for_caller,
        schema::{
            AddressSource, Attach, Clock, Detail, Header, Line, Lock, Method, SCHEMA, Tier,
            WindowKind,
        },
    },
};

/// Probes the kernel, plans, loads, attaches, and writes the header.
pub(super) fn attach(settings: &Settings) -> Result<Session> {
    let progress = Progress::new(settings.quiet);
    let seen = Seen::begin();
    let symbols = Kallsyms::read();
    let capabilities = Capabilities::probe_with(&symbols, &settings.request.lock);
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
    let (plan, budget) = if settings.bare {
        (None, None)
    } else {
        let planned = planned(&capabilities, &request, &progress)?;
        let (plan, budget) =
            within_budget(settings, &request, &capabilities, planned, seen, &progress)?;
        (Some(plan), budget)
    };
    let (target, symbols) = match plan {
        Some(plan) => Target::find(settings, plan, &capabilities, symbols?)?,
        None => (
            Target::none(&settings.request.lock),
            symbols.unwrap_or_default(),
        ),
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
    if let Some(directory) = settings.recording.parent() {
        directory_for_caller(directory)
            .with_context(|| format!("cannot create the folder {}", directory.display()))?;
    }
    let mut recording = RecordingWriter::create(&settings.recording)?;

    let (programs, heart) = match &target.plan {
        Some((plan, constants)) => {
            let heart = if settings.guarded {
                Heart::guarded(&settings.recording, &progress)
            } else {
                Heart::default()
            };
            let first = schedule.as_ref().map(Schedule::kind);
            let first = first.or(plan.kinds.first().copied());
            let programs = load_and_attach(constants, plan, first, &heart)?;
            (Some(programs), heart)
        }
        None => (None, Heart::default()),
    };
    let launch_to_attach_s = settings.launched.elapsed().as_secs_f64();
    cost::give_back_memory();
    let usage = Usage::read();
    let attached_ns = cost::monotonic_ns();

    let kernel = kernel_identity(&capabilities);
    let release = kernel.release.clone();
    let tier = target.tier();
    recording.write(&Line::Header(Box::new(Header {
        schema: SCHEMA,
        lockprof: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_s: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64()),
        kernel,
        clock,
        tier,
        attach: target.attach(),
        lock: target.lock,
        detail: settings.request.detail,
        readers: settings.request.readers,
        cgroups: settings.cgroups,
        sample_every: programs.is_some().then_some(settings.sample_every),
        windows: schedule.as_ref().map(Schedule::plan),
        no_windows: windows.err().flatten().filter(|_| !settings.bare),
        budget: budget.as_ref().map(|(foresight, decision)| {
            foresight.to_recording(decision, budget::Speed::assumed())
        }),
        interval_s: settings.interval.as_secs_f64(),
        emulated_by: settings.emulated_by,
        loss_threshold: settings.loss_threshold,
        workload: settings.load.as_ref().map(|load| load.workload().clone()),
        command_line: env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
    })))?;

    let cpus = programs.as_ref().map_or(0, |programs| programs.cpus.len());
    Ok(Session {
        settings: settings.clone(),
        collector: Collector::new(cpus, symbols, attached_ns),
        programs,
        heart,
        recording,
        progress,
        release,
        clock,
        exact: tier == Tier::Exact,
        keeper: budget
            .zip(schedule.as_ref())
            .map(|((foresight, decision), schedule)| {
                Keeper::new(foresight, decision, schedule.plan())
            }),
        schedule,
        attached: Instant::now(),
        launch_to_attach_s,
        usage_at_attach: usage,
        state: super::follow::State::new(usage),
    })
}

/// What this kernel allows of what was asked for; said where that is less.
fn planned(
    capabilities: &Capabilities,
    request: &Request,
    progress: &Progress,
) -> Result<AttachPlan> {
    let plan = plan(capabilities, request)?;
    if plan.tier != Tier::Exact && request.attach == AttachChoice::Auto {
        progress.say(&format!(
            "this kernel allows only the {} tier; for the exact one, in a VM: \
             cargo xtask run --vm -- {}",
            plan.tier.name(),
            words_after_run()
        ));
    }
    Ok(plan)
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
    let foresight = Foresight::new(budget, &planned, request.detail, capabilities);
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
    let foresight = Foresight::new(budget, &plan, request.detail, capabilities);
    let lines = foresight.announce(&plan, capabilities, lives_per_s, &decision);
    lines.iter().for_each(|line| progress.say(line));
    Ok((plan, Some((foresight, decision))))
}

/// What is to be followed, and by which probes.
struct Target {
    lock: Lock,
    /// None where nothing is to be attached.
    plan: Option<(AttachPlan, Constants)>,
}

impl Target {
    fn none(lock: &str) -> Self {
        Self {
            lock: Lock {
                name: lock.to_owned(),
                address: None,
                address_source: AddressSource::Unknown,
            },
            plan: None,
        }
    }

    fn find(
        settings: &Settings,
        plan: AttachPlan,
        capabilities: &Capabilities,
        symbols: Kallsyms,
    ) -> Result<(Self, Kallsyms)> {
        let lock = find_lock(&plan)?;
        let mut constants = constants(settings, &plan, &symbols, &lock)?;
        constants.frame_cast = capabilities.btf.frame_cast;
        constants.task_switches = capabilities.btf.task_switches.unwrap_or(0);
        let target = Self {
            lock,
            plan: Some((plan, constants)),
        };
        Ok((target, symbols))
    }

    /// How the measured time is cut into windows of at least this length, where anything is attached.
    fn schedule(&self, shortest: Option<Duration>, run: Option<Duration>) -> Option<Schedule> {
        let (plan, _) = self.plan.as_ref()?;
        Some(Schedule::new(&plan.kinds, shortest?, run))
    }

    fn tier(&self) -> Tier {
        self.plan.as_ref().map_or(Tier::Off, |(plan, _)| plan.tier)
    }

    fn attach(&self) -> Attach {
        match &self.plan {
            Some((plan, _)) => plan.to_recording(),
            None => Attach {
                method: Method::Off,
                arrangement: None,
                reasons: vec!["Nothing was attached: asked for by --attach off.".to_owned()],
                probes: Vec::new(),
            },
        }
    }
}

/// A kernel that offers the cast may still refuse a program that uses it: then it is done without.
fn load_and_attach(
    constants: &Constants,
    plan: &AttachPlan,
    first: Option<WindowKind>,
    heart: &Heart,
) -> Result<Programs> {
    let attempt = |constants: &Constants| {
        let mut programs = Programs::load(constants, plan)?;
        heart.beat_for(&programs, Patience::Changing);
        if let Some(kind) = first {
            programs.attach(kind)?;
        }
        Ok(programs)
    };
    attempt(constants).or_else(|error| {
        if constants.frame_cast.is_none() {
            return Err(error);
        }
        log::info!("trying again without bpf_rdonly_cast: {error:#}");
        attempt(&Constants {
            frame_cast: None,
            ..constants.clone()
        })
    })
}

/// What stands after `run` or `attach` on the command line, to be repeated.
fn words_after_run() -> String {
    let words: Vec<String> = env::args_os()
        .skip(2)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

/// The lock with its address, learned where kallsyms hides it.
fn find_lock(plan: &AttachPlan) -> Result<Lock> {
    let address = match plan.lock.source {
        AddressSource::Learned => {
            let address = learn::tasklist_lock(plan.method)
                .with_context(|| format!("cannot learn the address of {}", plan.lock.name))?;
            Some(address)
        }
        AddressSource::Kallsyms | AddressSource::Stacks | AddressSource::Unknown => {
            plan.lock.address
        }
    };
    Ok(Lock {
        name: plan.lock.name.clone(),
        address: address.map(|address| format!("{address:#x}")),
        address_source: plan.lock.source,
    })
}

fn constants(
    settings: &Settings,
    plan: &AttachPlan,
    symbols: &Kallsyms,
    lock: &Lock,
) -> Result<Constants> {
    let target_lock = lock
        .address
        .as_deref()
        .and_then(|address| u64::from_str_radix(address.strip_prefix("0x")?, 16).ok())
        .unwrap_or(0);
    Ok(Constants {
        target_lock,
        lock_function: lock_function(symbols, false).unwrap_or(TextRange::EMPTY),
        unlock_function: symbols
            .range_of(UNLOCK_FUNCTION)
            .unwrap_or(TextRange::EMPTY),
        read_function: lock_function(symbols, true).unwrap_or(TextRange::EMPTY),
        sites: site_ranges(symbols),
        // By fentry the next task books a hold only where the release itself has switched its holder out.
        keep_task: plan.method == Method::Kprobe,
        task_switches: 0,
        cgroups: settings.cgroups,
        callers: CallerTexts::of(symbols),
        sample_every: settings.sample_every,
        frame_cast: None,
        cpus: u32::try_from(
            aya::util::nr_cpus()
                .map_err(|(path, error)| anyhow::anyhow!("cannot read {path}: {error}"))?,
        )?,
    })
}
