//! What a login shows to its user, and hears from them.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A step of discovery, registration or login begins.
    Step(&'a str),
    /// Something the user should know, and can do nothing about.
    Note(&'a str),
    /// The user's turn: a login at `url`.
    LogIn {
        /// The authorization request.
        url: &'a str,
        /// Whether a browser was started with it.
        opened: bool,
        /// How long the user has.
        within: Duration,
    },
    /// The login is still waited for.
    Remaining(Duration),
    /// It is over, one way or the other.
    Done,
}

/// What a user may say while a login is waited for.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// The URL that the browser ended at, pasted by somebody whose browser is on another machine.
    CallbackUrl(String),
    /// Open the browser again.
    Again,
}

impl fmt::Debug for Input {
    /// Without the URL, which has an authorization code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CallbackUrl(_) => "CallbackUrl",
            Self::Again => "Again",
        })
    }
}

/// The user. One for a terminal, one for a process without.
#[async_trait]
pub trait Ui: Send + Sync + 'static {
    /// Shows what is going on.
    fn show(&self, progress: Progress<'_>);

    /// Opens a URL in the user's browser; whether one was started.
    fn open_browser(&self, url: &str) -> bool;

    /// The next thing that the user says; never, where nobody can say anything. Dropped when the login is over.
    async fn input(&self) -> Input;

    /// Whether somebody is there who could do without a browser: read a URL, and paste what it led to.
    fn is_attended(&self) -> bool {
        true
    }

    /// The process that listens on a port of this machine, for a message.
    fn who_listens(&self, port: u16) -> Option<String>;
}
