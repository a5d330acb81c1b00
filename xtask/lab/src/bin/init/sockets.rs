//! A load that takes nl_table_lock for writing, by several functions: to join a multicast group takes it twice, and to
//! close a socket once (net/netlink/af_netlink.c: netlink_setsockopt(), netlink_realloc_groups() and
//! netlink_release(), by netlink_table_grab(), 6.1 to 7.2; which of them have it inlined the compiler decides).

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};

/// `join-netlink COUNT`.
pub const JOIN: &str = "join-netlink";

/// Opens so many netlink sockets, has each join the group of links, and closes it, one after the other.
pub fn join(count: &str) -> Result<()> {
    let count: u32 = count
        .parse()
        .with_context(|| format!("{count:?} is no number of sockets"))?;
    (0..count).try_for_each(|_| join_once()).context("netlink")
}

fn join_once() -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened above, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let group: libc::c_int = libc::RTNLGRP_LINK as libc::c_int;
    // SAFETY: the pointer is to a live integer, whose size is given.
    let joined = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            (&raw const group).cast(),
            size_of_val(&group) as libc::socklen_t,
        )
    };
    if joined < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
