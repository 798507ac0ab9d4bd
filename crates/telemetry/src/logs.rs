//! Log output: one line per event on standard error.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, fields at the top level.
    Json,
}

/// A value of `--log-format` or `--log-level` that is not one of the known words.
#[derive(Debug, thiserror::Error)]
#[error("unknown value `{given}`, expected one of {expected}")]
pub struct UnknownWord {
    given: String,
    expected: &'static str,
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownWord { given: text.to_owned(), expected: "text, json" }),
        }
    }
}

/// The least severe event that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Level {
    /// Every step.
    pub const DEBUG: Self = Self(LevelFilter::DEBUG);
    /// What happens.
    pub const INFO: Self = Self(LevelFilter::INFO);
    /// What is odd.
    pub const WARN: Self = Self(LevelFilter::WARN);
}

impl Default for Level {
    fn default() -> Self {
        Self(LevelFilter::INFO)
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let filter = match text {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => {
                let expected = "off, error, warn, info, debug, trace";
                return Err(UnknownWord { given: text.to_owned(), expected });
            }
        };
        Ok(Self(filter))
    }
}

/// The process already has a log output.
#[derive(Debug, thiserror::Error)]
#[error("the log output is already set up")]
pub struct AlreadySet(#[source] tracing_subscriber::util::TryInitError);

/// Starts logging to standard error; to be called once, by the program.
///
/// Colour is used only for text on a terminal, and never when `NO_COLOR` is set to anything but an empty string.
///
/// # Errors
/// When a log output was set up before.
pub fn init(format: Format, level: Level) -> Result<(), AlreadySet> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = io::stderr().is_terminal() && !no_color;
    tracing_subscriber::registry()
        .with(layer(format, level, color, io::stderr))
        .try_init()
        .map_err(AlreadySet)
}

/// The layer that [`init`] installs, writing anywhere.
pub fn layer<W>(
    format: Format,
    level: Level,
    color: bool,
    writer: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(color);
    match format {
        Format::Text => lines.with_target(false).with_filter(targets(level)).boxed(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(targets(level))
            .boxed(),
    }
}

/// Our own crates at `level`, everybody else's at `warn` at most: HTTP libraries write header values, and with them
/// credentials, at `debug` and `trace`.
fn targets(level: Level) -> Targets {
    Targets::new().with_default(level.0.min(LevelFilter::WARN)).with_target("thv", level.0)
}

#[cfg(test)]
mod tests {
    use thv_testkit::sink::Sink;

    use super::*;

    fn captured(format: Format, level: &str, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = layer(format, level.parse().unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        sink.text()
    }

    #[test]
    fn json_lines_carry_dotted_fields_at_the_top_level() {
        let line = captured(Format::Json, "info", || {
            tracing::info!(target: "thv_authserver", { client.id = "https://c.example/m.json" }, "client resolved");
        });
        assert!(line.contains(r#""client.id":"https://c.example/m.json""#), "{line}");
        assert!(line.contains(r#""message":"client resolved""#), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn text_lines_hold_level_and_message() {
        let line = captured(Format::Text, "warn", || tracing::warn!(target: "thv", "disk almost full"));
        assert!(line.contains("WARN") && line.contains("disk almost full"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn o6_other_peoples_crates_stay_below_debug_even_at_trace() {
        let lines = captured(Format::Text, "trace", || {
            tracing::trace!(target: "h2::codec", "authorization: Bearer secret");
            tracing::debug!(target: "hyper", "authorization: Bearer secret");
            tracing::trace!(target: "thv_gateway::listener", "accepted");
        });
        assert!(!lines.contains("secret"), "{lines}");
        assert!(lines.contains("accepted"), "{lines}");
    }

    #[test]
    fn a_level_applies_to_everybody_when_it_is_stricter_than_warn() {
        let lines = captured(Format::Text, "error", || tracing::warn!(target: "hyper", "odd peer"));
        assert_eq!(lines, "");
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        assert_eq!(
            "yaml".parse::<Format>().unwrap_err().to_string(),
            "unknown value `yaml`, expected one of text, json"
        );
        assert!("loud".parse::<Level>().unwrap_err().to_string().contains("debug"));
    }
}
