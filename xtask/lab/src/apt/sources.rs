//! The package sources that the machine's own apt is set to, and private ones made from them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One `deb` entry, whichever format it was written in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Where the archive is.
    pub uris: Vec<String>,
    /// Its suites.
    pub suites: Vec<String>,
    /// Its components.
    pub components: Vec<String>,
    /// The keys that it is verified with, as the entry has them: a path, or the keys themselves.
    pub signed_by: Option<String>,
    /// Whether the administrator trusts it without a key.
    pub trusted: bool,
}

/// Parses the one-line format (`deb [options] uri suite component…`).
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let mut source = Source::default();
    if let Some(after) = rest.strip_prefix('[') {
        let (options, after) = after.split_once(']')?;
        for option in options.split_whitespace() {
            match option.split_once('=') {
                Some(("signed-by", value)) => source.signed_by = Some(value.to_owned()),
                Some(("trusted", value)) => source.trusted = value == "yes",
                _ => {}
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    source.uris = vec![words.next()?];
    source.suites = vec![words.next()?];
    source.components = words.collect();
    Some(source)
}

/// Parses the deb822 format (stanzas of `Field: value`).
pub fn parse_sources(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    };
    let words = |name| {
        let value: &str = field(name).unwrap_or_default();
        value
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let used = words("types").iter().any(|kind| kind == "deb") && field("enabled") != Some("no");
    used.then(|| Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").map(str::to_owned),
        trusted: field("trusted") == Some("yes"),
    })
}

/// Everything that the machine's apt is set to.
pub fn of_the_machine() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    if let Ok(text) = fs::read_to_string("/etc/apt/sources.list") {
        sources.extend(parse_list(&text));
    }
    let mut parts = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    parts.sort();
    for path in parts {
        let parse = match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => parse_list,
            Some("sources") => parse_sources,
            _ => continue,
        };
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.extend(parse(&text));
    }
    Ok(sources)
}

/// The distribution's codename, from /etc/os-release.
pub fn codename() -> Result<String> {
    let path = Path::new("/etc/os-release");
    let text = fs::read_to_string(path).context("cannot read /etc/os-release")?;
    let field = |name: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    match (field("ID").as_deref(), field("VERSION_CODENAME")) {
        (Some("debian"), Some(codename)) => Ok(codename),
        _ => bail!(
            "this is not a Debian, so there is no Debian mirror to fetch kernels from: give the \
             path of a bzImage instead of a debian: name"
        ),
    }
}

/// The entries that hold Debian's own suites for this codename (security and updates too),
/// restricted to what kernels come from.
pub fn own(sources: &[Source], codename: &str) -> Vec<Source> {
    let belongs = |suite: &&String| {
        suite
            .strip_prefix(codename)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '/']))
    };
    let mut own = Vec::new();
    for source in sources {
        let suites = source
            .suites
            .iter()
            .filter(belongs)
            .cloned()
            .collect::<Vec<_>>();
        if !suites.is_empty()
            && source
                .components
                .iter()
                .any(|component| component == "main")
        {
            own.push(Source {
                suites,
                components: vec!["main".to_owned()],
                ..source.clone()
            });
        }
    }
    own
}

/// The suites that kernels may come from, by their aliases, which stay right when a new release comes out.
pub const ALIASES: [&str; 6] = [
    "oldstable",
    "oldstable-backports",
    "stable",
    "stable-backports",
    "testing",
    "unstable",
];

/// The same mirror's other suites, by their aliases.
pub fn others(sources: &[Source], codename: &str) -> Result<Source> {
    let own = own(sources, codename);
    let Some(main) = own
        .iter()
        .find(|source| source.suites.iter().any(|suite| suite == codename))
    else {
        bail!(
            "apt has no entry for Debian {codename} main: kernels come from the mirror that it names"
        );
    };
    Ok(Source {
        suites: ALIASES.map(str::to_owned).to_vec(),
        ..main.clone()
    })
}

/// The entries in deb822 format, for amd64.
pub fn render(sources: &[Source]) -> String {
    let mut text = String::new();
    for source in sources {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nArchitectures: amd64\n",
            source.uris.join(" "),
            source.suites.join(" "),
            source.components.join(" ")
        );
        if let Some(keys) = &source.signed_by {
            let _ = writeln!(text, "Signed-By: {keys}");
        }
        if source.trusted {
            text.push_str("Trusted: yes\n");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "# comment\nTypes: deb deb-src\n# inside\nURIs: http://mirror.example/debian\nSuites: \
        bookworm bookworm-updates\nComponents: main contrib\nSigned-By: /k.gpg\n\n\nTypes: deb\nURIs: \
        http://mirror.example/debian-security/\nSuites: bookworm-security\nComponents: main\nSigned-By:\n \
        -----BEGIN\n .\n abc\n\nTypes: deb-src\nURIs: http://x.example/\nSuites: bookworm\nComponents: \
        main\n\nTypes: deb\nEnabled: no\nURIs: http://y.example/\nSuites: bookworm\nComponents: main\n\n\
        Types: deb\nURIs: http://other.example/apt\nSuites: stable\nComponents: main\n";

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_formats_are_understood() {
        let sources = parse_sources(DEB822);
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[0].suites, words("bookworm bookworm-updates"));
        assert_eq!(sources[0].signed_by.as_deref(), Some("/k.gpg"));
        assert_eq!(
            sources[1].signed_by.as_deref(),
            Some("\n -----BEGIN\n .\n abc")
        );
        let list = parse_list(
            "# deb http://no.example/ x main\n\
             deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://mirror.example/debian bookworm main contrib # why\n\
             deb-src http://mirror.example/debian bookworm main\n\
             deb\thttp://mirror.example/debian bookworm-updates main\n",
        );
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].uris, words("http://mirror.example/debian"));
        assert_eq!(
            (list[0].trusted, list[0].signed_by.as_deref()),
            (true, Some("/k.gpg"))
        );
        assert_eq!(list[1].components, words("main"));
    }

    #[test]
    fn private_sources_use_the_machines_mirror_and_keys() {
        let sources = parse_sources(DEB822);
        let own = own(&sources, "bookworm");
        assert_eq!(own.len(), 2);
        let text = render(&own);
        assert!(text.contains("URIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"));
        assert!(
            text.contains("Signed-By: \n -----BEGIN\n .\n abc\n"),
            "{text}"
        );
        assert_eq!(parse_sources(&text), own);
        let others = others(&sources, "bookworm").unwrap();
        assert_eq!(others.uris, words("http://mirror.example/debian"));
        assert_eq!(others.signed_by.as_deref(), Some("/k.gpg"));
        assert!(others.suites.contains(&"unstable".to_owned()));
    }

    #[test]
    fn a_machine_without_debians_archive_says_so() {
        let error = others(&parse_sources(DEB822), "trixie").unwrap_err();
        assert!(format!("{error}").contains("no entry for Debian trixie"));
    }
}
