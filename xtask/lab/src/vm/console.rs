//! The guest's console: kept, and searched for what must not be there.

/// What the kernel prints when something is broken. A pattern's parts must stand in one line in
/// this order.
const DENIED: &[&[&str]] = &[
    &["BUG:"],
    &["BUG ", "Tainted"],
    &["kernel BUG at"],
    &["WARNING:"],
    &["Oops"],
    &["general protection fault"],
    &["Unable to handle kernel"],
    &["unable to handle", "page fault"],
    &["stack segment:"],
    &["double fault"],
    &["divide error:"],
    &["invalid opcode:"],
    &["soft lockup"],
    &["hard LOCKUP"],
    &["rcu", "stall"],
    &["rcu", "kthread starved"],
    &["blocked for more than", "seconds"],
    &["UBSAN"],
    &["KASAN"],
    &["KCSAN"],
    &["KFENCE: ", "in "],
    &["INFO: possible", "deadlock"],
    &["INFO: inconsistent lock state"],
    &["INFO: trying to register non-static key"],
    &["scheduling while atomic"],
    &["unregister_netdevice: waiting for"],
    &["Kernel panic"],
    &["Call Trace"],
    &["Out of memory"],
    &["oom-kill"],
];

/// A line that a pattern denies and that is harmless.
struct Allowed {
    parts: &'static [&'static str],
    #[expect(
        dead_code,
        reason = "for the reader: an entry without a reason is not accepted"
    )]
    reason: &'static str,
}

const ALLOWED: &[Allowed] = &[
    Allowed {
        parts: &["Spectre V2", "WARNING:", "eBPF"],
        reason: "the kernel's advice about unprivileged BPF, printed on a healthy machine when \
                 the sysctl is changed",
    },
    Allowed {
        parts: &["rcu: ", "srcu_", "stall_timeout"],
        reason: "a boot-time setting that is only printed",
    },
];

fn matches(line: &str, parts: &[&str]) -> bool {
    let mut rest = line;
    parts.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Whether this line of a console says that the kernel is broken.
pub fn is_splat(line: &str) -> bool {
    DENIED.iter().any(|parts| matches(line, parts))
        && !ALLOWED.iter().any(|allowed| matches(line, allowed.parts))
}

/// Whether this splat is of a breakpoint's trap, and the bytes of the kernel's text that it prints have no
/// breakpoint (0xcc) before the instruction pointer.
///
/// The kernel puts breakpoints into its own text while it rewrites it (arch/x86/kernel/alternative.c,
/// text_poke_bp_batch, 6.1 to 7.2), and takes them out before it forgets about them. QEMU 7.2 with a thread
/// for each virtual CPU may have read the old byte for a translation that it finishes after the byte was
/// changed, and then keeps that translation.
fn was_no_breakpoint<'a>(splat: &str, mut after: impl Iterator<Item = &'a str>) -> bool {
    if !splat.contains("int3: ") {
        return false;
    }
    let Some(code) = after.find_map(|line| line.split_once("Code: ")) else {
        return false;
    };
    let bytes = code.1.split(' ').collect::<Vec<_>>();
    let pointer = bytes.iter().position(|byte| byte.starts_with('<'));
    let before = pointer.and_then(|at| bytes.get(at.checked_sub(1)?));
    before.is_some_and(|byte| byte.len() == 2 && *byte != "cc")
}

/// Whether this splat is of a stall, and a CPU stands at a function's first instruction, where the kernel rewrites calls,
/// and at no breakpoint.
///
/// Who comes to such a breakpoint when it is no more is sent back to the same address (kprobe_int3_handler of
/// arch/x86/kernel/kprobes/core.c, 6.1 to 7.2), for there is an instruction again; with the stale
/// translation of [`was_no_breakpoint`] it is a breakpoint forever.
fn stands_at_no_breakpoint<'a>(splat: &str, mut after: impl Iterator<Item = &'a str>) -> bool {
    let is_first = |line: &str| line.contains("RIP: ") && line.contains("+0x0/");
    if !splat.contains("stall") || !after.any(is_first) {
        return false;
    }
    let code = after.next().and_then(|line| line.split_once("Code: "));
    code.is_some_and(|(_, bytes)| bytes.contains("<e8>") || bytes.contains("<0f> 1f 44 00 00"))
}

/// A console's text, line by line.
#[derive(Debug, Default)]
pub struct Console {
    text: String,
    partial: Vec<u8>,
    splat: Option<String>,
}

impl Console {
    /// Takes the next bytes and gives back the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line = self.partial.drain(..=end).collect::<Vec<_>>();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if self.splat.is_none() && is_splat(&line) {
                self.splat = Some(line.clone());
            }
            self.text.push_str(&line);
            self.text.push('\n');
            lines.push(line);
        }
        lines
    }

    /// The first line that says that the kernel is broken.
    pub fn splat(&self) -> Option<&str> {
        self.splat.as_deref()
    }

    /// The splat, if it is a fault of the emulator and none of the guest: a CPU that has executed a
    /// breakpoint where, as the same splat shows, none stands, once or forever.
    pub fn emulators_fault(&self) -> Option<&str> {
        let splat = self.splat()?;
        let after = self.text.lines().skip_while(|line| *line != splat);
        let is_emulators =
            was_no_breakpoint(splat, after.clone()) || stands_at_no_breakpoint(splat, after);
        is_emulators.then_some(splat)
    }

    /// Everything so far, whole lines only.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The last lines, for an error message; after a splat those around it.
    pub fn end(&self, count: usize) -> String {
        let lines = self.text.lines().collect::<Vec<_>>();
        let from = match &self.splat {
            // What stands right before a splat is part of it, and its trace is longer than that.
            Some(splat) => lines
                .iter()
                .position(|line| line == splat)
                .unwrap_or(0)
                .saturating_sub(5),
            None => lines.len().saturating_sub(count),
        };
        let mut end = lines[from..]
            .iter()
            .take(count)
            .copied()
            .collect::<Vec<_>>()
            .join("\n");
        let partial = String::from_utf8_lossy(&self.partial);
        if self.splat.is_none() && !partial.trim().is_empty() {
            end.push('\n');
            end.push_str(partial.trim_end());
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splats_are_found_and_boot_messages_are_not() {
        for line in [
            "[    2.1] BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "[    2.1] Oops: 0000 [#1] PREEMPT SMP NOPTI",
            "[   60.0] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [sh:1]",
            "[   21.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "[   21.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    3.0] WARNING: CPU: 0 PID: 1 at kernel/exit.c:100 do_exit+0x1/0x2",
            "[    3.0] UBSAN: array-index-out-of-bounds in fs/x.c:1:2",
            "[    3.0] Kernel panic - not syncing: Attempted to kill init!",
            "[    3.0] general protection fault, probably for non-canonical address",
        ] {
            assert!(is_splat(line), "{line}");
        }
        for line in [
            "[    0.0] rcu: RCU restricting CPUs from NR_CPUS=512 to nr_cpu_ids=2.",
            "[    0.0] Debug: nothing",
            "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled, data leaks possible",
            "[    1.1] clocksource: tsc: mask: 0xffffffffffffffff",
            "",
        ] {
            assert!(!is_splat(line), "{line}");
        }
    }

    #[test]
    fn a_breakpoint_that_is_not_there_is_the_emulators() {
        let console = |first: &str, code: &str| {
            let mut console = Console::default();
            console.push(b"[    3.2] random: crng init done\n");
            console.push(format!("[    3.2] {first}\n[    3.2] Code: {code}\n").as_bytes());
            console
        };
        let trap = "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI";
        let gone = console(trap, "00 00 0f <1f> 44 00 00");
        assert!(
            gone.emulators_fault()
                .is_some_and(|splat| splat.contains(trap))
        );
        for (first, code) in [
            (trap, "00 00 cc <1f> 44 00 00"),
            (trap, "<1f> 44 00 00"),
            (trap, "Bad RIP value."),
            (
                "Oops: 0000 [#1] PREEMPT SMP NOPTI",
                "00 00 0f <1f> 44 00 00",
            ),
        ] {
            let console = console(first, code);
            assert!(console.splat().is_some());
            assert_eq!(console.emulators_fault(), None, "{first}, {code}");
        }
    }

    #[test]
    fn a_breakpoint_that_is_executed_forever_is_the_emulators() {
        let console = |first: &str, place: &str, code: &str| {
            let mut console = Console::default();
            let lines = format!(
                "[ 28.6] {first}\n[ 28.6] CPU: 0 PID: 157\n[ 28.6] RIP: 0010:{place}/0x30\n[ 28.6] Code: {code}\n"
            );
            console.push(lines.as_bytes());
            console
        };
        let (stall, place) = (
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "_raw_write_unlock_irq+0x0",
        );
        for code in ["0f 1f 40 00 <e8> 8b 9d 34 2b", "cc cc <0f> 1f 44 00 00 55"] {
            let console = console(stall, place, code);
            assert!(console.emulators_fault().is_some(), "{code}");
        }
        for (first, place, code) in [
            (stall, place, "0f 1f 40 00 <cc> 8b 9d 34 2b"),
            (stall, place, "0f 1f 40 00 <f3> 90 eb fc"),
            (
                stall,
                "queued_write_lock_slowpath+0x81",
                "0f 1f 40 00 <e8> 8b 9d 34 2b",
            ),
            (
                "watchdog: BUG: soft lockup",
                place,
                "0f 1f 40 00 <e8> 8b 9d 34 2b",
            ),
        ] {
            let console = console(first, place, code);
            assert!(console.splat().is_some());
            assert_eq!(console.emulators_fault(), None, "{first}, {place}, {code}");
        }
    }

    #[test]
    fn lines_are_put_together_across_reads() {
        let mut console = Console::default();
        assert!(console.push(b"one\r\ntw").is_empty() || console.text() == "one\n");
        assert_eq!(
            console.push(b"o\nBUG: x\nafter\nlast"),
            ["two", "BUG: x", "after"]
        );
        assert_eq!(console.splat(), Some("BUG: x"));
        assert_eq!(console.text(), "one\ntwo\nBUG: x\nafter\n");
    }

    #[test]
    fn the_end_shows_the_splat_or_the_last_lines() {
        let mut console = Console::default();
        for n in 0..100 {
            console.push(format!("line {n}\n").as_bytes());
        }
        console.push(b"half");
        assert_eq!(console.end(2), "line 98\nline 99\nhalf");
        console.push(b"\nBUG: x\n");
        for n in 100..200 {
            console.push(format!("line {n}\n").as_bytes());
        }
        assert!(
            console.end(10).starts_with("line 96\n"),
            "{}",
            console.end(10)
        );
        assert!(console.end(10).contains("BUG: x"));
    }
}
