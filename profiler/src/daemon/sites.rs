//! Which site a slot of the programs' tables is: known before, or learned in this run and named here.

use std::collections::BTreeMap;

use lockprof_abi::{Caller, is_reader, site_slot};

use crate::{kernel::SiteNumbers, known_locks::base_of_function, profile::symbol_of, site::Site};

/// The sites of a run, by slot.
#[derive(Debug)]
pub struct SiteTable {
    numbers: SiteNumbers,
    learned: BTreeMap<usize, Site>,
}

impl SiteTable {
    /// With the sites that are known before.
    #[must_use]
    pub const fn new(numbers: SiteNumbers) -> Self {
        Self {
            numbers,
            learned: BTreeMap::new(),
        }
    }

    /// How many slots there are.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.numbers.slots()
    }

    /// Names the callers that have no name yet; `frame` is a return address as recordings have it. Those in one
    /// function are one site.
    pub fn learn(&mut self, callers: &[Caller], mut frame: impl FnMut(u64) -> String) {
        for caller in callers {
            let number = caller.site as u32;
            self.learned
                .entry(site_slot(number, self.numbers.slots()))
                .or_insert_with(|| {
                    let function = function_of(&frame(caller.address));
                    let nameless = if is_reader(number) {
                        Site::READ_OTHER
                    } else {
                        Site::UNKNOWN
                    };
                    function.map_or(nameless, |function| {
                        Site::of_function(&function, is_reader(number))
                    })
                });
        }
    }

    /// The site of a slot.
    #[must_use]
    pub fn site(&self, slot: usize) -> Site {
        let known = self.numbers.site(slot);
        let site = known.or_else(|| self.learned.get(&slot).copied());
        site.unwrap_or(Site::UNKNOWN)
    }

    /// The site that the programs know by this number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Site {
        self.site(site_slot(number, self.slots()))
    }
}

/// The function of a frame like `copy_process.cold+0x2a` or `work [module]+0x12`, as it stands in the source; `None` of
/// an address without a symbol.
fn function_of(frame: &str) -> Option<String> {
    let symbol = symbol_of(frame);
    if symbol.starts_with("0x") {
        return None;
    }
    let (function, module) = symbol.split_once(' ').unwrap_or((symbol, ""));
    let base = base_of_function(function);
    Some(format!("{base} {module}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use lockprof_abi::{FIRST_CALLER, READER};

    use super::*;
    use crate::known_locks;

    fn caller(address: u64, place: u32, flag: u32) -> Caller {
        Caller {
            address,
            site: u64::from((FIRST_CALLER + place) | flag),
        }
    }

    #[test]
    fn callers_in_one_function_are_one_site() {
        let frames = |address| match address {
            1 => "f_setown+0x12".to_owned(),
            2 => "f_setown.cold+0x4".to_owned(),
            3 => "send_sigio+0x30".to_owned(),
            4 => "work.isra.0 [module]+0x8".to_owned(),
            _ => "0xffffffffc0000000".to_owned(),
        };
        let mut table = SiteTable::new(SiteNumbers::of(None));
        table.learn(&[caller(1, 0, 0), caller(2, 1, 0)], frames);
        table.learn(&[caller(3, 2, READER), caller(4, 3, 0)], frames);
        table.learn(&[caller(5, 4, 0)], frames);
        let names: Vec<&str> = (0..9).map(|slot| table.site(slot).name()).collect();
        let expected = [
            "unknown",
            "other",
            "read:other",
            "f_setown",
            "f_setown",
            "read:send_sigio",
            "work [module]",
            // In no symbol; and in no slot.
            "unknown",
            "unknown",
        ];
        assert_eq!(names, expected);
        let reader = table.numbered((FIRST_CALLER + 2) | READER);
        assert!(!reader.is_writer());
    }

    #[test]
    fn a_name_is_asked_for_once() {
        let mut table = SiteTable::new(SiteNumbers::of(None));
        let mut asked = 0;
        for _ in 0..3 {
            table.learn(&[caller(1, 0, 0)], |_| {
                asked += 1;
                format!("name_{asked}")
            });
        }
        assert_eq!(table.site(FIRST_CALLER as usize).name(), "name_1");
    }

    #[test]
    fn everyday_names_are_there_before_anybody_asks() {
        let table = SiteTable::new(SiteNumbers::of(known_locks::find("tasklist_lock")));
        let names: Vec<&str> = (0..table.slots())
            .map(|slot| table.site(slot).name())
            .collect();
        assert_eq!(
            &names[..6],
            ["unknown", "other", "read:other", "reap", "exit", "fork"]
        );
    }
}
