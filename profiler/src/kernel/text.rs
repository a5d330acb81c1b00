//! Which function was called at a place of the kernel's text, by the instruction before a return address.

use super::memory::KernelMemory;

/// How long `call rel32` is on x86-64.
const CALL_LENGTH: u64 = 5;
/// Its first byte; the distance, from what follows it, is behind that.
const CALL: u32 = 0xe8;

/// Reads calls out of the running kernel's text.
#[derive(Debug)]
pub struct KernelText(KernelMemory);

impl KernelText {
    /// Loads the program.
    ///
    /// # Errors
    /// The kernel lets no program be loaded or read its memory, or the machine is none whose calls are known
    /// here: a sentence.
    pub fn open() -> Result<Self, String> {
        if cfg!(not(target_arch = "x86_64")) {
            return Err("calls are known on x86-64 only".to_owned());
        }
        KernelMemory::open().map(Self)
    }

    /// The address that was called where a call returns to this one; `None` where no direct call is before it.
    #[must_use]
    pub fn called_before(&self, return_address: u64) -> Option<u64> {
        let call = return_address.checked_sub(CALL_LENGTH)?;
        let first = self.0.read_u32(call)?;
        // A distance of 0 calls what follows, and nobody does.
        let distance = self
            .0
            .read_u32(call + 1)
            .filter(|&distance| distance != 0)?;
        (first & 0xff == CALL).then_some(())?;
        Some(return_address.wrapping_add_signed(distance.cast_signed().into()))
    }
}
