//! A reader of the kernel's BTF that answers two questions: which types of a kind have which names, and where
//! structures have their members.
//!
//! The format is Documentation/bpf/btf.rst (6.12). Nothing is indexed for good: a look-up is one pass over the
//! types, so that the 5 MB of a kernel's BTF is all the memory that it takes.

mod members;

use std::{fs, io};

use thiserror::Error;

pub use members::Members;

/// Where the kernel shows its BTF (CONFIG_DEBUG_INFO_BTF; kernel/bpf/sysfs_btf.c, v5.4).
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// `BTF_MAGIC` of include/uapi/linux/btf.h.
const MAGIC: u16 = 0xeb9f;
/// The part of `struct btf_header` that every version has.
const HEADER_BYTES: usize = 24;
/// `struct btf_type`.
const TYPE_BYTES: usize = 12;
/// `struct btf_member`.
const MEMBER_BYTES: usize = 12;

/// Why a BTF cannot be read.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The file cannot be read.
    #[error("cannot read {VMLINUX}: {0}")]
    Read(#[source] io::Error),
    /// The bytes are not BTF, or are cut short.
    #[error("the kernel's BTF is malformed: {what} at byte {offset}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: usize,
    },
}

/// The kinds of types that are looked up here (`BTF_KIND_*` of include/uapi/linux/btf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtfKind {
    /// `BTF_KIND_STRUCT`.
    Struct,
    /// `BTF_KIND_UNION`.
    Union,
    /// `BTF_KIND_TYPEDEF`.
    Typedef,
    /// `BTF_KIND_FUNC`.
    Func,
    /// `BTF_KIND_FUNC_PROTO`.
    FuncProto,
}

impl BtfKind {
    /// The number in BTF.
    const fn number(self) -> u32 {
        match self {
            Self::Struct => 4,
            Self::Union => 5,
            Self::Typedef => 8,
            Self::Func => 12,
            Self::FuncProto => 13,
        }
    }
}

/// A type of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BtfType<'a> {
    /// Its id.
    pub id: u32,
    /// Its name; empty where it has none.
    pub name: &'a str,
    /// The type that it refers to (a function's prototype), or its size.
    pub refers_to: u32,
    /// Its members, or the parameters of a prototype.
    pub members: u32,
}

/// The types of a kernel.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    types: (usize, usize),
    strings: (usize, usize),
}

impl Btf {
    /// Reads the running kernel's BTF.
    ///
    /// # Errors
    /// Where the kernel shows none, or one that is malformed.
    pub fn from_sys_fs() -> Result<Self, BtfError> {
        Self::parse(fs::read(VMLINUX).map_err(BtfError::Read)?)
    }

    /// Checks the header.
    ///
    /// # Errors
    /// Where it is not that of a BTF of this machine's byte order, or points beyond its end.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let malformed = |what, offset| BtfError::Malformed { what, offset };
        let magic = bytes.get(..2).and_then(|two| two.try_into().ok());
        if magic.map(u16::from_ne_bytes) != Some(MAGIC) {
            return Err(malformed("no magic number", 0));
        }
        let field =
            |offset| word(&bytes, offset).ok_or(malformed("the header is cut short", offset));
        let header = field(4)? as usize;
        if header < HEADER_BYTES {
            return Err(malformed("the header is too short", 4));
        }
        let part = |at: usize, what| -> Result<(usize, usize), BtfError> {
            let start = header.saturating_add(field(at)? as usize);
            let end = start.saturating_add(field(at + 4)? as usize);
            if end > bytes.len() {
                return Err(malformed(what, at));
            }
            Ok((start, end))
        };
        let types = part(8, "the types end beyond the end")?;
        let strings = part(16, "the names end beyond the end")?;
        Ok(Self {
            bytes,
            types,
            strings,
        })
    }

    /// Every type of a kind whose name is wanted, in the order of ids.
    ///
    /// # Errors
    /// Where a type is cut short or of a kind whose size is not known.
    pub fn find<'a>(
        &'a self,
        kind: BtfKind,
        wanted: &[&str],
    ) -> Result<Vec<BtfType<'a>>, BtfError> {
        let mut found = Vec::new();
        self.each(|kind_number, entry| {
            if kind_number == kind.number() {
                let name = self.name(entry.name_offset);
                if wanted.contains(&name) {
                    found.push(entry.with_name(name));
                }
            }
        })?;
        Ok(found)
    }

    /// How many parameters the prototype with this id has.
    ///
    /// # Errors
    /// As of [`Self::find`].
    pub fn parameters(&self, prototype: u32) -> Result<Option<u32>, BtfError> {
        let mut parameters = None;
        self.each(|kind_number, entry| {
            if entry.id == prototype && kind_number == BtfKind::FuncProto.number() {
                parameters = Some(entry.members);
            }
        })?;
        Ok(parameters)
    }

    /// All types at once, for many look-ups of members.
    ///
    /// # Errors
    /// As of [`Self::find`].
    pub fn members(&self) -> Result<Members<'_>, BtfError> {
        let mut types = Vec::new();
        self.each(|kind_number, entry| types.push((kind_number, entry)))?;
        Ok(Members::of(self, types))
    }

    /// Calls `visit` with the kind of each type and the type.
    fn each(&self, mut visit: impl FnMut(u32, Entry)) -> Result<(), BtfError> {
        let (mut offset, end) = self.types;
        let mut id = 0;
        while offset < end {
            let field = |at: usize| {
                word(&self.bytes, at)
                    .filter(|_| at + 4 <= end)
                    .ok_or(BtfError::Malformed {
                        what: "a type is cut short",
                        offset: at,
                    })
            };
            let name_offset = field(offset)?;
            let info = field(offset + 4)?;
            let refers_to = field(offset + 8)?;
            let kind = (info >> 24) & 0x1f;
            let members = info & 0xffff;
            let extra = extra_bytes(kind, members as usize).ok_or(BtfError::Malformed {
                what: "a type of an unknown kind",
                offset,
            })?;
            id += 1;
            visit(
                kind,
                Entry {
                    id,
                    name_offset,
                    refers_to,
                    members,
                    extra: offset + TYPE_BYTES,
                },
            );
            offset += TYPE_BYTES + extra;
        }
        Ok(())
    }

    /// The name at an offset; empty where there is none.
    fn name(&self, offset: u32) -> &str {
        let (start, end) = self.strings;
        let bytes = self
            .bytes
            .get(start.saturating_add(offset as usize)..end)
            .unwrap_or_default();
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(&bytes[..length]).unwrap_or_default()
    }
}

/// A type whose name has not been looked at.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    name_offset: u32,
    refers_to: u32,
    members: u32,
    /// Where what follows the type begins.
    extra: usize,
}

impl Entry {
    const fn with_name(self, name: &str) -> BtfType<'_> {
        BtfType {
            id: self.id,
            name,
            refers_to: self.refers_to,
            members: self.members,
        }
    }
}

/// The native-endian word at an offset.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// What follows `struct btf_type`, by kind (include/uapi/linux/btf.h, 6.12; ENUM64 since 6.0).
const fn extra_bytes(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        2 | 7..=12 | 16 | 18 => 0,
        // INT, VAR, DECL_TAG
        1 | 14 | 17 => 4,
        // ARRAY
        3 => 12,
        // ENUM, FUNC_PROTO
        6 | 13 => 8 * members,
        // STRUCT, UNION, DATASEC, ENUM64
        4 | 5 | 15 | 19 => 12 * members,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BTF with an int, a prototype of three parameters, a function of it, a struct and a typedef.
    fn sample() -> Vec<u8> {
        let names = b"\0int\0detach_pid\0release_task_post\0btf_trace_contention_begin\0";
        let mut types: Vec<u32> = Vec::new();
        types.extend([1, 1 << 24, 4, 32]);
        types.extend([0, (13 << 24) | 3, 1, 0, 1, 0, 1, 0, 1]);
        types.extend([5, 12 << 24, 2]);
        types.extend([16, (4 << 24) | 1, 4, 1, 1, 64]);
        types.extend([34, 8 << 24, 1]);
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        let type_bytes = (types.len() * 4) as u32;
        for field in [24, 0, type_bytes, type_bytes, names.len() as u32] {
            bytes.extend(field.to_ne_bytes());
        }
        for field in types {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(names);
        bytes
    }

    #[test]
    fn types_are_found_by_kind_and_name() {
        let btf = Btf::parse(sample()).unwrap();
        let functions = btf
            .find(BtfKind::Func, &["detach_pid", "free_pids"])
            .unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!((functions[0].name, functions[0].id), ("detach_pid", 3));
        assert_eq!(btf.parameters(functions[0].refers_to).unwrap(), Some(3));
        let is = |kind, name| !btf.find(kind, &[name]).unwrap().is_empty();
        assert!(is(BtfKind::Struct, "release_task_post"));
        assert!(is(BtfKind::Typedef, "btf_trace_contention_begin"));
        assert!(!is(BtfKind::Func, "release_task_post"));
        assert_eq!(btf.parameters(1).unwrap(), None);
        let members = btf.members().unwrap();
        let offset = |member| members.offset("release_task_post", &[member]);
        assert_eq!((offset("int"), offset("detach_pid")), (Some(8), None));
        assert_eq!(members.offset("detach_pid", &["int"]), None);
    }

    #[test]
    fn truncated_bytes_are_an_error_and_no_panic() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Btf::parse(whole[..length].to_vec()).is_err(), "{length}");
        }
    }

    #[test]
    fn altered_bytes_never_panic() {
        let whole = sample();
        for position in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[position] = value;
                if let Ok(btf) = Btf::parse(bytes) {
                    let _found = btf.find(BtfKind::Func, &["detach_pid"]);
                }
            }
        }
    }

    #[test]
    fn an_unknown_kind_says_where() {
        let mut bytes = sample();
        bytes[24 + 4..24 + 8].copy_from_slice(&(31_u32 << 24).to_ne_bytes());
        let error = Btf::parse(bytes)
            .unwrap()
            .find(BtfKind::Func, &["x"])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel's BTF is malformed: a type of an unknown kind at byte 24"
        );
    }
}
