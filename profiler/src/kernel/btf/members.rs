//! The members of structures: where they are, and which of them are locks.

use std::collections::HashMap;

use super::{Btf, BtfKind, Entry, MEMBER_BYTES, word};

/// How deep structs are looked into.
const DEEPEST: usize = 8;

/// Types of locks, by the names of structs and of types that are defined as one without a name (include/linux/mutex.h,
/// rwsem.h, spinlock_types.h, rwlock_types.h, 5.19 to 7.3).
const LOCKS: &[&str] = &[
    "mutex",
    "rw_semaphore",
    "spinlock",
    "spinlock_t",
    "raw_spinlock",
    "raw_spinlock_t",
    "rwlock_t",
];
/// Those that have a spinlock in them, for their own queue of waiters.
const SLEEPING_LOCKS: &[&str] = &["mutex", "rw_semaphore"];

/// The members of structures, with the types in memory while they are looked up.
#[derive(Debug)]
pub struct Members<'a> {
    btf: &'a Btf,
    /// Kinds and types, by their ids less 1: 0 is void.
    types: Vec<(u32, Entry)>,
    /// The places of structs and unions among them, by name.
    structures: HashMap<&'a str, usize>,
}

impl<'a> Members<'a> {
    pub(super) fn of(btf: &'a Btf, types: Vec<(u32, Entry)>) -> Self {
        let mut structures = HashMap::new();
        for (place, (kind_number, entry)) in types.iter().enumerate() {
            if [BtfKind::Struct, BtfKind::Union]
                .map(BtfKind::number)
                .contains(kind_number)
            {
                structures
                    .entry(btf.name(entry.name_offset))
                    .or_insert(place);
            }
        }
        Self {
            btf,
            types,
            structures,
        }
    }

    /// Where a struct has a member, in bytes: one of its own, or of structs and unions in it that have no name. A path
    /// leads through the members named, the last of which is the one that is wanted. `None` where the kernel has no
    /// such thing.
    #[must_use]
    pub fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut offset = 0;
        let mut id = self.id(structure)?;
        for member in path {
            let (bytes, of_type) = self.member(id, member, DEEPEST)?;
            offset += bytes;
            id = of_type;
        }
        Some(offset)
    }

    /// How many bytes a struct or union has.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.structure(structure).map(|entry| entry.refers_to)
    }

    /// A struct's number.
    #[must_use]
    pub fn id(&self, structure: &str) -> Option<u32> {
        self.structure(structure).map(|entry| entry.id)
    }

    fn structure(&self, name: &str) -> Option<&Entry> {
        let (_, entry) = self.types.get(*self.structures.get(name)?)?;
        Some(entry)
    }

    /// The locks in a struct and in what is part of it, as offset in bytes and `struct.member.member`.
    #[must_use]
    pub fn locks_of(&self, structure: &str) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        if let Some(entry) = self.structure(structure) {
            self.add_locks(entry.id, 0, structure, DEEPEST, &mut found);
        }
        found
    }

    /// Adds the locks in a type that stands at an offset and is called like that.
    fn add_locks(
        &self,
        id: u32,
        offset: u32,
        name: &str,
        depth: usize,
        found: &mut Vec<(u32, String)>,
    ) {
        let of_type = id.checked_sub(1).and_then(|id| self.types.get(id as usize));
        let (Some((kind_number, entry)), Some(depth)) = (of_type, depth.checked_sub(1)) else {
            return;
        };
        let of_type = self.btf.name(entry.name_offset);
        if LOCKS.contains(&of_type) {
            found.push((offset, name.to_owned()));
            if !SLEEPING_LOCKS.contains(&of_type) {
                return;
            }
        }
        match *kind_number {
            // TYPEDEF, VOLATILE, CONST
            8..=10 => self.add_locks(entry.refers_to, offset, name, depth, found),
            // STRUCT, UNION
            4 | 5 => {
                for index in 0..entry.members as usize {
                    let at = entry.extra + MEMBER_BYTES * index;
                    let word = |at| word(&self.btf.bytes, at);
                    let fields = (word(at), word(at + 4), word(at + 8));
                    let (Some(member), Some(of_type), Some(bits)) = fields else {
                        return;
                    };
                    // The upper byte is the size of a bit field.
                    if bits >> 24 != 0 {
                        continue;
                    }
                    let name = match self.btf.name(member) {
                        "" => name.to_owned(),
                        member => format!("{name}.{member}"),
                    };
                    self.add_locks(of_type, offset + bits / 8, &name, depth, found);
                }
            }
            _ => {}
        }
    }

    /// Where a member is in a type, in bytes, and the type that it has.
    fn member(&self, id: u32, wanted: &str, depth: usize) -> Option<(u32, u32)> {
        let (kind_number, entry) = self.types.get(id.checked_sub(1)? as usize)?;
        let depth = depth.checked_sub(1)?;
        let word = |at| word(&self.btf.bytes, at);
        match *kind_number {
            // TYPEDEF, VOLATILE, CONST
            8..=10 => self.member(entry.refers_to, wanted, depth),
            // STRUCT, UNION
            4 | 5 => (0..entry.members as usize).find_map(|index| {
                let at = entry.extra + MEMBER_BYTES * index;
                let of_type = word(at + 4)?;
                // The upper byte is the size of a bit field, which has no address.
                let bits = word(at + 8)?;
                match self.btf.name(word(at)?) {
                    name if name == wanted && bits >> 24 == 0 => Some((bits / 8, of_type)),
                    "" => {
                        let (inner, of_type) = self.member(of_type, wanted, depth)?;
                        Some((bits / 8 + inner, of_type))
                    }
                    _ => None,
                }
            }),
            _ => None,
        }
    }
}
