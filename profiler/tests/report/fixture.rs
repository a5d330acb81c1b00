//! Recordings made up for tests, the same each time.

use std::collections::BTreeMap;

use lockprof::{
    known_locks,
    profile::{Profile, ProfileBuilder, caller_of},
    recording::schema::{
        AddressSource, Arrangement, Attach, BlameInterval, Calibration, Clock, ContentionInterval,
        CpuInterval, Deferral, Detail, Ended, Footer, Header, Interval, Kernel, Kind, Line, Lock,
        LongestEvent, Machine, Method, NullHold, OwnCost, Phase, Probe, READERS_AND_HANDOVER,
        RunTime, SCHEMA, SiteInterval, SpanInterval, Tier, Workload,
    },
    site::Site,
};
use lockprof_abi::{BUCKETS, LCB_F_SPIN, LCB_F_WRITE, bucket_low_ns, bucket_of};

/// What a recording is to be like.
#[derive(Clone, Debug)]
pub struct Synthetic {
    pub cpus: u32,
    /// Of the measured time; one more is the warm-up.
    pub intervals: u32,
    pub sites: Vec<Site>,
    /// Holds of each site in each interval on each CPU; half as many waits.
    pub holds: u32,
    /// Holds are counted so many times over, for counts that no test could draw.
    pub times: u32,
    pub tier: Tier,
    pub clock: Clock,
    pub comm: String,
    pub footer: bool,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            cpus: 2,
            intervals: 3,
            sites: vec![Site::FORK, Site::EXIT, Site::REAP],
            holds: 20,
            times: 1,
            tier: Tier::Exact,
            clock: Clock::Hardware,
            comm: "threadspawn".to_owned(),
            footer: true,
        }
    }
}

impl Synthetic {
    pub fn lines(&self) -> Vec<Line> {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut lines = vec![
            Line::Header(Box::new(self.header())),
            Line::Calibration(Calibration {
                null_hold: Some(NullHold {
                    holds: 1000,
                    mean_ns: 253.4,
                    p50_ns: 248.0,
                }),
                run_time: vec![
                    RunTime {
                        program: "lock_acquired".into(),
                        runs: 3000,
                        ns_per_run: 61.0,
                    },
                    RunTime {
                        program: "lock_released".into(),
                        runs: 3000,
                        ns_per_run: 83.0,
                    },
                ],
                controls: Vec::new(),
            }),
        ];
        for index in 0..=self.intervals {
            lines.push(Line::Interval(Box::new(self.interval(index, &mut random))));
        }
        if self.footer {
            lines.push(Line::Footer(Box::new(self.footer())));
        }
        lines
    }

    pub fn profile(&self) -> Profile {
        profile_of(self.lines())
    }

    fn holds_known(&self) -> bool {
        self.tier == Tier::Exact
    }

    fn header(&self) -> Header {
        let wait_only = self.tier == Tier::WaitOnly;
        let probe = |program: &str, target: &str, absent: Option<&str>| Probe {
            program: program.into(),
            target: target.into(),
            absent: absent.map(str::to_owned),
        };
        let mut probes = vec![probe("contention_began", "contention_begin", None)];
        if !wait_only {
            probes.push(probe("lock_acquired", "_raw_write_lock_irq", None));
            let why = Some("inlined by this kernel's compiler");
            probes.push(probe("span_entered", "flush_sigqueue", why));
            probes.push(probe("span_left", "flush_sigqueue", why));
        }
        Header {
            schema: SCHEMA,
            lockprof: "0.1.0".into(),
            started_at_s: 1_760_000_000.25,
            attached_at: None,
            kernel: Kernel {
                release: "6.12.48-amd64".into(),
                machine: "x86_64".into(),
                cpus_online: self.cpus,
                cpus_possible: self.cpus,
                clock_source: "tsc".into(),
                deferral: Deferral::Unknown,
                ..Kernel::default()
            },
            clock: self.clock,
            tier: self.tier,
            attach: Attach {
                method: if wait_only {
                    Method::Wait
                } else {
                    Method::Fentry
                },
                arrangement: (!wait_only).then_some(Arrangement::Inside),
                reasons: vec![if wait_only {
                    "fentry is refused on this kernel (EPERM), and kprobes are not built in.".into()
                } else {
                    "lock and unlock are functions of their own, and fentry is allowed.".into()
                }],
                probes,
            },
            lock: Lock {
                name: "tasklist_lock".into(),
                address: (!wait_only).then(|| "0xffffffff8260a080".into()),
                address_source: if wait_only {
                    AddressSource::Stacks
                } else {
                    AddressSource::Kallsyms
                },
                bytes: None,
                kind: None,
            },
            detail: Detail::Spans,
            readers: false,
            cgroups: false,
            cgroup_namespace: false,
            locks: None,
            sample_every: None,
            windows: None,
            no_windows: None,
            budget: None,
            warm_up_s: None,
            interval_s: 1.0,
            emulated_by: None,
            loss_threshold: 0.001,
            workload: Some(Workload {
                name: "threadspawn".into(),
                tasks: Some(4),
                mode: Some("processes".into()),
                command: vec!["lockprof".into(), "workload".into(), "threadspawn".into()],
            }),
            command_line: vec!["lockprof".into(), "run".into()],
        }
    }

    fn interval(&self, index: u32, random: &mut Random) -> Interval {
        let mut cpus = Vec::new();
        if self.holds_known() {
            for cpu in 0..self.cpus {
                let sites = self
                    .sites
                    .iter()
                    .map(|&site| self.site(site, cpu, index, random));
                cpus.push(CpuInterval {
                    cpu,
                    sites: sites.collect(),
                });
            }
        }
        let total = |number: fn(&SiteInterval) -> u64| {
            let sites = cpus.iter().flat_map(|cpu| &cpu.sites);
            let reap = sites.filter(|totals| totals.site == Site::REAP.name());
            reap.map(number).sum::<u64>()
        };
        let (reaps, reaped_ns) = (total(|totals| totals.holds), total(|totals| totals.held_ns));
        let waited_ns: u64 = cpus
            .iter()
            .flat_map(|cpu| &cpu.sites)
            .map(|totals| totals.waited_ns)
            .sum();
        let measured = index > 0;
        Interval {
            window: None,
            at_s: f64::from(index) + 1.0,
            seconds: 1.0,
            phase: if measured {
                Phase::Measured
            } else {
                Phase::WarmUp
            },
            spans: if reaps > 0 {
                vec![
                    span("free_pid", reaps, reaped_ns / 5, reaped_ns / 5),
                    span("__change_pid", reaps * 4, reaped_ns / 3, reaped_ns / 8),
                    span("add_device_randomness", reaps, reaped_ns / 4, reaped_ns / 4),
                ]
            } else {
                Vec::new()
            },
            calls_outside: BTreeMap::from([
                ("add_device_randomness".to_owned(), reaps),
                ("release_task".to_owned(), reaps),
            ]),
            blame: if waited_ns > 0 {
                vec![
                    blame("fork", "reap", waited_ns / 2),
                    blame("reap", "exit", waited_ns / 4),
                    blame("reap", READERS_AND_HANDOVER, waited_ns / 20),
                ]
            } else {
                Vec::new()
            },
            contention: contention(self.holds_known()),
            waiters: Vec::new(),
            owner_samples: Vec::new(),
            callers_checked: 0,
            callers_wrong: 0,
            stacks: if index == 0 {
                stacks()
            } else {
                BTreeMap::new()
            },
            cgroups: BTreeMap::new(),
            off_cpu: Vec::new(),
            longest: if measured {
                self.longest(&cpus, index)
            } else {
                Vec::new()
            },
            losses: BTreeMap::new(),
            missed: BTreeMap::from([
                ("lock_acquired".to_owned(), Some(0)),
                ("lock_released".to_owned(), Some(0)),
                ("contention_began".to_owned(), None),
            ]),
            own: OwnCost {
                cpu_s: 0.004,
                resident_bytes: 9 << 20,
            },
            refused: BTreeMap::new(),
            stopped_s: None,
            machine: Machine {
                steal_s: if index % 7 == 3 { 0.05 } else { 0.0 },
                idle_s: 0.4,
                tasks_created: reaps,
            },
            iterations: Some(reaps * 9 / 10),
            control: None,
            controls: Vec::new(),
            cpus,
        }
    }

    fn site(&self, site: Site, cpu: u32, index: u32, random: &mut Random) -> SiteInterval {
        let known = known_sites();
        let place = known
            .iter()
            .chain(&self.sites)
            .position(|&other| other == site);
        let typical = 500.0 + 260.0 * place.unwrap() as f64;
        let slower = if (index / 4 + cpu / 3).is_multiple_of(5) {
            2.5
        } else {
            1.0
        };
        let (hold_buckets, held_ns) = self.draw(self.holds, typical * slower, random);
        let (wait_buckets, waited_ns) = self.draw(self.holds / 2, typical * 40.0, random);
        SiteInterval {
            site: site.name().to_owned(),
            holds: counts(&hold_buckets),
            held_ns,
            waits: counts(&wait_buckets),
            waited_ns,
            hold_buckets,
            wait_buckets,
        }
    }

    fn draw(&self, number: u32, typical: f64, random: &mut Random) -> (Vec<u32>, u64) {
        let mut buckets = [0_u32; BUCKETS];
        let mut total = 0;
        for _ in 0..number {
            let length = (typical * random.spread()) as u64;
            buckets[bucket_of(length)] += self.times;
            total += length * u64::from(self.times);
        }
        let used = buckets.iter().enumerate().filter(|&(_, &count)| count > 0);
        (
            used.flat_map(|(bucket, &count)| [bucket as u32, count])
                .collect(),
            total,
        )
    }

    /// Of each CPU and site; the reader is to find the longest of all.
    fn longest(&self, cpus: &[CpuInterval], index: u32) -> Vec<LongestEvent> {
        let of_cpu = |cpu: &CpuInterval| {
            let number = cpu.cpu;
            let event = move |site: &SiteInterval, kind, pairs: &[u32]| {
                let bucket = *pairs.chunks(2).last()?.first()?;
                Some(LongestEvent {
                    kind,
                    site: site.site.clone(),
                    ns: bucket_low_ns(bucket as usize) + 1,
                    at_s: f64::from(index) + 0.5,
                    cpu: number,
                    pid: 4711,
                    tgid: 4700,
                    comm: self.comm.clone(),
                    cgroup: "/system.slice/ssh.service".into(),
                })
            };
            let holds = cpu
                .sites
                .iter()
                .map(move |s| event(s, Kind::Hold, &s.hold_buckets));
            let waits = cpu
                .sites
                .iter()
                .map(move |s| event(s, Kind::Wait, &s.wait_buckets));
            holds.chain(waits).flatten().collect::<Vec<_>>()
        };
        cpus.iter().flat_map(of_cpu).collect()
    }

    fn footer(&self) -> Footer {
        Footer {
            budget: None,
            ended: Ended::Duration,
            attached_s: f64::from(self.intervals) + 1.01,
            launch_to_attach_s: 0.3,
            detach_s: 0.02,
            tasks_created: u64::from((self.intervals + 1) * self.cpus * self.holds * self.times),
            ground_truth: None,
            load_status: Some(0),
            write_failures: Vec::new(),
            controls: Vec::new(),
            died: None,
            in_progress: None,
        }
    }
}

/// Adds up lines. Sites of waits are told by the caller alone, as a stand-in for the kernel's.
pub fn profile_of(lines: Vec<Line>) -> Profile {
    let mut lines = lines.into_iter();
    let Some(Line::Header(header)) = lines.next() else {
        panic!("a recording begins with its header");
    };
    let mut builder = ProfileBuilder::new(*header);
    lines.for_each(|line| builder.add(line));
    builder.finish(classify)
}

/// Every site that a report may have of a lock whose callers have everyday names, in their order.
pub fn known_sites() -> Vec<Site> {
    let everyday = known_locks::all().flat_map(|known| known.sites);
    let everyday = everyday.map(|known| known.site);
    let mut all: Vec<Site> = everyday.chain(Site::GENERAL).collect();
    all.sort();
    all
}

pub fn classify(frames: &[String], writer: bool) -> Site {
    match caller_of(frames) {
        Some("release_task") if writer => Site::REAP,
        Some("copy_process") if writer => Site::FORK,
        _ if writer => Site::OTHER,
        _ => Site::READ_OTHER,
    }
}

pub fn bytes(lines: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line).unwrap();
        bytes.push(b'\n');
    }
    bytes
}

fn counts(pairs: &[u32]) -> u64 {
    pairs.chunks(2).map(|pair| u64::from(pair[1])).sum()
}

fn span(name: &str, calls: u64, in_hold_ns: u64, self_ns: u64) -> SpanInterval {
    SpanInterval {
        span: name.into(),
        site: "reap".into(),
        calls,
        in_hold_ns,
        self_ns,
    }
}

fn blame(waiter: &str, holder: &str, waited_ns: u64) -> BlameInterval {
    BlameInterval {
        waiter: waiter.into(),
        holder: holder.into(),
        waited_ns,
    }
}

fn contention(holds_known: bool) -> Vec<ContentionInterval> {
    let entry = |lock: &str, name: Option<&str>, flags, stack, waits: u32| ContentionInterval {
        lock: lock.into(),
        name: name.map(str::to_owned),
        object: None,
        flags,
        caller: None,
        stack: Some(stack),
        others: false,
        in_hold_of: None,
        sampled: 0,
        waits: waits.into(),
        waited_ns: u64::from(waits) * 24_000,
        longest_ns: 31_000,
        octaves: vec![14, waits],
    };
    let mut all = vec![
        entry("0xffff888100a0b0c0", None, 0, 3, 7),
        entry("0xffffffff8260a080", None, LCB_F_SPIN | LCB_F_WRITE, 1, 40),
        entry("0xffffffff8260a080", None, LCB_F_SPIN | LCB_F_WRITE, 2, 25),
    ];
    if holds_known {
        let mut inner = entry("0xffffffff82611c40", Some("pidmap_lock"), LCB_F_SPIN, 4, 3);
        inner.in_hold_of = Some("reap".into());
        all.push(inner);
    }
    all
}

fn stacks() -> BTreeMap<i32, Vec<String>> {
    let stack = |frames: &[&str]| frames.iter().map(|&frame| frame.to_owned()).collect();
    BTreeMap::from([
        (
            1,
            stack(&[
                "queued_write_lock_slowpath+0x1",
                "_raw_write_lock_irq+0x2",
                "release_task+0x3",
            ]),
        ),
        (
            2,
            stack(&[
                "queued_write_lock_slowpath+0x1",
                "_raw_write_lock_irq+0x2",
                "copy_process+0x3",
            ]),
        ),
        (
            3,
            stack(&[
                "rwsem_down_write_slowpath+0x1",
                "down_write_killable+0x2",
                "__vm_munmap+0x3",
            ]),
        ),
        (
            4,
            stack(&[
                "_raw_spin_lock+0x1",
                "free_pid+0x2",
                "__change_pid+0x3",
                "release_task+0x4",
            ]),
        ),
    ])
}

/// Marsaglia's xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    /// Around 1, with a long tail.
    fn spread(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            sum += (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        }
        ((sum - 2.0) * 1.5).exp()
    }
}
