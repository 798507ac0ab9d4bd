//! A user with a browser, or without one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http::header::COOKIE;
use http_body_util::Full;
use thv_remote::ui::{Input, Progress, Ui};
use thv_testkit::browser::{Browser, Page};
use tokio::sync::{mpsc, watch};

/// What tells an authorization server that it is Alice's browser.
pub(crate) const COOKIE_OF_ALICE: &str = "user=alice";

/// What the user does with a URL.
#[derive(Clone)]
pub(crate) enum Act {
    /// Goes there and wherever it leads.
    LogsIn,
    /// Looks at it and does nothing.
    Waits,
    /// There is no browser.
    HasNoBrowser,
    /// There is neither a browser nor a user.
    IsAway,
}

pub(crate) struct User {
    act: Mutex<Act>,
    ca_pem: Option<String>,
    opened: watch::Sender<Vec<String>>,
    shown: watch::Sender<Vec<String>>,
    /// Where the browser ended.
    pages: watch::Sender<Vec<Page>>,
    say: mpsc::UnboundedSender<Input>,
    said: tokio::sync::Mutex<mpsc::UnboundedReceiver<Input>>,
    /// How often they were listened to.
    pub(crate) listened: AtomicUsize,
}

impl User {
    pub(crate) fn new(ca_pem: Option<String>) -> Arc<Self> {
        let (say, said) = mpsc::unbounded_channel();
        Arc::new(Self {
            act: Mutex::new(Act::LogsIn),
            ca_pem,
            opened: watch::Sender::default(),
            shown: watch::Sender::default(),
            pages: watch::Sender::default(),
            say,
            said: tokio::sync::Mutex::new(said),
            listened: AtomicUsize::new(0),
        })
    }

    pub(crate) fn acts(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    pub(crate) fn says(&self, input: Input) {
        self.say.send(input).unwrap();
    }

    /// The URLs that were to be opened.
    pub(crate) fn opened(&self) -> Vec<String> {
        self.opened.borrow().clone()
    }

    /// Everything that was shown.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.shown.borrow().clone()
    }

    /// Waits until something with `text` has been shown, and gives it.
    pub(crate) async fn sees(&self, text: &str) -> String {
        let mut shown = self.shown.subscribe();
        let find = |shown: &Vec<String>| shown.iter().find(|shown| shown.contains(text)).cloned();
        let shown = within(shown.wait_for(|shown| find(shown).is_some())).await.unwrap();
        find(&shown).unwrap()
    }

    /// Waits for the `count`th authorization URL that was shown.
    pub(crate) async fn is_asked(&self, count: usize) -> String {
        let mut shown = self.shown.subscribe();
        let urls = |shown: &Vec<String>| {
            shown
                .iter()
                .filter_map(|shown| Some(shown.strip_prefix("log in: ")?.to_owned()))
                .collect::<Vec<_>>()
        };
        let shown = within(shown.wait_for(|shown| urls(shown).len() >= count)).await.unwrap();
        urls(&shown).remove(count - 1)
    }

    /// Waits until the browser has ended at `count` pages, and gives the last of them.
    pub(crate) async fn page(&self, count: usize) -> Page {
        let mut pages = self.pages.subscribe();
        let pages = within(pages.wait_for(|pages| pages.len() >= count)).await.unwrap();
        pages[count - 1].clone()
    }

    /// Goes to `url` with Alice's cookie and wherever that leads.
    pub(crate) async fn browse(&self, url: &str) -> Page {
        let page = self.step(url).await;
        Browser::new(self.ca_pem.as_deref()).follow(page, 10).await
    }

    /// Goes to `url` with Alice's cookie, and no further.
    pub(crate) async fn step(&self, url: &str) -> Page {
        let request = Request::get(url).header(COOKIE, COOKIE_OF_ALICE).body(Full::new(Bytes::new()));
        Browser::new(self.ca_pem.as_deref()).send(request.unwrap()).await
    }
}

/// What never happens is a failure, and no endless wait.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it happens within 30 s")
}

/// The user as a session sees them.
pub(crate) struct Seen(pub(crate) Arc<User>);

#[async_trait]
impl Ui for Seen {
    fn show(&self, progress: Progress<'_>) {
        let shown = match progress {
            Progress::Step(text) => format!("step: {text}"),
            Progress::Note(text) => format!("note: {text}"),
            Progress::LogIn { url, .. } => format!("log in: {url}"),
            Progress::Remaining(_) => return,
            Progress::Done => "done".to_owned(),
        };
        self.0.shown.send_modify(|all| all.push(shown));
    }

    fn open_browser(&self, url: &str) -> bool {
        self.0.opened.send_modify(|opened| opened.push(url.to_owned()));
        match self.0.act.lock().unwrap().clone() {
            Act::HasNoBrowser | Act::IsAway => false,
            Act::Waits => true,
            Act::LogsIn => {
                let (user, url) = (Arc::clone(&self.0), url.to_owned());
                tokio::spawn(async move {
                    let page = user.browse(&url).await;
                    user.pages.send_modify(|pages| pages.push(page));
                });
                true
            }
        }
    }

    async fn input(&self) -> Input {
        self.0.listened.fetch_add(1, Ordering::SeqCst);
        match self.0.said.lock().await.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }

    fn is_attended(&self) -> bool {
        !matches!(*self.0.act.lock().unwrap(), Act::IsAway)
    }

    fn who_listens(&self, port: u16) -> Option<String> {
        Some(format!("nosy (pid {port})"))
    }
}
