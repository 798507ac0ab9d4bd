//! The two streams: standard output for data, standard error for talk.

use std::io::{self, IsTerminal, Write};

use thv_config::Problem;

use crate::failure::{Complaint, Failure};

/// Writes data. A reader that has seen enough (`thv man | head`) is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says why a command failed.
pub(crate) fn failure(failure: &Failure) {
    failure.0.iter().for_each(|complaint| say("error", "31", complaint));
}

/// Text that others wrote, without what would move a terminal's cursor or change its colours.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Says something.
pub(crate) fn talk(text: &str) {
    // There is nobody left to tell when standard error is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says what is odd.
pub(crate) fn warning(problem: &Problem) {
    say("warning", "33", &Complaint::from(problem));
}

fn say(label: &str, color: &str, complaint: &Complaint) {
    let label =
        if stderr_has_color() { format!("\u{1b}[1;{color}m{label}\u{1b}[0m") } else { label.to_owned() };
    let mut text = format!("{label}: {}\n", printable(&complaint.message));
    for cause in &complaint.causes {
        text.push_str(&format!("  caused by: {}\n", printable(cause)));
    }
    if let Some(hint) = &complaint.hint {
        text.push_str(&format!("  hint: {}\n", printable(hint).replace('\n', "\n    ")));
    }
    talk(&text);
}

fn stderr_has_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && io::stderr().is_terminal()
}

/// Whether data may be coloured.
pub(crate) fn stdout_has_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_cannot_speak_to_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2J\u{9b}1A\r\u{8}b\nc ✓"),
            "a\u{fffd}[2J\u{fffd}1A\u{fffd}\u{fffd}b\nc ✓"
        );
    }
}
