//! What is to be followed, by which probes, and with which constants they are loaded.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lockprof_abi::{Followed, KernelLayout, OWNER_SAMPLE_EVERY, TextRange};

use super::{Settings, heart::Heart, windows::Schedule};
use crate::{
    guard::Patience,
    kernel::{
        AttachPlan, ByTask, CallerTexts, Capabilities, Kallsyms, Role, SiteNumbers,
        UNLOCK_FUNCTION, lock_function, site_ranges,
    },
    known_locks,
    probe::{
        learn,
        programs::{Constants, Programs},
    },
    recording::schema::{
        AddressSource, Attach, Detail, Lock, Method, OwnerStacks, SampledBy, Tier, WindowKind,
    },
    span::Span,
};

/// Characters of a refusal that a report repeats.
const LONGEST_REASON: usize = 200;

/// What is to be followed, and by which probes.
pub(super) struct Target {
    /// The lock.
    pub(super) lock: Lock,
    /// None where nothing is to be attached.
    plan: Option<(AttachPlan, Constants)>,
    /// Why the kernel has refused the program that takes the stacks of owners, where it has.
    no_owner_stacks: Option<String>,
}

impl Target {
    /// Nothing is to be attached.
    pub(super) fn none(lock: &str) -> Self {
        Self {
            lock: Lock {
                name: lock.to_owned(),
                address: None,
                address_source: AddressSource::Unknown,
                bytes: None,
                kind: None,
            },
            plan: None,
            no_owner_stacks: None,
        }
    }

    /// By a plan; the symbols are given back.
    pub(super) fn find(
        settings: &Settings,
        plan: AttachPlan,
        capabilities: &Capabilities,
        symbols: Kallsyms,
    ) -> Result<(Self, Kallsyms)> {
        let lock = find_lock(&plan)?;
        let mut constants = constants(settings, &plan, &symbols, &lock)?;
        constants.frame_cast = capabilities.btf.frame_cast;
        constants.task_switches = capabilities.btf.task_switches.unwrap_or(0);
        constants.owner_stacks = capabilities
            .btf
            .task_calls
            .filter(|_| plan.takes_owner_stacks());
        constants.layout = capabilities.btf.layout.unwrap_or(KernelLayout::UNKNOWN);
        let target = Self {
            lock,
            plan: Some((plan, constants)),
            no_owner_stacks: None,
        };
        Ok((target, symbols))
    }

    /// How the lock is followed, where that is by task.
    pub(super) fn by_task(&self) -> Option<&'static ByTask> {
        self.plan.as_ref()?.0.by_task()
    }

    /// How the measured time is cut into windows of at least this length, where anything is attached.
    pub(super) fn schedule(
        &self,
        shortest: Option<Duration>,
        run: Option<Duration>,
    ) -> Option<Schedule> {
        let (plan, _) = self.plan.as_ref()?;
        Some(Schedule::new(&plan.kinds, shortest?, run))
    }

    /// Loads the programs, where there are any, and attaches those of the first window.
    pub(super) fn attach_programs(
        &mut self,
        first: Option<WindowKind>,
        heart: &Heart,
    ) -> Result<Option<Programs>> {
        let Some((plan, constants)) = &mut self.plan else {
            heart.attach_nothing();
            return Ok(None);
        };
        let first = first.or(plan.kinds.first().copied());
        let attached = load_and_attach(constants, plan, first, heart);
        let refused = match attached {
            Err(error) if plan.takes_owner_stacks() => error,
            done => return done.map(Some),
        };
        log::info!("trying again without the stacks of owners: {refused:#}");
        // What the verifier has to say is in the log.
        let why = format!("{refused:#}");
        let line = why.lines().next().unwrap_or_default();
        self.no_owner_stacks = Some(line.chars().take(LONGEST_REASON).collect());
        plan.leave_out_owner_stacks();
        constants.owner_stacks = None;
        load_and_attach(constants, plan, first, heart).map(Some)
    }

    /// How the stacks of sleeping owners are found, and why not better.
    pub(super) fn owner_stacks(
        &self,
        settings: &Settings,
        capabilities: &Capabilities,
    ) -> OwnerStacks {
        let plan = self.plan.as_ref();
        if plan.is_some_and(|(plan, _)| plan.takes_owner_stacks()) {
            return OwnerStacks {
                by: SampledBy::Tracepoint,
                every: Some(OWNER_SAMPLE_EVERY),
                why: None,
            };
        }
        let why = if settings.request.owner_stacks {
            let obstacle = capabilities.trials.owner_stacks.obstacle();
            self.no_owner_stacks.as_deref().or(obstacle)
        } else {
            Some("no call stacks were asked for")
        };
        OwnerStacks {
            by: SampledBy::Proc,
            every: None,
            why: why.map(str::to_owned),
        }
    }

    /// What the plan allows.
    pub(super) fn tier(&self) -> Tier {
        self.plan.as_ref().map_or(Tier::Off, |(plan, _)| plan.tier)
    }

    /// By which kind of probe.
    pub(super) fn method(&self) -> Method {
        let plan = self.plan.as_ref();
        plan.map_or(Method::Off, |(plan, _)| plan.method)
    }

    /// How much is measured inside a hold, where so much was asked for.
    pub(super) fn detail(&self, asked: Detail) -> Detail {
        let plan = self.plan.as_ref();
        plan.map_or(asked, |(plan, _)| plan.detail(asked))
    }

    /// The calls inside holds that are measured, by number.
    pub(super) fn spans(&self) -> Vec<Span> {
        let plan = self.plan.as_ref();
        plan.map_or_else(Vec::new, |(plan, _)| plan.spans.clone())
    }

    /// What is attached, as the recording has it.
    pub(super) fn attach(&self) -> Attach {
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

/// The lock with its address, learned where kallsyms hides it.
fn find_lock(plan: &AttachPlan) -> Result<Lock> {
    let address = match plan.lock.source {
        AddressSource::Learned => {
            let known = known_locks::find(&plan.lock.name).and_then(|known| known.learned_in);
            let inside =
                known.with_context(|| format!("nothing tells where {} is", plan.lock.name))?;
            let address = learn::address(plan.method, inside)
                .with_context(|| format!("cannot learn the address of {}", plan.lock.name))?;
            Some(address)
        }
        AddressSource::Kallsyms
        | AddressSource::Given
        | AddressSource::Stacks
        | AddressSource::Process
        | AddressSource::Unknown => plan.lock.address,
    };
    Ok(Lock {
        name: plan.lock.name.clone(),
        address: address.map(|address| format!("{address:#x}")),
        address_source: plan.lock.source,
        bytes: plan.lock.bytes,
        kind: plan.lock.kind,
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
    let known = known_locks::find(&lock.name);
    let by_task = plan.by_task();
    let [lock_function, read_function] = by_task.map_or_else(
        || [false, true].map(|readers| lock_function(symbols, readers).unwrap_or(TextRange::EMPTY)),
        |by_task| by_task.texts(symbols),
    );
    Ok(Constants {
        target_lock,
        follows_process: plan.lock.source == AddressSource::Process,
        followed: by_task.map_or(Followed::ByCpu, |by_task| by_task.followed),
        lock_function,
        unlock_function: symbols
            .range_of(UNLOCK_FUNCTION)
            .unwrap_or(TextRange::EMPTY),
        read_function,
        sites: site_ranges(symbols, known),
        site_numbers: SiteNumbers::of(known),
        // By fentry the next task books a hold only where the release itself has switched its holder out.
        keep_task: plan.method == Method::Kprobe,
        task_switches: 0,
        layout: KernelLayout::UNKNOWN,
        waiters: settings.locks.as_ref().map(|locks| locks.table),
        cgroups: settings.cgroups,
        off_cpu: plan.attachable().any(|probe| probe.role == Role::OffCpu),
        callers: CallerTexts::of(symbols),
        sample_every: settings.sample_every,
        frame_cast: None,
        owner_stacks: None,
        cpus: u32::try_from(
            aya::util::nr_cpus()
                .map_err(|(path, error)| anyhow::anyhow!("cannot read {path}: {error}"))?,
        )?,
    })
}
