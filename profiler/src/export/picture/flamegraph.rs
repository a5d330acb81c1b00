//! Who waits for which lock: call stacks of waiters, all contended locks of the machine, by waited
//! time. The locks are the leaves.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use inferno::flamegraph::{
    self, Options,
    color::{BackgroundColor, BasicPalette, Color, Palette},
};

use super::{Picture, Setting};
use crate::{
    profile::{LockKind, Profile, from_caller, symbol_of, wait_paths},
    text::printable,
};

/// Narrower than the page's text, in pixels: the graph is not scaled.
pub(in super::super) const FLAME_WIDTH: usize = 1040;
/// Frames with less of all waiting, in per cent, are left out: they would be narrower than a line.
const LEAST_PERCENT: f64 = 0.05;

/// The width of a letter by its height, with which the length of labels is chosen. It is 0.6 in the
/// fonts that systems have; the rest is for the space before a label, which inferno forgets.
const LETTER: f64 = 0.7;
/// Under the frames of a picture that nothing can be asked of, in pixels; there would be room for what
/// the frame under the pointer is.
const MARGIN: f64 = 10.0;

/// Why there is nothing to draw, if there is nothing.
pub(super) fn absence(profile: &Profile) -> Option<String> {
    let none = !profile.waits_known() || folded_lines(profile).is_empty();
    none.then(|| profile.no_waits_for("any lock"))
}

/// The flame graph.
pub(super) fn draw(profile: &Profile, setting: Setting) -> Result<String> {
    let lines = folded_lines(profile);
    let mut options = Options::default();
    options.title = match setting {
        // The page has a heading of its own.
        Setting::OnPage => String::new(),
        Setting::Alone | Setting::Still => format!(
            "{} on Linux {}",
            Picture::Flamegraph.title(),
            printable(&profile.header.kernel.release)
        ),
    };
    options.count_name = profile.unit().name().to_owned();
    options.name_type = "Function or lock:".to_owned();
    // The colours mean nothing: one family, told apart by name.
    options.colors = Palette::Basic(BasicPalette::Aqua);
    options.hash = true;
    options.bgcolors = Some(BackgroundColor::Flat(Color::from((255, 255, 255))));
    options.uicolor = Color::from((95, 95, 95));
    options.font_type = "monospace".to_owned();
    options.font_width = LETTER;
    options.min_width = LEAST_PERCENT;
    options.no_javascript = setting == Setting::Still;
    // Of one width: a graph that follows the window's complains before it has one.
    options.image_width = Some(FLAME_WIDTH);
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(|error| anyhow!("cannot draw the flame graph: {error}"))?;
    let svg =
        String::from_utf8(svg).map_err(|error| anyhow!("cannot draw the flame graph: {error}"))?;
    let svg = with_named_root(&svg);
    Ok(match setting {
        Setting::Still => without_space_beneath(without_search(svg)),
        Setting::Alone | Setting::OnPage => svg,
    })
}

/// With a label in the frame on which all others stand: the first word of its title.
fn with_named_root(svg: &str) -> String {
    let named = svg.split_once("<title>all (").and_then(|(before, root)| {
        let (start, rest) = root.split_once("\"></text>")?;
        Some(format!("{before}<title>all ({start}\">all</text>{rest}"))
    });
    named.unwrap_or_else(|| svg.to_owned())
}

/// Without the lowest lines, where a page tells what the frame under the pointer is.
fn without_space_beneath(svg: String) -> String {
    let height = number_after(&svg, " height=\"");
    let root = svg.split_once("<title>all (").map(|(_, root)| root);
    let end = root.and_then(|root| {
        Some(number_after(root, " y=\"")? + number_after(root, " height=\"")? + MARGIN)
    });
    match height.zip(end) {
        Some((height, end)) if end < height => svg
            .replacen(
                &format!(" height=\"{height}\""),
                &format!(" height=\"{end}\""),
                1,
            )
            .replacen(
                &format!("viewBox=\"0 0 {FLAME_WIDTH} {height}\""),
                &format!("viewBox=\"0 0 {FLAME_WIDTH} {end}\""),
                1,
            ),
        _ => svg,
    }
}

/// The number that stands after the first of these attributes.
fn number_after(svg: &str, attribute: &str) -> Option<f64> {
    let (_, rest) = svg.split_once(attribute)?;
    rest.split_once('"')?.0.parse().ok()
}

/// Without the word to click for a search, which stays where there is no script.
fn without_search(svg: String) -> String {
    let text = svg
        .split_once("<text id=\"search\"")
        .and_then(|(before, rest)| {
            let (_, after) = rest.split_once("</text>")?;
            Some(format!("{before}{after}"))
        });
    text.unwrap_or(svg)
}

/// Waits as folded stacks: functions from the outermost to the one that asked for the lock, then the
/// lock, then the waited time. Where the stacks of a caller were sampled, they have its time by their
/// number; where none was, it stands alone. Waits for the target lock of which nobody looked for the
/// caller (in the exact tier the site is known) are under their site's function.
pub(in super::super) fn folded_lines(profile: &Profile) -> Vec<String> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |stack: String, ns: u64| {
        if ns > 0 {
            let sum = sums.entry(stack).or_default();
            *sum = sum.saturating_add(ns);
        }
    };
    let mut target_has_callers = false;
    for path in wait_paths(&profile.waits_by_path, &profile.stacks) {
        let wait = path.of;
        let kind = LockKind::of(wait.flags);
        // Addresses are without end where all locks are told: of those of one class there is one leaf.
        let class = profile
            .locks
            .as_ref()
            .and_then(|locks| locks.class_of(wait));
        let lock = match (class, &wait.name) {
            // Of one that is named by its kind already.
            (Some(class), _) if !wait.is_others && class.name.starts_with(kind.name()) => {
                frame(&class.name)
            }
            (Some(class), _) if !wait.is_others => {
                format!("{} ({})", frame(&class.name), kind.name())
            }
            (_, Some(name)) => format!("{} ({})", frame(name), kind.name()),
            _ if wait.is_others => format!("[others] ({})", kind.name()),
            _ => format!("{:#x} ({})", wait.address, kind.name()),
        };
        let told_by_site = profile.is_target(wait.address) && profile.is_told_by_site(kind);
        if told_by_site && path.frames.is_empty() && profile.holds_known() {
            continue;
        }
        target_has_callers |= told_by_site;
        let holder = wait.in_hold_of.map(|site| {
            let function = site.symbol().unwrap_or(site.name());
            vec![
                function.to_owned(),
                format!("[holding {}]", frame(&profile.header.lock.name)),
            ]
        });
        let functions = Some(functions(path.frames));
        let nobody = if path.frames.is_empty() {
            "[no call stack]"
        } else {
            "[no names]"
        };
        let functions = functions
            .filter(|functions| !functions.is_empty())
            .or(holder)
            .unwrap_or_else(|| vec![nobody.to_owned()]);
        add(format!("{};{lock}", functions.join(";")), path.waited_ns);
    }
    if !target_has_callers {
        let lock = frame(&profile.header.lock.name);
        for site in &profile.sites {
            let kind = profile.kind_of(site.site.is_writer());
            let function = site.site.symbol().unwrap_or(site.site.name());
            let stack = format!("{function};{lock} ({})", kind.name());
            add(stack, site.wait.as_ref().map_or(0, |wait| wait.total_ns));
        }
    }
    sums.into_iter()
        .map(|(stack, ns)| format!("{stack} {ns}"))
        .collect()
}

/// The functions of a stack, the outermost first, without the lock's and the tracer's own.
fn functions(frames: &[String]) -> Vec<String> {
    let frames = from_caller(frames).iter();
    let mut functions: Vec<String> = frames.map(|name| frame(symbol_of(name))).collect();
    functions.reverse();
    functions
}

/// A name that can be a frame: a semicolon would end it, and a space before digits begin a number.
fn frame(name: &str) -> String {
    printable(name).replace([';', ' '], "_")
}
