//! Debian's kernel packages: their names, and the order of their versions.

use std::cmp::Ordering;

/// A package that an archive offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// Its name, such as linux-image-6.1.0-56-cloud-amd64.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The lines of `apt-cache madison`.
pub(super) fn parse_madison(text: &str) -> Vec<Package> {
    let mut packages = Vec::new();
    for line in text.lines() {
        let mut columns = line.split('|').map(str::trim);
        if let (Some(name), Some(version), Some(source)) =
            (columns.next(), columns.next(), columns.next())
            && !source.ends_with("Sources")
        {
            packages.push(Package {
                name: name.to_owned(),
                version: version.to_owned(),
            });
        }
    }
    packages
}

/// How a package's name says that it holds a kernel image, the best first: up to 7.1 linux-image
/// holds it, later linux-binary, and linux-image only depends on that.
const FORMS: [(&str, &str); 4] = [
    ("linux-binary-", "-cloud-amd64"),
    ("linux-binary-unsigned-", "-cloud-amd64"),
    ("linux-image-", "-cloud-amd64"),
    ("linux-image-", "-cloud-amd64-unsigned"),
];

/// The search for packages with a kernel image, as a regular expression over their names.
pub(super) const SEARCH: &str =
    "^linux-(image|binary|binary-unsigned)-[0-9].*-cloud-amd64(-unsigned)?$";

/// The kernel release in a package's name, and which form the name has.
fn release(name: &str) -> Option<(&str, usize)> {
    FORMS
        .iter()
        .enumerate()
        .find_map(|(form, (prefix, suffix))| {
            let release = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            release
                .starts_with(|c: char| c.is_ascii_digit())
                .then_some((release, form))
        })
}

/// Whether the name is that of a cloud kernel of this series. Meta packages have no version
/// behind the series, and hold no kernel.
fn is_kernel_of(name: &str, series: &str) -> bool {
    let release =
        release(name).and_then(|(release, _)| release.strip_prefix(series)?.strip_prefix('.'));
    release.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The newest kernel of a series; of two with one version the better form, signed if possible.
pub(super) fn newest<'a>(packages: &'a [Package], series: &str) -> Option<&'a Package> {
    let form = |package: &Package| release(&package.name).map_or(FORMS.len(), |(_, form)| form);
    packages
        .iter()
        .filter(|package| is_kernel_of(&package.name, series))
        .max_by(|a, b| compare(&a.version, &b.version).then_with(|| form(b).cmp(&form(a))))
}

/// The package beside a kernel's that holds its configuration, where there is one.
pub(super) fn companion(package: &Package) -> Option<String> {
    let (release, form) = release(&package.name)?;
    (form < 2).then(|| format!("linux-base-{release}-cloud-amd64"))
}

/// Compares versions as dpkg does (deb-version(7)).
pub fn compare(a: &str, b: &str) -> Ordering {
    let split = |version: &str| {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.to_owned(), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (split(a), split(b));
    compare_part(&a.0, &b.0)
        .then_with(|| compare_part(&a.1, &b.1))
        .then_with(|| compare_part(&a.2, &b.2))
}

/// Compares by turns what is not a digit, character by character, and what is, as numbers.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    // A tilde sorts before the end, letters before everything else.
    let rank = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i32,
        Some(c) => c as i32 + 256,
    };
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (a.chars().next(), b.chars().next());
            let text = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_digit());
            if !text(x) && !text(y) {
                break;
            }
            match rank(x).cmp(&rank(y)) {
                Ordering::Equal => {}
                other => return other,
            }
            a = &a[x.map_or(0, char::len_utf8)..];
            b = &b[y.map_or(0, char::len_utf8)..];
        }
        let ((x, rest_a), (y, rest_b)) = (a.split_at(digits(a)), b.split_at(digits(b)));
        let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => {}
            other => return other,
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        let sorted = [
            "6.1.9-1",
            "6.1.76-1",
            "6.1.192-1",
            "6.1.192-2",
            "6.12.9-1~bpo12+1",
            "6.12.9-1",
            "6.12.117-1~bpo12+1",
            "6.12.117-1",
            "6.12.117-1+b1",
            "6.12.117-10",
            "7.2~rc1-1",
            "7.2-1",
            "7.2.13-1",
            "1:1.0-1",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn only_cloud_kernels_of_the_series_count() {
        for (name, series, is) in [
            ("linux-image-6.1.0-56-cloud-amd64", "6.1", true),
            ("linux-image-6.12.117+deb12-cloud-amd64", "6.12", true),
            (
                "linux-image-6.12.117+deb12-cloud-amd64-unsigned",
                "6.12",
                true,
            ),
            ("linux-image-6.12.117+deb12-cloud-amd64", "6.1", false),
            ("linux-image-6.12-cloud-amd64", "6.12", false),
            ("linux-image-cloud-amd64", "6.12", false),
            ("linux-image-6.12.117+deb12-cloud-amd64-dbg", "6.12", false),
            ("linux-image-6.12.117+deb12-amd64", "6.12", false),
            ("linux-image-6.12.117+deb12-rt-amd64", "6.12", false),
            ("linux-image-6.12.117+deb12-cloud-arm64", "6.12", false),
            ("linux-binary-7.2.13+deb14-cloud-amd64", "7.2", true),
            (
                "linux-binary-unsigned-7.2.13+deb14-cloud-amd64",
                "7.2",
                true,
            ),
            ("linux-modules-7.2.13+deb14-cloud-amd64", "7.2", false),
        ] {
            assert_eq!(is_kernel_of(name, series), is, "{name} {series}");
        }
    }

    #[test]
    fn the_newest_is_chosen_by_version_and_signed_if_possible() {
        let madison = "\
            linux-image-6.12-cloud-amd64 | 6.12.999-1 | http://mirror.example bookworm/main amd64 Packages\n\
            linux-image-6.12.95+deb12-cloud-amd64 | 6.12.95-1~bpo12+1 | http://mirror.example a/main amd64 Packages\n\
            linux-image-6.12.117+deb12-cloud-amd64-unsigned | 6.12.117-1~deb12u1 | http://mirror.example b/main amd64 Packages\n\
            linux-image-6.12.117+deb12-cloud-amd64 | 6.12.117-1~deb12u1 | http://mirror.example b/main amd64 Packages\n\
            linux-image-6.12.107+deb13-cloud-amd64 | 6.12.107-1 | http://mirror.example c/main amd64 Packages\n";
        let packages = parse_madison(madison);
        assert_eq!(packages.len(), 5);
        let name = newest(&packages, "6.12").map(|package| package.name.as_str());
        assert_eq!(name, Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(&packages, "7.2"), None);
    }

    #[test]
    fn since_7_2_the_image_is_in_a_package_of_its_own() {
        let packages =
            ["linux-image-", "linux-binary-unsigned-", "linux-binary-"].map(|prefix| Package {
                name: format!("{prefix}7.2.13+deb14-cloud-amd64"),
                version: "7.2.13-1".to_owned(),
            });
        let chosen = newest(&packages, "7.2").unwrap();
        assert_eq!(chosen.name, "linux-binary-7.2.13+deb14-cloud-amd64");
        assert_eq!(
            companion(chosen).as_deref(),
            Some("linux-base-7.2.13+deb14-cloud-amd64")
        );
        assert_eq!(companion(&packages[0]), None);
    }
}
