//! Symbols of the kernel's data where /proc/kallsyms has those of functions alone (a kernel without
//! CONFIG_KALLSYMS_ALL): from a System.map or a vmlinux of this very kernel, if the machine has one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, SectionKind, SymbolKind,
    SymbolSection,
};

use super::Kallsyms;
use crate::kernel::one_line::line_of;

/// Where distributions put the file of nm's output, with the release behind it.
const MAPS: &[&str] = &[
    "/boot/System.map-",
    "/usr/lib/debug/boot/System.map-",
    "/lib/modules/",
];
/// Where they put the kernel's image with its symbols.
const IMAGES: &[&str] = &[
    "/usr/lib/debug/boot/vmlinux-",
    "/boot/vmlinux-",
    "/usr/lib/debug/lib/modules/",
    "/lib/modules/",
];
/// A shorter map is a stub: Debian's packages of kernels have one that says where the real one is.
const LEAST_BYTES: u64 = 1 << 16;
/// Where the kernel's text begins (include/asm-generic/sections.h).
const START: &str = "_stext";
/// So many functions have to be where the file says before its data is believed.
const LEAST_MATCHES: usize = 1000;
/// Addresses of the kernel's image, which is moved as a whole when it boots (Documentation/arch/x86/x86_64/mm.rst).
/// Below are offsets of per-CPU variables, which are not moved.
const IMAGE_START: u64 = 0xffff_ffff_8000_0000;

/// Adds the kernel's data from the first file that fits; the file.
pub(super) fn complete(kallsyms: &mut Kallsyms) -> Option<PathBuf> {
    let release = line_of("/proc/sys/kernel/osrelease")?;
    candidates(&release).into_iter().find(|path| {
        let image = read(path);
        image.is_some_and(|image| kallsyms.take_objects(&image, LEAST_MATCHES))
    })
}

/// The files that there may be for a release.
fn candidates(release: &str) -> Vec<PathBuf> {
    let under = |folder: &&str, name: &str| {
        PathBuf::from(if folder.ends_with('/') {
            format!("{folder}{release}/{name}")
        } else {
            format!("{folder}{release}")
        })
    };
    let maps = MAPS.iter().map(|place| under(place, "System.map"));
    maps.chain(IMAGES.iter().map(|place| under(place, "vmlinux")))
        .collect()
}

/// A file's symbols; `None` where there is none that could be one of a kernel.
fn read(path: &Path) -> Option<Kallsyms> {
    let is_large = fs::metadata(path).ok()?.len() >= LEAST_BYTES;
    let file = File::open(path).ok().filter(|_| is_large)?;
    if path.to_string_lossy().contains("vmlinux") {
        return read_image(&ReadCache::new(file));
    }
    Kallsyms::parse(&fs::read_to_string(path).ok()?).ok()
}

fn read_image(cache: &ReadCache<File>) -> Option<Kallsyms> {
    let image = object::File::parse(cache).ok()?;
    let mut symbols = Kallsyms::default();
    for symbol in image.symbols() {
        let is_text = |index| {
            let section = image.section_by_index(index);
            section.is_ok_and(|section| section.kind() == SectionKind::Text)
        };
        let kind = match (symbol.kind(), symbol.section()) {
            (SymbolKind::Text, _) => b't',
            (SymbolKind::Data, _) => b'd',
            // Of its own files' constants assembly leaves the names.
            (_, SymbolSection::Absolute) if symbol.is_global() => b'd',
            // Assembly and the linker give what they name no type, such as _stext.
            (SymbolKind::Unknown, SymbolSection::Section(index)) if is_text(index) => b't',
            (SymbolKind::Unknown, SymbolSection::Section(_)) => b'd',
            _ => continue,
        };
        if let Ok(name) = symbol.name() {
            symbols.push(symbol.address(), kind, name, "")?;
        }
    }
    Some(symbols.finish())
}

impl Kallsyms {
    /// Takes the kernel's data from the symbols of an image, if that is of this kernel: every function of the image
    /// that has a name here, too, has to be as far away as all others are, and there have to be `least` of them.
    fn take_objects(&mut self, image: &Self, least: usize) -> bool {
        let Some(moved) = self.moved_from(image, least) else {
            return false;
        };
        let objects = image.symbols.iter().filter(|symbol| !symbol.is_text());
        for symbol in objects {
            let address = match symbol.address {
                address if address >= IMAGE_START => address.wrapping_add(moved),
                address => address,
            };
            let name = image.name(symbol);
            // The borders of the kernel's parts are in both.
            let is_there = self.own(name).next().is_some();
            if !is_there && self.push(address, symbol.kind, name, "").is_none() {
                break;
            }
        }
        *self = std::mem::take(self).finish();
        true
    }

    /// How far this kernel has been moved from where its image says that it is; `None` where that is another kernel's.
    fn moved_from(&self, image: &Self, least: usize) -> Option<u64> {
        let moved = self
            .address_of(START)?
            .wrapping_sub(image.address_of(START)?);
        let functions = image.symbols.iter().filter(|symbol| symbol.is_text());
        let mut matches = 0;
        for function in functions {
            let address = function.address.wrapping_add(moved);
            let mut here = self.own(image.name(function)).peekable();
            if here.peek().is_none() {
                continue;
            }
            if !here.any(|symbol| symbol.address == address) {
                return None;
            }
            matches += 1;
        }
        (matches >= least).then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn files_are_looked_for_by_the_release() {
        let all = candidates("6.18.4-a");
        let has = |path: &str| all.contains(&PathBuf::from(path));
        assert!(has("/boot/System.map-6.18.4-a"));
        assert!(has("/usr/lib/debug/lib/modules/6.18.4-a/vmlinux"));
    }

    #[test]
    fn an_image_has_functions_and_data() {
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        LOOKS.fetch_add(1, Ordering::Relaxed);
        let own = std::env::current_exe().unwrap();
        let image = read_image(&ReadCache::new(File::open(own).unwrap())).unwrap();
        assert!(image.has_function("main"));
        let mut objects = image.symbols.iter().filter(|symbol| !symbol.is_text());
        assert!(objects.any(|symbol| image.name(symbol).contains("LOOKS")));
    }

    /// A kernel of which functions alone are known, and that was moved by 0x200_0000.
    const RUNNING: &str = "\
ffffffff83000000 T _stext
ffffffff83000100 T release_task
ffffffff83000200 t read
ffffffff83000300 t read
ffffffff83009000 T _etext
ffffffffc0000000 t in_a_module\t[module]
ffffffffc0000100 t gone_at_boot\t[module]
";

    fn taken(map: &str, least: usize) -> Option<Kallsyms> {
        let mut running = Kallsyms::parse(RUNNING).unwrap();
        let map = Kallsyms::parse(map).unwrap();
        running.take_objects(&map, least).then_some(running)
    }

    #[test]
    fn data_is_moved_with_the_functions() {
        let map = "\
0000000000031c40 D runqueues
ffffffff81000000 T _stext
ffffffff81000100 T release_task
ffffffff81000300 t read
ffffffff81000400 t gone_at_boot
ffffffff81009000 T _etext
ffffffff81a00080 D tasklist_lock
ffffffff81a000c0 D after_it
";
        let symbols = taken(map, 4).unwrap();
        let lock = symbols.address_of_object("tasklist_lock");
        assert_eq!(lock, Some(0xffff_ffff_83a0_0080));
        assert_eq!(symbols.bytes_of_object("tasklist_lock"), Some(0x40));
        assert_eq!(
            symbols.resolve_per_cpu(0x31c48),
            Some(("runqueues", 8)),
            "per-CPU variables stay"
        );
        assert_eq!(
            symbols.resolve(0xffff_ffff_8300_0104),
            Some(("release_task", 4))
        );
        assert!(taken(map, 5).is_none(), "too few functions to be sure");
    }

    #[test]
    fn another_kernels_map_is_refused() {
        let map = "\
ffffffff81000000 T _stext
ffffffff81000140 T release_task
ffffffff81009000 T _etext
ffffffff81a00080 D tasklist_lock
";
        assert!(taken(map, 1).is_none());
        assert!(taken("ffffffffffffffff B The\n", 0).is_none());
    }
}
