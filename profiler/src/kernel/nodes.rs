//! The kernel's memory nodes and their zones: in which of them an address is. They have symbols on machines of one node
//! without NUMA alone.

use super::btf::Members;
use super::kallsyms::Kallsyms;
use super::memory::KernelMemory;

/// The array of pointers to nodes (arch/x86/mm/numa.c up to 6.12, mm/numa.c later).
const NODES: &str = "node_data";
/// The type of a node.
const NODE: &str = "pglist_data";
/// A node has no more zones (`MAX_NR_ZONES` of include/generated/bounds.h, x86-64).
const MOST_ZONES: u32 = 6;
/// Longer names of zones are cut; "Movable" is the longest.
const LONGEST_NAME: usize = 8;

/// Where a node has its zones and locks, in bytes, by the kernel's BTF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLayout {
    bytes: u32,
    zones: u32,
    zone_bytes: u32,
    zone_name: u32,
    /// The locks of a zone: offset, and `zone.member`.
    zone_locks: Vec<(u32, String)>,
    /// The locks of a node beside those of its zones.
    locks: Vec<(u32, String)>,
}

impl NodeLayout {
    pub(super) fn of(members: &Members<'_>) -> Option<Self> {
        Some(Self {
            bytes: members.size(NODE)?,
            zones: members.offset(NODE, &["node_zones"])?,
            zone_bytes: members.size("zone").filter(|&bytes| bytes > 0)?,
            zone_name: members.offset("zone", &["name"])?,
            zone_locks: members.locks_of("zone"),
            locks: members.locks_of(NODE),
        })
    }
}

/// The machine's memory nodes.
#[derive(Debug, Default)]
pub struct MemoryNodes {
    layout: NodeLayout,
    /// Address and number.
    nodes: Vec<(u64, usize)>,
    memory: Option<KernelMemory>,
}

impl MemoryNodes {
    /// Reads where they are; none where the kernel's symbols do not tell, or its memory cannot be read.
    #[must_use]
    pub fn read(symbols: &Kallsyms, layout: Option<NodeLayout>) -> Self {
        let place = symbols
            .address_of_object(NODES)
            .zip(symbols.bytes_of_object(NODES));
        let (Some((nodes, bytes)), Some(layout)) = (place, layout) else {
            return Self::default();
        };
        let Ok(memory) = KernelMemory::open() else {
            return Self::default();
        };
        let pointer = |node| memory.read_u64(nodes + 8 * node as u64);
        // Machines have 1024 nodes at most (CONFIG_NODES_SHIFT).
        let nodes = (0..(bytes / 8).min(1024) as usize)
            .map_while(|node| Some((pointer(node)?, node)))
            .filter(|(address, _)| *address != 0)
            .collect();
        Self {
            layout,
            nodes,
            memory: Some(memory),
        }
    }

    /// The lock of a node or zone that is at an address: `zone.lock, Normal of node 0`.
    #[must_use]
    pub fn lock_at(&self, address: u64) -> Option<String> {
        let (start, node) = self
            .nodes
            .iter()
            .find(|(start, _)| address.wrapping_sub(*start) < u64::from(self.layout.bytes))?;
        let offset = u32::try_from(address - start).ok()?;
        if let Some(lock) = lock_at(&self.layout.locks, offset) {
            return Some(format!("{lock}, node {node}"));
        }
        let in_zones = offset.checked_sub(self.layout.zones)?;
        let zone = in_zones.checked_div(self.layout.zone_bytes)?;
        let in_zone = (zone < MOST_ZONES).then(|| in_zones % self.layout.zone_bytes)?;
        let lock = lock_at(&self.layout.zone_locks, in_zone)?;
        let zone = address - u64::from(in_zone);
        let memory = self.memory.as_ref()?;
        let name = memory.read_u64(zone + u64::from(self.layout.zone_name))?;
        let name = memory.read_text(name, LONGEST_NAME)?;
        // What has no name is behind the node's last zone.
        (!name.is_empty()).then(|| format!("{lock}, {name} of node {node}"))
    }
}

fn lock_at(locks: &[(u32, String)], offset: u32) -> Option<&str> {
    let mut locks = locks.iter();
    let (_, name) = locks.find(|(of_lock, _)| *of_lock == offset)?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_lock_is_known_by_its_offset() {
        let layout = NodeLayout {
            bytes: 0x4000,
            zones: 0,
            zone_bytes: 0x600,
            zone_name: 0x40,
            zone_locks: vec![(0x100, "zone.lock".to_owned())],
            locks: vec![(0x3000, "pglist_data.__lruvec.lru_lock".to_owned())],
        };
        let nodes = MemoryNodes {
            layout,
            nodes: vec![(0x10_0000, 0), (0x20_0000, 2)],
            memory: None,
        };
        assert_eq!(
            nodes.lock_at(0x20_3000).as_deref(),
            Some("pglist_data.__lruvec.lru_lock, node 2")
        );
        assert_eq!(nodes.lock_at(0x20_4000), None);
        assert_eq!(nodes.lock_at(0x20_3008), None);
        assert_eq!(MemoryNodes::default().lock_at(0), None);
    }
}
