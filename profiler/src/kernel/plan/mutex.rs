//! How holds of a mutex are followed: pure.

use super::super::capabilities::Capabilities;
use super::super::findings::Preemption;
use super::super::mutexes::{MUTEX_FUNCTIONS, MUTEX_LOCK_FUNCTION, MUTEX_UNLOCK_FUNCTION};

/// Why no probe of any kind can see the holds of a mutex: each function that takes or releases one has to be known, for
/// an acquisition or a release that nobody sees makes the numbers wrong.
pub(super) fn obstacle(capabilities: &Capabilities) -> Option<String> {
    if capabilities.preemption() == Preemption::Realtime {
        return Some(
            "PREEMPT_RT: a mutex is an rt_mutex, and lockprof does not follow those".to_owned(),
        );
    }
    if capabilities.has_function(MUTEX_UNLOCK_FUNCTION) == Some(false) {
        return Some(format!(
            "this kernel has no {MUTEX_UNLOCK_FUNCTION}, so the end of a hold cannot be probed"
        ));
    }
    let known = MUTEX_FUNCTIONS.map(|function| capabilities.has_function(function.name));
    if known.iter().all(|known| *known == Some(false)) {
        return Some(format!(
            "this kernel has neither {MUTEX_LOCK_FUNCTION} nor any other function that takes a mutex"
        ));
    }
    let changed = MUTEX_FUNCTIONS.iter().find_map(|function| {
        let facts = capabilities.function(function.name);
        let variant = facts.variants.into_iter().find(|name| is_of_its_own(name));
        variant.map(|variant| (function.name, variant))
    });
    changed.map(|(function, variant)| {
        format!("the compiler made {variant} of {function}, and a probe needs the plain function")
    })
}

/// Why fentry and fexit programs cannot stand at each of the functions: BTF has to have those that kallsyms has.
pub(super) fn fentry_obstacle(capabilities: &Capabilities) -> Option<String> {
    let functions = MUTEX_FUNCTIONS.iter().map(|function| function.name);
    let mut functions = functions.chain([MUTEX_UNLOCK_FUNCTION]);
    let missing = functions.find(|name| {
        let facts = capabilities.function(name);
        facts.symbol == Some(true) && facts.btf == Some(false)
    });
    missing.map(|name| {
        format!(
            "{name} is in this kernel's symbols but not in its BTF, which fentry and fexit need"
        )
    })
}

/// Whether a name that the compiler has made stands for a function that is called: the parts that it has moved out of the
/// way are not.
fn is_of_its_own(variant: &str) -> bool {
    !variant.ends_with(".cold")
}

/// The functions that take a mutex and that this kernel has, with their programs, in the order of attaching.
pub(super) fn acquisitions(
    capabilities: &Capabilities,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let present = MUTEX_FUNCTIONS
        .iter()
        .filter(|function| capabilities.has_function(function.name) == Some(true));
    present.map(|function| (function.program, function.name))
}
