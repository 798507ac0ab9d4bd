//! The user of `thv run`: at a terminal, or somewhere behind a log.

mod keyboard;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::time::Duration;

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};
use thv_remote::ui::{Input, Progress, Ui};
use thv_workload::port_owner::who_listens;
use tracing::level_filters::LevelFilter;

use crate::printer::printable;
use keyboard::Keyboard;

/// A user at a terminal: one line that shows the current step and the time that is left.
pub(crate) struct Terminal {
    line: ProgressBar,
    keyboard: Keyboard,
}

/// To the beginning of the line above, which is erased (ECMA-48).
const ONE_LINE_UP: &str = "\u{1b}[F\u{1b}[2K";
/// What the line says while a login is waited for.
const WAITING: &str = "waiting for the login";

impl Terminal {
    /// The terminal on standard error, if that is one. The steps that a log tells would be in the way of the line.
    pub(crate) fn new() -> Option<Self> {
        if !io::stderr().is_terminal() || LevelFilter::current() > LevelFilter::WARN {
            return None;
        }
        let line = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            line.set_style(style);
        }
        Some(Self { line, keyboard: Keyboard::default() })
    }

    fn say(&self, text: &str) {
        self.line.suspend(|| eprint(text));
    }
}

#[async_trait]
impl Ui for Terminal {
    fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Step(step) => {
                self.line.enable_steady_tick(Duration::from_millis(120));
                self.line.set_message(step.to_owned());
            }
            Progress::Note(note) => self.say(&format!("{}\n", printable(note))),
            Progress::LogIn { url, opened, within } => {
                self.say(&invitation(url, opened, true));
                self.line.enable_steady_tick(Duration::from_millis(120));
                self.remaining(within);
            }
            Progress::Remaining(left) => self.remaining(left),
            Progress::Done => {
                self.line.disable_steady_tick();
                self.line.finish_and_clear();
            }
        }
    }

    fn open_browser(&self, url: &str) -> bool {
        open(url)
    }

    async fn input(&self) -> Input {
        let input = self.keyboard.next().await;
        if input == Input::Again {
            // The key has left the line where it was, and moved on to the next one.
            self.say(ONE_LINE_UP);
        }
        input
    }

    fn who_listens(&self, port: u16) -> Option<String> {
        who_listens(port).map(|owner| owner.describe())
    }
}

impl Terminal {
    fn remaining(&self, left: Duration) {
        let seconds = left.as_secs();
        self.line.set_message(format!("{WAITING}, {}:{:02} left", seconds / 60, seconds % 60));
    }
}

/// A user who reads lines, perhaps later, and can paste into standard input if that is open.
#[derive(Default)]
pub(crate) struct Lines {
    keyboard: Keyboard,
}

#[async_trait]
impl Ui for Lines {
    fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Step(step) => eprint(&format!("{step}\n")),
            Progress::Note(note) => eprint(&format!("{}\n", printable(note))),
            Progress::LogIn { url, opened, within } => {
                let minutes = within.as_secs().div_ceil(60);
                eprint(&invitation(url, opened, false));
                eprint(&format!("{WAITING} for {minutes} min\n"));
            }
            Progress::Remaining(_) | Progress::Done => {}
        }
    }

    fn open_browser(&self, url: &str) -> bool {
        open(url)
    }

    async fn input(&self) -> Input {
        self.keyboard.next().await
    }

    fn who_listens(&self, port: u16) -> Option<String> {
        who_listens(port).map(|owner| owner.describe())
    }
}

/// Nobody but a log; the desktop may have a browser all the same.
pub(crate) struct Log;

#[async_trait]
impl Ui for Log {
    fn show(&self, progress: Progress<'_>) {
        match progress {
            Progress::Step(step) => tracing::debug!("{step}"),
            Progress::Note(note) => tracing::info!("{note}"),
            // Without the URL: its `state` is for the browser alone.
            Progress::LogIn { .. } => tracing::warn!("a login is needed: a browser was opened"),
            Progress::Remaining(_) | Progress::Done => {}
        }
    }

    fn open_browser(&self, url: &str) -> bool {
        open(url)
    }

    async fn input(&self) -> Input {
        std::future::pending().await
    }

    fn is_attended(&self) -> bool {
        false
    }

    fn who_listens(&self, port: u16) -> Option<String> {
        who_listens(port).map(|owner| owner.describe())
    }
}

fn invitation(url: &str, opened: bool, keys: bool) -> String {
    let how = match (opened, keys) {
        (true, true) => {
            "Log in in the browser that has just opened (Enter opens it again). It shows this page:"
                .to_owned()
        }
        (true, false) => "Log in in the browser that has just opened. It shows this page:".to_owned(),
        (false, _) => "Open this page in a browser and log in:".to_owned(),
    };
    let elsewhere = match opened {
        true => "",
        false => {
            "If the browser is on another machine, it ends at a page that it cannot show:\npaste the address of that page here.\n"
        }
    };
    format!("{how}\n\n  {url}\n\n{elsewhere}")
}

/// Whether a browser was found and is being started with a URL.
fn open(url: &str) -> bool {
    if is_far_away(|name| std::env::var_os(name)) || !webbrowser::Browser::is_available() {
        return false;
    }
    let url = url.to_owned();
    // A browser for terminals comes back when it is left.
    std::thread::spawn(move || {
        if let Err(error) = webbrowser::open(&url) {
            tracing::debug!(%error, "no browser could be opened");
        }
    });
    true
}

/// Whether the user is behind ssh, where what opens here is not seen: there is no display, and no browser that the user chose.
fn is_far_away(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let any = |names: [&str; 3]| {
        names.into_iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()))
    };
    cfg!(target_os = "linux")
        && any(["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"])
        && !any(["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"])
}

fn eprint(text: &str) {
    crate::printer::talk(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_ssh_a_browser_is_opened_only_where_it_can_be_seen() {
        let far = |set: &[&str]| is_far_away(|name| set.contains(&name).then(|| OsString::from("x")));
        assert!(far(&["SSH_CONNECTION"]) && far(&["SSH_TTY"]));
        for seen in [
            &[][..],
            &["DISPLAY"],
            &["SSH_TTY", "DISPLAY"],
            &["SSH_TTY", "WAYLAND_DISPLAY"],
            &["SSH_TTY", "BROWSER"],
        ] {
            assert!(!far(seen), "{seen:?}");
        }
    }
}
