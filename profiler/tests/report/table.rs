//! The table for terminals.

use lockprof::{
    export::Format,
    profile::Profile,
    recording::schema::{Clock, Line, Tier},
};
use lockprof_abi::Site;

use crate::fixture::{Synthetic, profile_of};

fn table(profile: &Profile, width: usize, color: bool) -> String {
    let bytes = Format::Table { width, color }
        .exporter()
        .export(profile)
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn exact() {
    insta::assert_snapshot!(table(&Synthetic::default().profile(), 80, false), @r"
    tasklist_lock on Linux 6.12.48-amd64 (x86_64, 2 CPUs)
      tier         exact, by fentry: lock and unlock are functions of their own, and
                   fentry is allowed.
      clock        tsc
      lock         tasklist_lock at 0xffffffff8260a080, from /proc/kallsyms
      workload     threadspawn, 4 processes: 36.0 iterations/s
      measured     3.00 s in 3 intervals, after 1.00 s of warm-up
      held         0.06 % of the time by writers; 40.0 task lives/s, 3.00 write
                   holds to a life

    Holds and waits by site
      site  holds    held  mean hold      p50      p99  max hold
      reap    120  0.02 %    5.28 µs  4.35 µs  21.5 µs   22.5 µs
      exit    120  0.02 %    4.73 µs  3.20 µs  17.4 µs   18.4 µs
      fork    120  0.01 %    3.75 µs  2.67 µs  15.9 µs   22.5 µs

      site  contended  mean wait      p50     p99  max wait
      reap         60    69.8 µs  47.6 µs  360 µs    360 µs
      exit         60    75.2 µs  62.1 µs  229 µs    229 µs
      fork         60    48.4 µs  34.8 µs  262 µs    262 µs

    Inside the holds
      span                   site  calls   a call  in hold  own time  of hold
      add_device_randomness  reap    120  1.32 µs   158 µs    158 µs   25.0 %
      free_pid               reap    120  1.06 µs   127 µs    127 µs   20.0 %
      __change_pid           reap    480   440 ns   211 µs   79.1 µs   12.5 %
      Null hold, for comparison: 253 ns.
      free_pid: 120 calls, 100 % in reap holds
      add_device_randomness: 240 calls, 50.0 % in reap holds
      __change_pid: 480 calls, 100 % in reap holds
      flush_sigqueue: not measured (inlined by this kernel's compiler)

    Who waited behind whom
      waiter  behind the holds of     waited  of all
      fork    reap                   5.80 ms  62.5 %
      reap    exit                   2.90 ms  31.3 %
      reap    readers and hand-over   580 µs  6.25 %

    Inner waits: for another lock while holding this one
      lock         kind      holder  caller    waits  waited      max
      pidmap_lock  spinlock  reap    free_pid      9  216 µs  31.0 µs

    Other contended locks, outside the holds of this one
      lock                kind      caller       waits  waited      max
      0xffff888100a0b0c0  sleeping  __vm_munmap     21  504 µs  31.0 µs
      Waits for spinlocks are lower bounds: the first waiter in line emits no event.

    The longest hold and wait of each site
      site  kind   length      at  CPU   pid  comm         cgroup
      reap  wait   360 µs  2.50 s    0  4711  threadspawn  /system.slice/ssh.service
      fork  wait   262 µs  1.50 s    1  4711  threadspawn  /system.slice/ssh.service
      exit  wait   229 µs  3.50 s    1  4711  threadspawn  /system.slice/ssh.service
      reap  hold  22.5 µs  3.50 s    0  4711  threadspawn  /system.slice/ssh.service
      fork  hold  22.5 µs  1.50 s    1  4711  threadspawn  /system.slice/ssh.service
      exit  hold  18.4 µs  1.50 s    0  4711  threadspawn  /system.slice/ssh.service

    How far to trust this
      null hold    253 ns (mean of 1,000, median 248 ns): a setsid() that fails at
                   once; what the probes add to each hold is less than this, and
                   more for each call measured in it
      probes       lock_acquired 61 ns, lock_released 83 ns a run, without
                   trampolines
      own cost     0.40 % of one CPU, 9.0 MiB resident; stolen by the hypervisor:
                   0.83 % of all CPUs
      precision    means are exact; p50 and p99 within 6.25 %; other locks' within a
                   third
      ground truth from attach to detach the kernel created 160 tasks; holds seen:
                   fork 160 (all), exit 160, reap 160
      losses       none of the 23 kinds that this kernel lets us count; unknown:
                   runs of contention_began that the kernel refused
    ");
}

#[test]
fn wait_only() {
    let synthetic = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    insta::assert_snapshot!(table(&synthetic.profile(), 80, false), @r"
    tasklist_lock on Linux 6.12.48-amd64 (x86_64, 2 CPUs)
      tier         wait-only, by contention tracepoints: fentry is refused on this
                   kernel (EPERM), and kprobes are not built in.
      clock        tsc
      lock         tasklist_lock, address by the call stacks of its waits
      workload     threadspawn, 4 processes: 0.0 iterations/s
      measured     3.00 s in 3 intervals, after 1.00 s of warm-up

    Waits by site
      site  contended  mean wait      p50      p99  max wait
      reap        120    24.0 µs  21.8 µs  21.8 µs   31.0 µs
      fork         75    24.0 µs  21.8 µs  21.8 µs   31.0 µs
      Holds are not measured in this tier.

    Other contended locks, outside the holds of this one
      lock                kind      caller       waits  waited      max
      0xffff888100a0b0c0  sleeping  __vm_munmap     21  504 µs  31.0 µs
      Waits for spinlocks are lower bounds: the first waiter in line emits no event.

    How far to trust this
      null hold    253 ns (mean of 1,000, median 248 ns): a setsid() that fails at
                   once; what the probes add to each hold is less than this, and
                   more for each call measured in it
      probes       lock_acquired 61 ns, lock_released 83 ns a run, without
                   trampolines
      own cost     0.40 % of one CPU, 9.0 MiB resident; stolen by the hypervisor:
                   0.83 % of all CPUs
      precision    means are exact; p50 and p99 within a third
      ground truth from attach to detach the kernel created 160 tasks
      losses       none of the 23 kinds that this kernel lets us count; unknown:
                   runs of contention_began that the kernel refused
    ");
}

#[test]
fn instructions() {
    let synthetic = Synthetic {
        clock: Clock::Instructions,
        ..Synthetic::default()
    };
    insta::assert_snapshot!(table(&synthetic.profile(), 80, false), @r"
    tasklist_lock on Linux 6.12.48-amd64 (x86_64, 2 CPUs)
      tier         exact, by fentry: lock and unlock are functions of their own, and
                   fentry is allowed.
      clock        lengths are guest instructions (insn), not times; waits are not
                   measured
      lock         tasklist_lock at 0xffffffff8260a080, from /proc/kallsyms
      workload     threadspawn, 4 processes: 36.0 iterations/s
      measured     3.00 s of virtual time (10^9 insn a second) in 3 intervals, after
                   1.00 s of warm-up
      held         0.06 % of the time by writers; 40.0 task lives/s, 3.00 write
                   holds to a life

    Holds and waits by site
      site  holds    held   mean hold         p50         p99    max hold
      reap    120  0.02 %  5,275 insn  4,352 insn  21.5k insn  22.5k insn
      exit    120  0.02 %  4,734 insn  3,200 insn  17.4k insn  18.4k insn
      fork    120  0.01 %  3,746 insn  2,672 insn  15.9k insn  22.5k insn

    Inside the holds
      span                   site  calls      a call    in hold    own time  of hold
      add_device_randomness  reap    120  1,319 insn  158k insn   158k insn   25.0 %
      free_pid               reap    120  1,055 insn  127k insn   127k insn   20.0 %
      __change_pid           reap    480    440 insn  211k insn  79.1k insn   12.5 %
      Null hold, for comparison: 253 insn.
      free_pid: 120 calls, 100 % in reap holds
      add_device_randomness: 240 calls, 50.0 % in reap holds
      __change_pid: 480 calls, 100 % in reap holds
      flush_sigqueue: not measured (inlined by this kernel's compiler)

    The longest hold and wait of each site
      site  kind      length      at  CPU   pid  comm         cgroup
      reap  hold  22.5k insn  3.50 s    0  4711  threadspawn  /system.slice/ssh.ser…
      fork  hold  22.5k insn  1.50 s    1  4711  threadspawn  /system.slice/ssh.ser…
      exit  hold  18.4k insn  1.50 s    0  4711  threadspawn  /system.slice/ssh.ser…

    How far to trust this
      null hold    253 insn (mean of 1,000, median 248 insn): a setsid() that fails
                   at once; what the probes add to each hold is less than this, and
                   more for each call measured in it
      probes       lock_acquired 61 insn, lock_released 83 insn a run, without
                   trampolines
      own cost     0.40 % of one CPU, 9.0 MiB resident; stolen by the hypervisor:
                   0.83 % of all CPUs
      precision    means are exact; p50 and p99 within 6.25 %; other locks' within a
                   third
      ground truth from attach to detach the kernel created 160 tasks; holds seen:
                   fork 160 (all), exit 160, reap 160
      losses       none of the 23 kinds that this kernel lets us count; unknown:
                   runs of contention_began that the kernel refused
    ");
}

/// Losses, the deferral, no footer: what has to be said first is said first.
#[test]
fn void_and_cut_short() {
    let mut lines = Synthetic {
        footer: false,
        ..Synthetic::default()
    }
    .lines();
    for line in &mut lines {
        if let Line::Interval(interval) = line {
            interval.losses.insert("hold_without_start".into(), 3);
            interval.spans.retain(|span| span.span != "free_pid");
            interval.calls_outside.insert("free_pid".into(), 40);
        }
    }
    let text = table(&profile_of(lines), 80, false);
    let first: Vec<&str> = text.lines().take(4).map(str::trim).collect();
    assert_eq!(
        first,
        [
            "VOID: 1.64 % of the lock's events are missing (9 lost, 540 seen; the limit is",
            "0.10 %). Do not rely on the numbers below.",
            "CUT SHORT: the recording has no end; the numbers are those up to its last",
            "interval.",
        ]
    );
    assert!(text.contains("free_pid: 120 calls, never inside a hold (the deferral is seen)"));
    assert!(
        text.contains("hold_without_start 9 (1.64 % of the lock's holds and waits)"),
        "{text}"
    );
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let mut hostile = Synthetic {
        comm: "\u{1b}[31m\n,\"<b>".into(),
        ..Synthetic::default()
    };
    hostile.sites = Site::ALL.to_vec();
    let mut lines = hostile.lines();
    let Line::Header(header) = &mut lines[0] else {
        panic!("no header")
    };
    header.lock.name = "l".repeat(60);
    header.workload.as_mut().unwrap().name = "/a/very/long/path".repeat(9);
    let profile = profile_of(lines);
    for width in [40, 60, 80, 81, 100, 132, 250] {
        let text = table(&profile, width, false);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn colours_are_only_where_they_are_asked_for() {
    let profile = Synthetic::default().profile();
    let plain = table(&profile, 80, false);
    assert!(!plain.contains('\u{1b}'));
    let colored = table(&profile, 80, true);
    assert!(colored.contains("\u{1b}[1m"));
    let mut parts = colored.split("\u{1b}[");
    let mut stripped = parts.next().unwrap().to_owned();
    parts.for_each(|part| stripped.push_str(part.split_once('m').unwrap().1));
    assert_eq!(stripped, plain);
}
