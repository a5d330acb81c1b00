//! Pictures of pixels: the same pictures, drawn with the fonts that this machine has.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use resvg::{tiny_skia, usvg};

use super::{Picture, Setting};
use crate::{export::Exporter, profile::Profile};

/// Pixels to a unit of the picture: sharp on paper and on dense screens.
const SCALE: f32 = 2.0;

/// A picture as PNG.
#[derive(Clone, Copy, Debug)]
pub struct Png(pub Picture);

impl Exporter for Png {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        self.0.check(profile)?;
        let svg = self.0.svg(profile, Setting::Still)?;
        pixels(&svg).with_context(|| format!("cannot draw {} as PNG", self.0.name()))
    }
}

/// An SVG picture as PNG.
///
/// # Errors
///
/// There is no font, or the picture is too large.
pub fn pixels(svg: &str) -> Result<Vec<u8>> {
    rasterize(svg, fonts()?)
}

/// The fonts of this machine. A picture without its texts would be worse than none.
fn fonts() -> Result<usvg::fontdb::Database> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_system_fonts();
    let Some(first) = preferred(&fonts, false) else {
        bail!(
            "no font is installed, and a PNG needs one: install one (Debian: fonts-dejavu-core), \
             or take --format svg"
        );
    };
    let fixed = preferred(&fonts, true).unwrap_or_else(|| first.clone());
    // What the pictures ask for is generic; which font that is, the system would have to be asked.
    fonts.set_sans_serif_family(first);
    fonts.set_monospace_family(fixed);
    Ok(fonts)
}

/// A family that is plain and complete, else any.
fn preferred(fonts: &usvg::fontdb::Database, monospaced: bool) -> Option<String> {
    const PLAIN: &[&str] = &[
        "DejaVu Sans",
        "Liberation Sans",
        "Noto Sans",
        "Arial",
        "Helvetica",
    ];
    const FIXED: &[&str] = &[
        "DejaVu Sans Mono",
        "Liberation Mono",
        "Noto Sans Mono",
        "Courier New",
    ];
    let wanted = if monospaced { FIXED } else { PLAIN };
    let families = || {
        let faces = fonts.faces().filter(|face| !monospaced || face.monospaced);
        faces.filter_map(|face| face.families.first().map(|family| &family.0))
    };
    let known = wanted
        .iter()
        .find(|name| families().any(|family| family == *name));
    known
        .map(|&name| name.to_owned())
        .or_else(|| families().next().cloned())
}

fn rasterize(svg: &str, fonts: usvg::fontdb::Database) -> Result<Vec<u8>> {
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let size = size.context("it is too large")?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).context("it is too large")?;
    pixels.fill(tiny_skia::Color::WHITE);
    let transform = tiny_skia::Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, transform, &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}
