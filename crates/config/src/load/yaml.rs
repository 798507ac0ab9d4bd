//! YAML text to a JSON value, within budgets.

use serde_json::{Map, Value};
use serde_saphyr::UserMessageFormatter;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use crate::problem::Problem;

/// Largest text that is read.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Parses one document whose root is a mapping; an empty text is an empty mapping.
///
/// Only `true` and `false` are booleans (`mode: off` stays a text), a key that occurs twice is an error, and aliases cannot
/// multiply the text into more than it could hold by itself.
pub(crate) fn parse(text: &str) -> Result<Value, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::error("", format!("the text has {} bytes, more than {MAX_BYTES}", text.len())));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 50_000,
            max_events: 200_000,
            max_depth: 64,
            max_documents: 1,
            max_aliases: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        Problem::error(
            "",
            format!("the YAML cannot be read: {}", error.render_with_formatter(&UserMessageFormatter)),
        )
    })?;
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(Problem::error("", "the file must be a mapping of keys to values")),
    }
}
