//! The load on a bridge that speaks MCP over standard input and output, as its client does that started it.
//!
//! A client of this kind has one pair of pipes, so the driver is in the process that started the bridge, on one thread.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Outcome, Window};
use crate::error::{BenchError, During as _};
use crate::mcp;
use crate::process::Pinned;

/// A running bridge with an open session.
pub(crate) struct Bridge {
    process: Pinned,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    method: Option<IgnoredAny>,
    result: Option<CallResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    #[serde(default)]
    is_error: bool,
}

impl Bridge {
    /// Opens a session through a process with pipes.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn open(mut process: Pinned) -> Result<Self, BenchError> {
        let (stdin, stdout) = process.pipes()?;
        let mut bridge = Self { process, stdin, stdout: BufReader::new(stdout).lines(), last_id: 0 };
        bridge.request(mcp::INITIALIZE)?;
        bridge.response()?;
        bridge.send(mcp::INITIALIZED)?;
        Ok(bridge)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Keeps `in_flight` calls going until the window closes; a call counts when its answer arrives inside the window.
    ///
    /// # Errors
    /// With the first answer that is not a success.
    pub(crate) fn drive(
        &mut self,
        in_flight: usize,
        warmup: Duration,
        measure: Duration,
    ) -> Result<Outcome, BenchError> {
        let window = Window::after(warmup, measure);
        let cpu = window.watch([Some(self.pid()), None]);
        let (mut sent, mut latencies) = (HashMap::new(), Vec::new());
        loop {
            while sent.len() < in_flight && Instant::now() < window.closes {
                let now = Instant::now();
                sent.insert(self.request(mcp::CALL)?, now);
            }
            if sent.is_empty() {
                return Ok(Outcome::of(latencies, window, cpu()?));
            }
            let (id, answered) = (self.response()?, Instant::now());
            let begun = sent
                .remove(&id)
                .ok_or_else(|| BenchError::Missing(format!("the bridge answered {id}, which is not open")))?;
            if window.contains(answered) {
                latencies.push(answered - begun);
            }
        }
    }

    /// Sends a request; its id.
    fn request(&mut self, call: &str) -> Result<u64, BenchError> {
        self.last_id += 1;
        self.send(&mcp::request(self.last_id, call))?;
        Ok(self.last_id)
    }

    fn send(&mut self, message: &str) -> Result<(), BenchError> {
        // One write: the pipes have no Nagle, and every write wakes the bridge.
        self.stdin.write_all(format!("{message}\n").as_bytes()).during("writing to the bridge")
    }

    /// The id of the next answer; what the bridge says or asks of its own is passed over.
    fn response(&mut self) -> Result<u64, BenchError> {
        loop {
            let line = self.stdout.next().ok_or_else(|| BenchError::Missing("the bridge ended".into()))?;
            let line = line.during("reading from the bridge")?;
            let step = || format!("reading what the bridge says: {line}");
            let message: Message = serde_json::from_str(&line).during(step())?;
            match message {
                Message { method: Some(_), .. } => {}
                Message { id: Some(id), result: Some(CallResult { is_error: false }), .. } => return Ok(id),
                _ => return Err(BenchError::Missing(format!("the bridge did not answer a request: {line}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Output;

    /// A bridge that says `before` before each answer, and answers calls with `result`.
    fn bridge(before: &str, result: &str) -> Bridge {
        let answer = |of: &str, result: &str| {
            format!(
                r#"s/.*"id":\([0-9]*\),"method":"{of}".*/{before}{{"jsonrpc":"2.0","id":\1,"result":{result}}}/p"#
            )
        };
        let script = [answer("initialize", "{}"), answer("tools.call", result)].join(";");
        let args = ["-u", "-n", &script];
        let process = Pinned::start_apart(0, "sed".as_ref(), args, Output::Piped, &Vec::new()).unwrap();
        Bridge::open(process).unwrap()
    }

    fn drive(bridge: &mut Bridge) -> Result<Outcome, BenchError> {
        bridge.drive(8, Duration::from_millis(10), Duration::from_millis(100))
    }

    #[test]
    fn a_bridge_is_driven_again_and_again_whatever_it_says_in_between() {
        let mut bridge = bridge(r#"{"jsonrpc":"2.0","method":"notifications\/message"}\n"#, "{}");
        let first = drive(&mut bridge).unwrap();
        assert!(first.requests > 0 && first.latency.p50 > 0.0);
        assert!(drive(&mut bridge).unwrap().requests > 0);
    }

    #[test]
    fn a_call_that_failed_ends_the_run() {
        let outcome = drive(&mut bridge("", r#"{"isError":true}"#));
        assert!(outcome.unwrap_err().to_string().contains("isError"));
    }
}
