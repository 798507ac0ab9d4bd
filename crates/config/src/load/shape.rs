//! Deserialization that reports every mistake instead of the first.
//!
//! The value is deserialized again and again; what an error points at is taken out of the value, so that the next round
//! finds the next mistake.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::suggest;
use crate::problem::{Problem, Problems};

/// Rounds, so that a hostile text cannot take quadratic time.
const MAX_PROBLEMS: usize = 50;

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// Deserializes a value of a known shape.
pub(crate) fn deserialize<T: DeserializeOwned>(value: Value) -> Result<T, Problems> {
    match deserialize_rest(value)? {
        (read, problems) if problems.is_empty() => Ok(read),
        (_, problems) => Err(Problems(problems)),
    }
}

/// Deserializes what is left of a value without its mistakes, and reports those.
pub(crate) fn deserialize_rest<T: DeserializeOwned>(mut value: Value) -> Result<(T, Vec<Problem>), Problems> {
    let mut problems = Vec::new();
    let mut removed = Removed::default();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => return Ok((read, problems)),
            Err(error) => error,
        };
        let path = steps(error.path());
        let message = error.into_inner().to_string();
        let taken = take(&mut value, &path);
        // A key without a value means the same as no key, provided that the key exists at all.
        if taken != Some(Value::Null) || message.starts_with("unknown field") {
            problems.push(problem(&removed.original(&path), &message, taken.as_ref()));
        }
        removed.note(&path);
        if taken.is_none() || problems.len() >= MAX_PROBLEMS {
            return Err(Problems(problems));
        }
    }
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    path.iter()
        .map_while(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            // The variant is the value that the path has already reached.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn take(value: &mut Value, path: &[Step]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut node = value;
    for step in parents {
        node = match step {
            Step::Key(key) => node.get_mut(key)?,
            Step::Index(index) => node.get_mut(index)?,
        };
    }
    match (last, node) {
        (Step::Key(key), Value::Object(map)) => map.remove(key),
        (Step::Index(index), Value::Array(list)) if *index < list.len() => Some(list.remove(*index)),
        _ => None,
    }
}

/// List elements taken out so far, by the original path of their list: later elements have moved since.
#[derive(Default)]
struct Removed(BTreeMap<Vec<Step>, BTreeSet<usize>>);

impl Removed {
    /// The path as it was in the file.
    fn original(&self, path: &[Step]) -> Vec<Step> {
        let mut original = Vec::with_capacity(path.len());
        for step in path {
            let step = match (step, self.0.get(&original)) {
                (Step::Index(index), Some(gone)) => {
                    let kept = (0..).filter(|candidate| !gone.contains(candidate)).nth(*index);
                    Step::Index(kept.unwrap_or(*index))
                }
                _ => step.clone(),
            };
            original.push(step);
        }
        original
    }

    fn note(&mut self, path: &[Step]) {
        let mut original = self.original(path);
        if let Some(Step::Index(index)) = original.pop() {
            self.0.entry(original).or_default().insert(index);
        }
    }
}

fn problem(path: &[Step], message: &str, found: Option<&Value>) -> Problem {
    let at = display(path);
    if message.starts_with("unknown field") {
        let Some(Step::Key(key)) = path.last() else { return Problem::error(at, message) };
        let known = names(message.strip_prefix(&format!("unknown field `{key}`")).unwrap_or_default());
        let problem = Problem::error(at, format!("unknown key `{key}`"));
        return match (suggest::advice(key), suggest::nearest(key, &known)) {
            (Some(advice), _) => problem.with_hint(advice),
            (None, Some(nearest)) => problem.with_hint(format!("did you mean `{nearest}`?")),
            (None, None) => problem.with_hint(format!("the keys here are {}", known.join(", "))),
        };
    }
    if message.starts_with("unknown variant") {
        let found = found.and_then(Value::as_str).unwrap_or_default();
        let known = names(message.strip_prefix(&format!("unknown variant `{found}`")).unwrap_or_default());
        let problem = Problem::error(at, format!("`{found}` is not one of {}", known.join(", ")));
        return match (suggest::advice(found), suggest::nearest(found, &known)) {
            (Some(advice), _) => problem.with_hint(advice),
            (None, Some(nearest)) => problem.with_hint(format!("did you mean `{nearest}`?")),
            (None, None) => problem,
        };
    }
    if message.starts_with("invalid ")
        && let (Some((_, expected)), Some(found)) = (message.rsplit_once(", expected "), found)
    {
        // serde's own message shows the value, which may be a secret in the wrong place.
        return mismatch(at, expected, found);
    }
    Problem::error(at, message)
}

/// The names in backticks of "expected one of `a`, `b`".
fn names(expected: &str) -> Vec<&str> {
    expected.split('`').skip(1).step_by(2).collect()
}

fn mismatch(at: String, expected: &str, found: &Value) -> Problem {
    let wanted = match expected {
        "a sequence" => "a list",
        "a map" => "a mapping",
        "a boolean" => "true or false",
        "a string" | "path string" => "text",
        "u16" => "a whole number up to 65535",
        "u32" => "a whole number up to 4294967295",
        _ if expected.starts_with("struct ") => "a mapping",
        other => other,
    };
    let (is, hint) = match found {
        Value::Null => ("nothing", None),
        Value::Bool(_) => ("a boolean", Some("put the value into quotes")),
        Value::Number(_) => ("a number", Some("put the value into quotes")),
        Value::String(_) => ("text", None),
        Value::Array(_) => ("a list", None),
        Value::Object(_) => ("a mapping", None),
    };
    let problem = Problem::error(at, format!("expected {wanted}, found {is}"));
    match hint {
        Some(hint) if wanted == "text" => problem.with_hint(hint),
        _ => problem,
    }
}

/// `authServer.upstreamProviders[0].name`
fn display(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
