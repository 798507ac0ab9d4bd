//! The MCP server behind bridges: over standard input and output.

use std::io::{BufRead as _, Write as _};

use crate::error::{BenchError, During as _};
use crate::mcp;

/// Answers line by line until standard input ends.
///
/// # Errors
/// When a line cannot be read or written.
pub(crate) fn run() -> Result<(), BenchError> {
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.during("reading a message")?;
        if let Some(mut response) = mcp::answer(line.as_bytes()) {
            response.push('\n');
            stdout
                .write_all(response.as_bytes())
                .and_then(|()| stdout.flush())
                .during("writing a message")?;
        }
    }
    Ok(())
}
