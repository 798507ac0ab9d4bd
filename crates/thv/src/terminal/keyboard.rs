//! What the user types while a login is waited for.

use std::io::{self, BufRead};
use std::sync::OnceLock;

use thv_remote::ui::Input;
use tokio::sync::{Mutex, mpsc};

/// Standard input, read by a thread of its own from the first time that somebody wants to know: a read cannot be cancelled,
/// and must not keep the program from ending.
#[derive(Default)]
pub(super) struct Keyboard(OnceLock<Mutex<mpsc::Receiver<Input>>>);

impl Keyboard {
    /// The next thing typed; never, when standard input has ended.
    pub(super) async fn next(&self) -> Input {
        let lines = self.0.get_or_init(|| Mutex::new(read()));
        match lines.lock().await.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }
}

fn read() -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let input = match line.trim() {
                "" => Input::Again,
                url => Input::CallbackUrl(url.to_owned()),
            };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    receiver
}
