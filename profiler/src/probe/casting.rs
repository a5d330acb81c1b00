//! Which kernel function a program may call to read its trampoline's frame without a helper, and the
//! object with that call in it.

use lockprof_abi::{CAST_CALL, cast_call};

use super::programs::OBJECT;
use crate::kernel::FrameCast;

/// The alignment that a reader of the object relies on.
const ALIGNMENT: usize = 32;

/// The object, made for this kernel.
#[derive(Debug)]
pub struct Casting {
    /// The type of a frame, by its number in the kernel's BTF; 0 where there is no cast.
    pub frame_type: u32,
    bytes: Vec<u8>,
    start: usize,
}

impl Casting {
    /// For a kernel that offers this cast, or none.
    #[must_use]
    pub fn of(cast: Option<FrameCast>) -> Self {
        cast.map_or_else(
            || Self::with(0, 0),
            |cast| Self::with(cast.function, cast.frame_type),
        )
    }

    fn with(function: u32, frame_type: u32) -> Self {
        let call = cast_call(function).to_le_bytes();
        let mut bytes = vec![0; OBJECT.len() + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let object = &mut bytes[start..start + OBJECT.len()];
        object.copy_from_slice(OBJECT);
        // Instructions are eight bytes long, and aligned in the object.
        for instruction in object.chunks_exact_mut(call.len()) {
            if instruction == CAST_CALL.to_le_bytes() {
                instruction.copy_from_slice(&call);
            }
        }
        Self {
            frame_type,
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

    fn calls(object: &[u8], call: u64) -> usize {
        let words = object.chunks_exact(8);
        words.filter(|word| *word == call.to_le_bytes()).count()
    }

    #[test]
    fn every_call_is_replaced() {
        let before = calls(OBJECT, CAST_CALL);
        assert!(before > 0, "the object has no cast");
        let object = Casting::with(77, 5);
        assert_eq!(calls(object.object(), CAST_CALL), 0);
        assert_eq!(calls(object.object(), cast_call(77)), before);
        assert_eq!(object.object().as_ptr().align_offset(ALIGNMENT), 0);
    }

    #[test]
    fn a_kernel_without_the_function_has_no_type() {
        let none = Casting::of(None);
        assert_eq!(none.frame_type, 0);
        assert_eq!(calls(none.object(), CAST_CALL), 0);
    }
}
