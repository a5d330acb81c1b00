//! The two names of a suite, and which of them to ask for.
//!
//! A mirror has each of Debian's suites twice, by an alias that moves on with every release
//! (`stable-backports`) and by the codename of one (`trixie-backports`). Where it copies them at different
//! times one of them may be weeks behind the other.

/// What a suite's Release file says, under one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The name that was asked for.
    pub asked: String,
    /// The codename.
    pub codename: String,
    /// When it was made.
    made: Moment,
}

/// Year, month, day, and the time of that day (UTC, as HH:MM:SS): in this order, so that later ones are larger.
type Moment = (u16, usize, u8, String);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads the text of a Release or `InRelease` file.
pub fn parse(asked: &str, text: &str) -> Option<Release> {
    let field = |name: &str| {
        let line = |line: &str| {
            Some(
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .to_owned(),
            )
        };
        text.lines().find_map(line)
    };
    Some(Release {
        asked: asked.to_owned(),
        codename: field("Codename")?,
        made: moment(&field("Date")?)?,
    })
}

/// `Wed, 25 Nov 2026 02:10:59 UTC`: the zone is always UTC (Debian's `RepositoryFormat`).
fn moment(date: &str) -> Option<Moment> {
    let (_, date) = date.split_once(',')?;
    let mut words = date.split_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = words.next()?.parse().ok()?;
    Some((year, month, day, words.next()?.to_owned()))
}

/// The codenames of the suites with these aliases.
pub fn codenames(releases: &[Release]) -> Vec<String> {
    let mut names: Vec<String> = releases
        .iter()
        .map(|release| release.codename.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Of each alias the name under which the mirror has the suite as it was later: the alias, unless the other one
/// is known to be fresher.
pub fn freshest(aliases: &[&str], releases: &[Release]) -> Vec<String> {
    let called = |name: &str| releases.iter().find(|release| release.asked == name);
    aliases
        .iter()
        .map(|&alias| {
            let fresher = called(alias).and_then(|by_alias| {
                let by_codename = called(&by_alias.codename)?;
                (by_codename.made > by_alias.made).then_some(by_codename)
            });
            fresher.map_or(alias, |fresher| &fresher.asked).to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(asked: &str, codename: &str, date: &str) -> Release {
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nSuite: x\n\
             Codename: {codename}\nDate: {date}\nMD5Sum:\n abc 1 main/Date: x\n"
        );
        parse(asked, &text).unwrap()
    }

    #[test]
    fn the_fresher_name_of_a_suite_is_taken() {
        let releases = [
            release(
                "stable-backports",
                "trixie-backports",
                "Fri, 30 Oct 2026 08:08:01 UTC",
            ),
            release(
                "trixie-backports",
                "trixie-backports",
                "Wed, 25 Nov 2026 02:10:59 UTC",
            ),
            // The other way round: the alias is the fresher one.
            release("stable", "trixie", "Sat, 21 Nov 2026 09:15:44 UTC"),
            release("trixie", "trixie", "Sat, 12 Sep 2026 07:55:41 UTC"),
            // As usual.
            release("unstable", "sid", "Sat, 21 Nov 2026 09:15:44 UTC"),
            release("sid", "sid", "Sat, 21 Nov 2026 09:15:44 UTC"),
            // The codename is not there.
            release("testing", "forky", "Sat, 21 Nov 2026 09:15:44 UTC"),
        ];
        let aliases = ["stable-backports", "stable", "unstable", "testing", "none"];
        assert_eq!(
            freshest(&aliases, &releases),
            ["trixie-backports", "stable", "unstable", "testing", "none"]
        );
        assert_eq!(
            codenames(&releases),
            ["forky", "sid", "trixie", "trixie-backports"]
        );
    }

    #[test]
    fn dates_are_in_order() {
        let sorted = [
            "Thu, 31 Dec 2025 23:59:59 UTC",
            "Thu, 1 Jan 2026 08:00:00 UTC",
            "Sat, 31 Oct 2026 08:08:01 UTC",
            "Wed, 04 Nov 2026 02:10:58 UTC",
            "Wed, 04 Nov 2026 02:10:59 UTC",
            "Wed, 14 Nov 2026 00:00:00 UTC",
        ];
        assert!(sorted.map(|date| moment(date).unwrap()).is_sorted());
        for bad in ["", "2026-11-25", "Wed, 25 Nov", "Wed, 25 Foo 2026 02:10:59"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }
}
