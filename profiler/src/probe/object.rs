//! The compiled eBPF programs.

/// The object file, as `build.rs` leaves it.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lockprof-programs"));
