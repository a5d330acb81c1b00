//! Every colour of every picture, for light and for dark pages. One for each site: Okabe and Ito's,
//! which people with any colour vision tell apart. Rare sites share a colour with another, and are
//! dashed.

use std::fmt::Write as _;

use plotters::style::RGBColor;

use crate::site::Site;

/// Text.
pub(super) const BLACK: RGBColor = RGBColor(26, 26, 26);
/// Text of less weight, and axes.
pub(super) const QUIET: RGBColor = RGBColor(95, 95, 95);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(222, 222, 222);
/// The page.
pub(super) const WHITE: RGBColor = RGBColor(255, 255, 255);
/// Lines of numbers that belong to no site.
pub(super) const ACCENT: RGBColor = RGBColor(33, 113, 181);

/// Steps of a scale of colours: few, so that neighbours that are alike become one rectangle.
pub(super) const LEVELS: usize = 16;
/// From nothing to the most: one hue, so that the order can be seen with any colour vision.
const HEAT: [RGBColor; 4] = [
    RGBColor(240, 244, 249),
    RGBColor(146, 197, 222),
    RGBColor(33, 113, 180),
    RGBColor(5, 30, 75),
];
/// The same on a dark page: what stands out there is light.
const HEAT_IN_THE_DARK: [RGBColor; 4] = [
    RGBColor(33, 38, 45),
    RGBColor(28, 78, 122),
    RGBColor(66, 150, 210),
    RGBColor(220, 238, 252),
];

const INK: RGBColor = RGBColor(0, 0, 0);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const SKY_BLUE: RGBColor = RGBColor(86, 180, 233);
const BLUISH_GREEN: RGBColor = RGBColor(0, 158, 115);
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const REDDISH_PURPLE: RGBColor = RGBColor(204, 121, 167);
/// What is no single thing, but the rest.
pub(super) const GREY: RGBColor = RGBColor(120, 120, 120);

/// The kernels of a comparison, in their order.
pub(super) const KERNELS: [RGBColor; 6] = [
    BLUE,
    VERMILION,
    BLUISH_GREEN,
    REDDISH_PURPLE,
    ORANGE,
    SKY_BLUE,
];

/// How a site is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SiteStyle {
    /// Its colour.
    pub color: RGBColor,
    /// Whether its line is dashed.
    pub dashed: bool,
}

/// How callers are drawn that no list has, in the order in which they were met: from then on anew.
const LEARNED: [(RGBColor, bool); 14] = [
    (VERMILION, false),
    (BLUE, false),
    (BLUISH_GREEN, false),
    (ORANGE, false),
    (REDDISH_PURPLE, false),
    (SKY_BLUE, false),
    (INK, false),
    (VERMILION, true),
    (BLUE, true),
    (BLUISH_GREEN, true),
    (ORANGE, true),
    (REDDISH_PURPLE, true),
    (SKY_BLUE, true),
    (INK, true),
];

/// How a site is drawn, everywhere.
#[must_use]
pub fn style_of(site: Site) -> SiteStyle {
    let (color, dashed) = match site {
        Site::REAP => (VERMILION, false),
        Site::FORK => (BLUE, false),
        Site::EXIT => (BLUISH_GREEN, false),
        Site::EXEC => (ORANGE, false),
        Site::SETSID => (REDDISH_PURPLE, false),
        Site::SETPGID => (SKY_BLUE, false),
        Site::PTRACE => (INK, false),
        Site::OTHER => (GREY, false),
        Site::UNKNOWN => (GREY, true),
        Site::KEYCTL => (INK, true),
        Site::READ_DO_WAIT => (BLUE, true),
        Site::READ_KILL => (REDDISH_PURPLE, true),
        Site::READ_PROC => (BLUISH_GREEN, true),
        Site::READ_OTHER => (ORANGE, true),
        _ => LEARNED[site.place().unwrap_or(0) % LEARNED.len()],
    };
    SiteStyle { color, dashed }
}

/// The colour of a level of [`LEVELS`]: 0 is nothing.
pub(super) fn heat(level: usize) -> RGBColor {
    along(&HEAT, level)
}

fn along(colors: &[RGBColor; 4], level: usize) -> RGBColor {
    let place = level.min(LEVELS) as f64 / LEVELS as f64 * (colors.len() - 1) as f64;
    let index = (place as usize).min(colors.len() - 2);
    let part = place - index as f64;
    let (low, high) = (colors[index], colors[index + 1]);
    let mix = |low: u8, high: u8| {
        (f64::from(low) + (f64::from(high) - f64::from(low)) * part).round() as u8
    };
    RGBColor(mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

/// Each colour of the pictures, and what takes its place on a dark page.
const IN_THE_DARK: &[(RGBColor, RGBColor)] = &[
    (BLACK, RGBColor(232, 232, 232)),
    (QUIET, RGBColor(165, 171, 178)),
    (GRID, RGBColor(52, 57, 64)),
    (WHITE, RGBColor(22, 24, 28)),
    (ACCENT, RGBColor(96, 175, 235)),
    (INK, RGBColor(250, 250, 250)),
    (ORANGE, RGBColor(245, 185, 61)),
    (SKY_BLUE, RGBColor(143, 208, 245)),
    (BLUISH_GREEN, RGBColor(44, 194, 149)),
    (BLUE, RGBColor(79, 168, 224)),
    (VERMILION, RGBColor(240, 128, 60)),
    (REDDISH_PURPLE, RGBColor(224, 160, 197)),
    (GREY, RGBColor(150, 150, 150)),
];

/// Rules that put the colours of a dark page in the place of those that the pictures have as
/// attributes, which any rule overrides: one picture does for both.
pub(in super::super) fn dark_rules() -> String {
    let levels = (0..=LEVELS).map(|level| (heat(level), along(&HEAT_IN_THE_DARK, level)));
    let mut rules = String::new();
    for (light, dark) in IN_THE_DARK.iter().copied().chain(levels) {
        let (light, dark) = (hex(light), hex(dark));
        // Writing to a string does not fail.
        let _ = writeln!(
            rules,
            "svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}"
        );
    }
    rules
}

/// As plotters writes it.
pub(in super::super) fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_locks;

    fn known_sites() -> Vec<Site> {
        let everyday = known_locks::all().flat_map(|known| known.sites);
        let everyday = everyday.map(|known| known.site);
        everyday.chain(Site::GENERAL).collect()
    }

    #[test]
    fn no_two_sites_look_alike() {
        let sites = known_sites();
        for (index, &site) in sites.iter().enumerate() {
            for &other in &sites[index + 1..] {
                assert_ne!(style_of(site), style_of(other), "{site:?} and {other:?}");
            }
        }
        for (index, style) in LEARNED.iter().enumerate() {
            assert!(!LEARNED[index + 1..].contains(style), "{style:?}");
        }
    }

    #[test]
    fn each_colour_has_one_place_in_the_dark() {
        let levels: Vec<RGBColor> = (0..=LEVELS).map(heat).collect();
        let all: Vec<RGBColor> = IN_THE_DARK.iter().map(|(light, _)| *light).collect();
        for (index, color) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(color), "{color:?}");
            assert!(!levels.contains(color), "{color:?}");
        }
        let colors = known_sites().into_iter().map(|site| style_of(site).color);
        for color in colors.chain(LEARNED.map(|(color, _)| color)) {
            assert!(all.contains(&color), "{color:?}");
        }
    }
}
