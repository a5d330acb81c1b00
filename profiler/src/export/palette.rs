//! One colour for each site, in every picture: Okabe and Ito's, which people with any colour vision
//! tell apart. Rare sites share a colour with another, and are dashed.

use lockprof_abi::Site;
use plotters::style::RGBColor;

const BLACK: RGBColor = RGBColor(0, 0, 0);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const SKY_BLUE: RGBColor = RGBColor(86, 180, 233);
const BLUISH_GREEN: RGBColor = RGBColor(0, 158, 115);
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const REDDISH_PURPLE: RGBColor = RGBColor(204, 121, 167);
const GREY: RGBColor = RGBColor(120, 120, 120);

/// How a site is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SiteStyle {
    /// Its colour.
    pub color: RGBColor,
    /// Whether its line is dashed.
    pub dashed: bool,
}

/// How a site is drawn, everywhere.
#[must_use]
pub const fn style_of(site: Site) -> SiteStyle {
    let (color, dashed) = match site {
        Site::Reap => (VERMILION, false),
        Site::Fork => (BLUE, false),
        Site::Exit => (BLUISH_GREEN, false),
        Site::Exec => (ORANGE, false),
        Site::Setsid => (REDDISH_PURPLE, false),
        Site::Setpgid => (SKY_BLUE, false),
        Site::Ptrace => (BLACK, false),
        Site::Other => (GREY, false),
        Site::Unknown => (GREY, true),
        Site::Keyctl => (BLACK, true),
        Site::ReadDoWait => (BLUE, true),
        Site::ReadKill => (REDDISH_PURPLE, true),
        Site::ReadProc => (BLUISH_GREEN, true),
        Site::ReadOther => (ORANGE, true),
    };
    SiteStyle { color, dashed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sites_look_alike() {
        for (index, &site) in Site::ALL.iter().enumerate() {
            for &other in &Site::ALL[index + 1..] {
                assert_ne!(style_of(site), style_of(other), "{site:?} and {other:?}");
            }
        }
    }
}
