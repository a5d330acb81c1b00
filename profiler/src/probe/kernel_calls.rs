//! The object with the calls of this kernel's functions in it: aya 0.14 cannot write them.

use lockprof_abi::KernelCall;

use super::object::OBJECT;
use crate::kernel::{FrameCast, TaskCalls};

/// The alignment that a reader of the object relies on.
const ALIGNMENT: usize = 32;

/// The object, made for this kernel.
#[derive(Debug)]
pub struct PatchedObject {
    /// The type of a frame, by its number in the kernel's BTF; 0 where there is no cast.
    pub frame_type: u32,
    bytes: Vec<u8>,
    start: usize,
}

impl PatchedObject {
    /// For a kernel that offers these functions, or none. Programs that call a function without a number must not
    /// be loaded, or must not reach the call.
    #[must_use]
    pub fn new(cast: Option<FrameCast>, task: Option<TaskCalls>) -> Self {
        let mut bytes = vec![0; OBJECT.len() + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let object = &mut bytes[start..start + OBJECT.len()];
        object.copy_from_slice(OBJECT);
        for call in KernelCall::ALL {
            let number = match call {
                KernelCall::ReadOnlyCast => cast.map(|cast| cast.function),
                KernelCall::TaskFromPid => task.map(|task| task.from_pid),
                KernelCall::TaskRelease => task.map(|task| task.release),
            };
            let marker = call.marker().to_le_bytes();
            let patched = KernelCall::instruction(number.unwrap_or(0)).to_le_bytes();
            // Instructions are eight bytes long, and aligned in the object.
            for instruction in object.chunks_exact_mut(marker.len()) {
                if instruction == marker {
                    instruction.copy_from_slice(&patched);
                }
            }
        }
        Self {
            frame_type: cast.map_or(0, |cast| cast.frame_type),
            bytes,
            start,
        }
    }

    /// The object file.
    #[must_use]
    pub fn object(&self) -> &[u8] {
        &self.bytes[self.start..self.start + OBJECT.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(object: &[u8], instruction: u64) -> usize {
        let words = object.chunks_exact(8);
        words
            .filter(|word| *word == instruction.to_le_bytes())
            .count()
    }

    #[test]
    fn every_call_is_replaced_by_its_own_function() {
        let cast = FrameCast {
            function: 77,
            frame_type: 5,
        };
        let task = TaskCalls {
            from_pid: 78,
            release: 79,
        };
        let patched = PatchedObject::new(Some(cast), Some(task));
        for (call, number) in KernelCall::ALL.into_iter().zip([77, 78, 79]) {
            let before = count(OBJECT, call.marker());
            assert!(before > 0, "the object has no call of {}", call.name());
            assert_eq!(count(patched.object(), call.marker()), 0);
            let calls = count(patched.object(), KernelCall::instruction(number));
            assert_eq!(calls, before, "{}", call.name());
        }
        assert_eq!(patched.frame_type, 5);
        assert_eq!(patched.object().as_ptr().align_offset(ALIGNMENT), 0);
    }

    #[test]
    fn a_kernel_without_the_functions_has_no_type() {
        let none = PatchedObject::new(None, None);
        assert_eq!(none.frame_type, 0);
        for call in KernelCall::ALL {
            assert_eq!(count(none.object(), call.marker()), 0);
        }
    }
}
