//! The page as a browser sees it: every section is there and seen, nothing is wider than the window,
//! and nothing is said on the console.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use lockprof::{export::Format, profile::Profile, recording::schema::Tier};
use serde_json::Value;

use crate::{
    every_lock_pictures::{eighty, long_names},
    fixture::Synthetic,
};

const SECTIONS: &[&str] = &[
    "verdict", "lengths", "anatomy", "time", "blame", "locks", "longest", "measured",
];

/// Says what the browser made of the page, once it is loaded.
const PROBE: &str = r#"<script>
addEventListener("load", () => setTimeout(() => {
  const sections = {};
  for (const section of document.querySelectorAll("section")) {
    sections[section.id] = section.getBoundingClientRect().height;
  }
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify({
    sections,
    pictures: [...document.querySelectorAll(".picture svg")]
      .map(svg => svg.getBoundingClientRect().height),
    unnamed: [...document.querySelectorAll("[role=img]:not([aria-label]), iframe:not([title])")].length,
    broken_links: [...document.querySelectorAll("a[href^='#']")]
      .filter(link => !document.querySelector(link.getAttribute("href"))).length,
    scripts: document.querySelectorAll("script").length - 1,
    page: document.documentElement.scrollWidth,
    window: innerWidth,
    background: getComputedStyle(document.body).backgroundColor,
    outside: performance.getEntriesByType("resource").map(entry => entry.name),
    load_ms: performance.getEntriesByType("navigation")[0].loadEventStart,
  });
  document.body.append(seen);
}));
</script></body>"#;

fn browser() -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| {
        let program = ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .map(|name| folder.join(name))
            .find(|program| program.is_file());
        program.map(Into::into)
    })
}

/// One browser at a time: each has many threads.
static BROWSER: Mutex<()> = Mutex::new(());

/// What the browser saw of a page in a window of this size; fails on anything that it said.
fn open(browser: &OsString, page: &str, width: u32, dark: bool) -> Value {
    ask(browser, page, PROBE, (width, dark))
}

/// The same with a script that says what is asked for.
fn ask(browser: &OsString, page: &str, probe: &str, (width, dark): (u32, bool)) -> Value {
    let _alone = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let probed = page.replacen("</body>", probe, usize::MAX);
    // The flame graph's own document has a body too, but escaped.
    assert_eq!(probed.matches("id = \"seen\"").count(), 1);
    fs::write(&file, probed).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--window-size={width},900"))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let console: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "{console:#?}");
    let dom = String::from_utf8(output.stdout).unwrap();
    let seen = dom.rsplit_once("<pre id=\"seen\">").map(|(_, rest)| rest);
    let seen = seen.and_then(|rest| rest.split_once("</pre>"));
    let Some((seen, _)) = seen else {
        panic!("the browser did not load the page: {said}");
    };
    serde_json::from_str(seen).unwrap()
}

fn page(profile: &Profile) -> String {
    String::from_utf8(Format::Html.exporter().export(profile).unwrap()).unwrap()
}

#[test]
fn a_browser_shows_every_section_and_says_nothing() {
    let name = "a_browser_shows_every_section_and_says_nothing";
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    let exact = page(&Synthetic::default().profile());
    let wait_only = Synthetic {
        tier: Tier::WaitOnly,
        ..Synthetic::default()
    };
    let wait_only = page(&wait_only.profile());
    for (page, width, dark, drawn) in [
        (&exact, 1280, false, 4),
        (&exact, 500, true, 4),
        // Of holds there is nothing.
        (&wait_only, 500, false, 1),
    ] {
        let seen = open(&browser, page, width, dark);
        let of_holds = ["anatomy", "time", "blame", "longest"];
        for section in SECTIONS
            .iter()
            .filter(|section| drawn > 1 || !of_holds.contains(section))
        {
            let height = seen["sections"][section].as_f64();
            assert!(
                height.is_some_and(|height| height > 40.0),
                "{section}: {seen}"
            );
        }
        let pictures = seen["pictures"].as_array().unwrap();
        assert_eq!(pictures.len(), drawn, "{seen}");
        assert!(
            pictures.iter().all(|height| height.as_f64() > Some(40.0)),
            "{seen}"
        );
        assert_eq!(seen["unnamed"], 0);
        assert_eq!(seen["broken_links"], 0);
        assert_eq!(
            seen["scripts"], 0,
            "only the flame graph has one, in its own document"
        );
        assert!(seen["page"].as_u64() <= seen["window"].as_u64(), "{seen}");
        let background = if dark {
            "rgb(22, 24, 28)"
        } else {
            "rgb(255, 255, 255)"
        };
        assert_eq!(seen["background"], background);
        // A page that needs nothing but itself.
        let outside = seen["outside"].as_array().unwrap();
        assert!(
            outside
                .iter()
                .all(|name| name == "about:srcdoc" || name == ""),
            "{outside:?}"
        );
    }
}

/// All locks, with names that are too long for any column, and with so many processes that not each has a row.
#[test]
fn a_browser_shows_all_locks() {
    let name = "a_browser_shows_all_locks";
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    let eighty = page(&eighty().profile());
    let long = page(&long_names().profile());
    for (page, width, dark) in [
        (&eighty, 1280, false),
        (&eighty, 500, true),
        (&long, 500, false),
    ] {
        let seen = open(&browser, page, width, dark);
        for section in [
            "verdict", "classes", "callers", "owners", "people", "locks", "measured",
        ] {
            let height = seen["sections"][section].as_f64();
            assert!(height > Some(40.0), "{section}: {seen}");
        }
        assert_eq!(seen["sections"].as_object().unwrap().len(), 7, "{seen}");
        assert_eq!(seen["pictures"].as_array().unwrap().len(), 3, "{seen}");
        assert_eq!(seen["unnamed"], 0);
        assert_eq!(seen["broken_links"], 0);
        assert_eq!(seen["scripts"], 0);
        assert!(seen["page"].as_u64() <= seen["window"].as_u64(), "{seen}");
    }
}

/// Zooms the flame graph by keyboard, in a copy of its document that this one may look into.
const KEYBOARD: &str = r##"<script>
const copy = document.createElement("iframe");
copy.srcdoc = document.querySelector("iframe").srcdoc;
copy.width = 1200;
document.body.append(copy);
addEventListener("load", () => setTimeout(() => {
  const inside = copy.contentDocument;
  const frames = [...inside.querySelectorAll("#frames g")];
  const hidden = () => inside.getElementById("unzoom").classList.contains("hide");
  const press = (element) => {
    element.focus();
    const enter = { key: "Enter", bubbles: true };
    element.dispatchEvent(new copy.contentWindow.KeyboardEvent("keydown", enter));
  };
  const before = hidden();
  const last = frames[frames.length - 1];
  press(last);
  const focused = inside.activeElement === last;
  const zoomed = hidden();
  press(inside.getElementById("unzoom"));
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify({
    frames: frames.length,
    named: frames.filter(frame => frame.tabIndex === 0 && frame.getAttribute("aria-label")).length,
    focused,
    hidden: [before, zoomed, hidden()],
  });
  document.body.append(seen);
}));
</script></body>"##;

#[test]
fn the_flame_graph_is_usable_by_keyboard() {
    let name = "the_flame_graph_is_usable_by_keyboard";
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    let page = page(&Synthetic::default().profile());
    let seen = ask(&browser, &page, KEYBOARD, (1280, false));
    assert!(seen["frames"].as_u64() > Some(2), "{seen}");
    assert_eq!(seen["named"], seen["frames"], "{seen}");
    assert_eq!(seen["focused"], true, "{seen}");
    assert_eq!(seen["hidden"], serde_json::json!([true, false, true]));
}

/// Two kernels beside each other, with all pictures of two settings and the forecast.
#[test]
fn a_browser_shows_a_comparison() {
    let name = "a_browser_shows_a_comparison";
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compare.html");
    let boots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/boots");
    let compared = Command::new(env!("CARGO_BIN_EXE_lockprof"))
        .arg("compare")
        .arg(boots.join("base"))
        .arg("--vs")
        .arg(boots.join("deferred"))
        .args(["--format", "html", "-o"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(compared.success());
    let page = fs::read_to_string(&file).unwrap();
    for (width, dark) in [(1280, false), (500, true)] {
        let seen = open(&browser, &page, width, dark);
        for section in ["verdict", "setting-0-0", "forecast", "measured"] {
            let height = seen["sections"][section].as_f64();
            assert!(height > Some(40.0), "{section}: {seen}");
        }
        assert_eq!(seen["pictures"].as_array().unwrap().len(), 4, "{seen}");
        assert_eq!(seen["unnamed"], 0);
        assert_eq!(seen["broken_links"], 0);
        assert_eq!(seen["scripts"], 0);
        assert!(seen["page"].as_u64() <= seen["window"].as_u64(), "{seen}");
        assert_eq!(seen["outside"].as_array().unwrap().len(), 0, "{seen}");
    }
}

/// Whoever can write a name can not write the page.
#[test]
fn a_browser_takes_hostile_names_for_text() {
    let name = "a_browser_takes_hostile_names_for_text";
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    let seen = open(&browser, &page(&crate::page::hostile()), 800, false);
    assert_eq!(seen["scripts"], 0, "{seen}");
    assert!(seen["page"].as_u64() <= seen["window"].as_u64(), "{seen}");
}

/// A minute on 24 CPUs: small enough for a mail, and there at once.
#[test]
fn a_minute_on_24_cpus_is_a_small_page() {
    let name = "a_minute_on_24_cpus_is_a_small_page";
    let minute = Synthetic {
        cpus: 24,
        intervals: 60,
        holds: 60,
        ..Synthetic::default()
    };
    let page = page(&minute.profile());
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    if let Some(folder) = std::env::var_os("LOCKPROF_PICTURES") {
        fs::write(Path::new(&folder).join("minute.html"), &page).unwrap();
    }
    let Some(browser) = browser() else {
        println!("SKIPPED {name}: no Chromium is installed");
        return;
    };
    // What else the machine does makes it slower and never faster: the fastest of three is the page's.
    let load_ms = (0..3)
        .map(|_| {
            open(&browser, &page, 1280, false)["load_ms"]
                .as_f64()
                .unwrap()
        })
        .fold(f64::INFINITY, f64::min);
    println!("{} bytes, loaded in {load_ms:.0} ms", page.len());
    assert!(load_ms < 1000.0, "{load_ms} ms");
}
