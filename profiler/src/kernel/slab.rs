//! The kernel's slab caches: in an object of which cache an address is, and where in that object.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};

use super::bpf_syscall::{ProgramKind, load, run};
use super::btf::Members;
use super::instruction::instruction;
use super::memory::KernelMemory;

/// The kernel function that tells an address's cache (mm/slab_common.c, v6.13). Debian's 6.12 has none.
pub(super) const FUNCTION: &str = "bpf_get_kmem_cache";
/// Bits of `kmem_cache_order_objects.x` below a slab's order (`OO_SHIFT` of mm/slub.c, 5.19 to 7.3).
const ORDER_SHIFT: u32 = 16;
/// Pages are of so many bytes (x86-64).
const PAGE: u64 = 1 << 12;
/// No slab has a larger order (`MAX_PAGE_ORDER` of include/linux/mmzone.h).
const LARGEST_ORDER: u32 = 10;
/// Longer names of caches are cut.
const LONGEST_NAME: usize = 48;

/// Caches of one type of object, by their names: what is in it is known by the kernel's BTF.
const OBJECTS: &[(&str, &str)] = &[
    ("TCP", "tcp_sock"),
    ("TCPv6", "tcp6_sock"),
    ("UDP", "udp_sock"),
    ("UDPv6", "udp6_sock"),
    ("UNIX", "unix_sock"),
    ("UNIX-STREAM", "unix_sock"),
    ("anon_vma", "anon_vma"),
    ("bdev_cache", "bdev_inode"),
    ("dentry", "dentry"),
    ("eventpoll_epi", "epitem"),
    ("ext4_inode_cache", "ext4_inode_info"),
    ("files_cache", "files_struct"),
    ("filp", "file"),
    ("fs_cache", "fs_struct"),
    ("inode_cache", "inode"),
    ("kernfs_node_cache", "kernfs_node"),
    ("kmem_cache_node", "kmem_cache_node"),
    ("mem_cgroup", "mem_cgroup"),
    ("mem_cgroup_per_node", "mem_cgroup_per_node"),
    ("mm_struct", "mm_struct"),
    ("net_namespace", "net"),
    ("perf_event", "perf_event"),
    ("pid", "pid"),
    ("pool_workqueue", "pool_workqueue"),
    ("proc_inode_cache", "proc_inode"),
    ("shmem_inode_cache", "shmem_inode_info"),
    ("sighand_cache", "sighand_struct"),
    ("signal_cache", "signal_struct"),
    ("sock_inode_cache", "socket_alloc"),
    ("task_group", "task_group"),
    ("task_struct", "task_struct"),
    ("user_namespace", "user_namespace"),
    ("vm_area_struct", "vm_area_struct"),
    ("xfs_inode", "xfs_inode"),
];

/// What the kernel's BTF tells of slab caches: offsets in bytes from the beginning of `struct kmem_cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlabLayout {
    /// The number of the kernel's function that tells an address's cache.
    function: u32,
    name: u32,
    /// Of an object with all that surrounds it.
    size: u32,
    /// Of the order of a slab, and of that of a smaller one, for when memory is scarce.
    order: u32,
    least_order: u32,
    /// How many caches share this one, since their objects are alike.
    sharers: u32,
    /// What stands before each object where the kernel checks for writes out of bounds (CONFIG_SLUB_DEBUG).
    red_zone: Option<u32>,
    /// The locks in objects of a cache, by its name: offset, and `structure.member`.
    locks: BTreeMap<String, Vec<(u32, String)>>,
}

impl SlabLayout {
    /// For a kernel in whose BTF [`FUNCTION`] has this number; `None` where its caches are built in another way.
    pub(super) fn of(function: u32, members: &Members<'_>) -> Option<Self> {
        let offset = |path: &[&str]| members.offset("kmem_cache", path);
        Some(Self {
            function,
            name: offset(&["name"])?,
            size: offset(&["size"])?,
            order: offset(&["oo", "x"])?,
            least_order: offset(&["min", "x"])?,
            sharers: offset(&["refcount"])?,
            red_zone: offset(&["red_left_pad"]),
            locks: OBJECTS
                .iter()
                .map(|(cache, structure)| ((*cache).to_owned(), members.locks_of(structure)))
                .collect(),
        })
    }
}

/// Tells in what slab object an address is, by programs of eBPF that are attached to nothing.
#[derive(Debug)]
pub struct SlabCaches {
    layout: SlabLayout,
    memory: KernelMemory,
    name: OwnedFd,
    size: OwnedFd,
    order: OwnedFd,
    least_order: OwnedFd,
    sharers: OwnedFd,
    red_zone: Option<OwnedFd>,
}

/// Where an address is in a slab cache.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    cache: String,
    /// In bytes from the beginning of the object, in a slab as large as the cache's are and in the smaller one that it
    /// makes do with when memory is scarce.
    offsets: [Option<u64>; 2],
    /// Whether objects of other caches are in it, too.
    is_shared: bool,
}

impl SlabCaches {
    /// Loads the programs.
    ///
    /// # Errors
    /// The kernel refuses one: a sentence.
    pub fn open(layout: SlabLayout) -> Result<Self, String> {
        let program = |field, bytes| {
            let program = reads_field(layout.function, field, bytes);
            load(ProgramKind::RawTracepoint, &program)
        };
        let red_zone = layout.red_zone.map(|field| program(field, 4));
        Ok(Self {
            memory: KernelMemory::open()?,
            name: program(layout.name, 8)?,
            size: program(layout.size, 4)?,
            order: program(layout.order, 4)?,
            least_order: program(layout.least_order, 4)?,
            sharers: program(layout.sharers, 4)?,
            red_zone: red_zone.transpose()?,
            layout,
        })
    }

    /// What an address is in: `file.f_pos_lock` for a lock of an object whose type is known, else the cache and the
    /// offset in its object, as `kmalloc-512+0x18`; the cache alone where its slabs are of two sizes and the offset
    /// depends on which it is. `None` where it is in no slab, or in one of several caches that the
    /// kernel has merged, since their objects are alike (`slab_nomerge` of kernel-parameters.txt): its name is that of
    /// the first of them. Those of kmalloc have anything in them by their name.
    #[must_use]
    pub fn object(&self, address: u64) -> Option<String> {
        describe(&self.place(address)?, &self.layout.locks)
    }

    fn place(&self, address: u64) -> Option<Place> {
        let field = |program: &OwnedFd, shift| run(program.as_fd(), &[address, shift]).ok();
        let half = |shift| field(&self.name, shift).map(u64::from);
        let name = half(0)? | half(32)? << 32;
        if name == 0 {
            return None;
        }
        let red_zone = self.red_zone.as_ref().and_then(|pad| field(pad, 0));
        let size = field(&self.size, 0)?;
        let offset_of = |order| {
            let order = field(order, 0)? >> ORDER_SHIFT;
            offset_in_object(address, order, size, red_zone.unwrap_or(0))
        };
        let cache = self.memory.read_text(name, LONGEST_NAME)?;
        Some(Place {
            offsets: [offset_of(&self.order), offset_of(&self.least_order)],
            // -1 of caches that are never shared (create_boot_cache() of mm/slab_common.c).
            is_shared: field(&self.sharers, 0)?.cast_signed() > 1,
            cache: Some(cache).filter(|cache| !cache.is_empty())?,
        })
    }
}

/// Where in its object an address is, in a slab of this order: slabs are aligned to their size.
fn offset_in_object(address: u64, order: u32, size: u32, red_zone: u32) -> Option<u64> {
    let slab = PAGE << order.min(LARGEST_ORDER);
    let in_slab = address & (slab - 1);
    let in_object = in_slab.checked_rem(size.into())?;
    in_object.checked_sub(red_zone.into())
}

fn describe(place: &Place, locks: &BTreeMap<String, Vec<(u32, String)>>) -> Option<String> {
    if place.is_shared && !place.cache.starts_with("kmalloc-") {
        return None;
    }
    // At the address is a lock: an offset at which the objects have none is that of a slab of the other size.
    let locks = locks.get(&place.cache).map_or(&[][..], Vec::as_slice);
    let is_lock = |(at, _): &&(u32, String)| place.offsets.contains(&Some(u64::from(*at)));
    let mut found = locks.iter().filter(is_lock).map(|(_, member)| member);
    match (found.next(), found.next(), place.offsets) {
        (Some(member), None, _) => Some(member.clone()),
        (None, None, [Some(offset), other]) if other == Some(offset) => {
            Some(format!("{}+{offset:#x}", place.cache))
        }
        _ => Some(place.cache.clone()),
    }
}

/// A program that returns a field of the cache in which the address is that is its first argument, shifted to the
/// right by its second; 0 where that is in no slab.
fn reads_field(function: u32, field: u32, bytes: u32) -> Vec<u64> {
    let load_field = if bytes == 8 { 0x79 } else { 0x61 };
    let field = i16::try_from(field).unwrap_or(i16::MAX);
    vec![
        // r6 = the second argument; r1 = the first; r0 = the function of r1.
        instruction(0x79, 6 | (1 << 4), 8, 0),
        instruction(0x79, 1 | (1 << 4), 0, 0),
        instruction(0x85, 2 << 4, 0, function.cast_signed()),
        // if r0 == 0 goto the end
        instruction(0x15, 0, 2, 0),
        instruction(load_field, 0, field, 0),
        // r0 >>= r6
        instruction(0x7f, 6 << 4, 0, 0),
        instruction(0x95, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_that_in_the_object() {
        // The third object of 0x2e0 bytes in a slab of two pages.
        let address = 0xffff_8880_0012_2000 + 2 * 0x2e0 + 0x38;
        assert_eq!(offset_in_object(address, 1, 0x2e0, 0), Some(0x38));
        assert_eq!(offset_in_object(address, 1, 0x2e0, 0x10), Some(0x28));
        assert_eq!(offset_in_object(address, 1, 0x2e0, 0x40), None);
        assert_eq!(offset_in_object(address, 1, 0, 0), None);
    }

    #[test]
    fn a_shared_cache_does_not_tell_what_is_in_it() {
        let locks = vec![(0x38, "file.f_pos_lock".to_owned())];
        let locks = BTreeMap::from([("filp".to_owned(), locks)]);
        let place = |cache: &str, offsets: [u64; 2], is_shared| Place {
            cache: cache.to_owned(),
            offsets: offsets.map(Some),
            is_shared,
        };
        let described = |place| describe(&place, &locks);
        let some = |name: &str| Some(name.to_owned());
        let of_file = |offsets| described(place("filp", offsets, false));
        assert_eq!(of_file([0x38, 0x38]), some("file.f_pos_lock"));
        assert_eq!(of_file([0x10, 0x38]), some("file.f_pos_lock"));
        assert_eq!(of_file([0x40, 0x40]), some("filp+0x40"));
        assert_eq!(of_file([0x40, 0x48]), some("filp"));
        assert_eq!(described(place("filp", [0x38; 2], true)), None);
        let of_kmalloc = place("kmalloc-512", [24; 2], true);
        assert_eq!(described(of_kmalloc), some("kmalloc-512+0x18"));
    }
}
