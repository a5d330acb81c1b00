//! BPF programs that are loaded already, and those of them that share a hook with ours.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use aya::programs::loaded_programs;

use super::bpf_syscall::{buffer_address, info, link_by_id, next_link, program_by_id};
use super::capabilities::{Others, SharedHook};

/// `enum bpf_link_type` (include/uapi/linux/bpf.h, 6.12).
const LINK_RAW_TRACEPOINT: u32 = 1;
const LINK_TRACING: u32 = 2;
const LINK_PERF_EVENT: u32 = 7;
const LINK_KPROBE_MULTI: u32 = 8;
/// `enum bpf_perf_event_type`: what is behind a perf event's link (v6.6).
const PERF_EVENT_KPROBE: u32 = 3;
const PERF_EVENT_KRETPROBE: u32 = 4;

/// A link, as words of `struct bpf_link_info`.
type LinkInfo = [u64; 10];

/// Lists the programs. `hooks` are our functions with their BTF ids, and our tracepoints with 0.
pub(super) fn look(hooks: &[(&str, u32)]) -> Others {
    let mut others = Others::default();
    let mut names = BTreeMap::new();
    let mut seen = 0_u32;
    let mut failure = None;
    for program in loaded_programs() {
        let program = match program {
            Ok(program) => program,
            // It may be one that is just gone: the others are listed all the same.
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        seen += 1;
        let name = program.name_as_str().unwrap_or("(no name)").to_owned();
        // enum bpf_prog_type.
        let kind = match program.program_type() as u32 {
            2 => "kprobe",
            5 => "tracepoint",
            17 | 24 => "raw_tracepoint",
            26 => "tracing",
            _ => continue,
        };
        names.insert(program.id(), name.clone());
        others
            .programs
            .entry(kind.to_owned())
            .or_default()
            .push(name);
    }
    if let (0, Some(error)) = (seen, failure) {
        others.error = Some(format!(
            "listing the loaded BPF programs (CAP_SYS_ADMIN): {:#}",
            anyhow::Error::from(error)
        ));
        return others;
    }
    let mut link = 0;
    loop {
        match next_link(link) {
            Ok(Some(next)) => link = next,
            Ok(None) => break,
            Err(error) => {
                others.error = Some(format!("listing BPF links: {error}"));
                break;
            }
        }
        match hook_of(link, hooks) {
            Hook::Shared {
                program_id,
                kind,
                target,
            } => others.shared.push(SharedHook {
                program: names
                    .get(&program_id)
                    .cloned()
                    .unwrap_or_else(|| "(no name)".to_owned()),
                program_id,
                kind: kind.to_owned(),
                target,
            }),
            Hook::Untold => others.unknown_targets += 1,
            Hook::Elsewhere => {}
        }
    }
    others
}

/// Where a link is.
enum Hook {
    /// On a hook of ours.
    Shared {
        program_id: u32,
        kind: &'static str,
        target: String,
    },
    /// On no hook of ours.
    Elsewhere,
    /// On something that the kernel does not tell.
    Untold,
}

fn hook_of(id: u32, hooks: &[(&str, u32)]) -> Hook {
    // The link may be gone by now.
    let Ok(link) = link_by_id(id) else {
        return Hook::Elsewhere;
    };
    let mut told: LinkInfo = [0; 10];
    if info(link.as_fd(), &mut told).is_err() {
        return Hook::Elsewhere;
    }
    // struct bpf_link_info: type, id, prog_id, then a union at byte 16.
    let (kind, _) = halves(told[0]);
    let (program_id, _) = halves(told[1]);
    let shared = |kind, target: String| Hook::Shared {
        program_id,
        kind,
        target,
    };
    match kind {
        LINK_TRACING => {
            // tracing: attach_type, target_obj_id, target_btf_id (v5.13).
            let (attach_type, _) = halves(told[2]);
            let (function, _) = halves(told[3]);
            let kind = match attach_type {
                23 => "tp_btf",
                24 => "fentry",
                25 => "fexit",
                26 => "fmod_ret",
                _ => return Hook::Elsewhere,
            };
            // Kernels before 5.13 tell no target; the program itself may (v6.0).
            let function = if function == 0 {
                attach_btf_id(program_id).unwrap_or(0)
            } else {
                function
            };
            if function == 0 {
                return Hook::Untold;
            }
            hooks
                .iter()
                .find(|(_, known)| *known == function)
                .map_or(Hook::Elsewhere, |(name, _)| {
                    shared(kind, (*name).to_owned())
                })
        }
        LINK_RAW_TRACEPOINT => named(&link, 2, hooks)
            .map_or(Hook::Elsewhere, |target| shared("raw_tracepoint", target)),
        LINK_PERF_EVENT => {
            let (event, _) = halves(told[2]);
            let kind = match event {
                0 => return Hook::Untold,
                PERF_EVENT_KPROBE => "kprobe",
                PERF_EVENT_KRETPROBE => "kretprobe",
                _ => return Hook::Elsewhere,
            };
            named(&link, 3, hooks).map_or(Hook::Elsewhere, |target| shared(kind, target))
        }
        LINK_KPROBE_MULTI => Hook::Untold,
        _ => Hook::Elsewhere,
    }
}

/// The name that a link tells into a buffer whose address is the word at `place` and whose length
/// the one after it, where it is one of our hooks.
fn named(link: &std::os::fd::OwnedFd, place: usize, hooks: &[(&str, u32)]) -> Option<String> {
    let mut buffer = [0_u8; 128];
    let mut told: LinkInfo = [0; 10];
    told[place] = buffer_address(&mut buffer);
    told[place + 1] = with_low_half(buffer.len() as u32);
    info(link.as_fd(), &mut told).ok()?;
    let length = buffer.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&buffer[..length]).ok()?;
    hooks
        .iter()
        .any(|(known, _)| *known == name)
        .then(|| name.to_owned())
}

/// `attach_btf_id` of `struct bpf_prog_info` (v6.0, commit b79c9fc9551b): the lower half of the word at byte 224.
fn attach_btf_id(program: u32) -> Option<u32> {
    let program = program_by_id(program).ok()?;
    let mut told = [0_u64; 29];
    info(program.as_fd(), &mut told).ok()?;
    Some(halves(told[28]).0).filter(|id| *id != 0)
}

/// The two 32-bit fields of a word, the one at the lower address first.
const fn halves(word: u64) -> (u32, u32) {
    let bytes = word.to_ne_bytes();
    (
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    )
}

/// A word whose field at the lower address is this one.
const fn with_low_half(field: u32) -> u64 {
    let bytes = field.to_ne_bytes();
    u64::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3], 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_a_hook_of_ours_is_seen() {
        use super::super::bpf_syscall::{ProgramKind, load, open_raw_tracepoint};

        let empty = [0xb7_u64.to_le(), 0x95_u64.to_le()];
        let program = match load(ProgramKind::RawTracepoint, &empty) {
            Ok(program) => program,
            Err(error) => {
                eprintln!("skipped: a_program_on_a_hook_of_ours_is_seen: no BPF here: {error}");
                return;
            }
        };
        let link = open_raw_tracepoint(Some("sched_process_exit"), program.as_fd()).unwrap();
        let seen = |name| {
            let others = look(&[(name, 0)]);
            assert_eq!(others.error, None);
            others
                .shared
                .iter()
                .filter(|hook| hook.program == "lockprof_trial" && hook.kind == "raw_tracepoint")
                .count()
        };
        assert_eq!(seen("sched_process_exit"), 1);
        assert_eq!(seen("contention_begin"), 0);
        drop(link);
        assert_eq!(seen("sched_process_exit"), 0);
    }

    #[test]
    fn fields_of_a_word_are_in_the_order_of_addresses() {
        assert_eq!(halves(with_low_half(7)), (7, 0));
    }
}
