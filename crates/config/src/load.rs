//! From a file to [`Config`], with every mistake in its shape reported at once.

pub(crate) mod network;
pub(crate) mod shape;
pub(crate) mod suggest;
pub(crate) mod yaml;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::config::Config;
use crate::preset;
use crate::problem::{Problem, Problems};

impl Config {
    /// Reads a configuration. The values are not checked against each other yet: that is
    /// [`validate()`](crate::validate()).
    ///
    /// # Errors
    /// YAML that cannot be read (with line and column), or all unknown keys and values of a wrong type.
    pub fn parse(yaml: &str) -> Result<Self, Problems> {
        shape::deserialize(value(yaml)?)
    }

    /// Reads what is left of a configuration file without the mistakes in its shape, and those mistakes: for a check that
    /// reports what is wrong with the rest as well.
    ///
    /// # Errors
    /// The file cannot be read, or is no YAML.
    pub fn load_rest(path: &Path) -> Result<(Self, Vec<Problem>), Problems> {
        let value = value(&read(path)?).map_err(|problem| of_file(path, problem.into()))?;
        shape::deserialize_rest(value)
    }

    /// Reads a configuration file; see [`parse`](Self::parse).
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::parse(&read(path)?).map_err(|problems| of_file(path, problems))
    }
}

/// The text with the presets filled in.
pub(crate) fn value(text: &str) -> Result<Value, Problem> {
    let mut value = yaml::parse(text)?;
    preset::fill(&mut value);
    Ok(value)
}

/// Problems of the file as a whole name it.
fn of_file(path: &Path, mut problems: Problems) -> Problems {
    for problem in problems.0.iter_mut().filter(|problem| problem.path.is_empty()) {
        problem.message = format!("{}: {}", path.display(), problem.message);
    }
    problems
}

/// Reads a file of at most [`yaml::MAX_BYTES`].
pub(crate) fn read(path: &Path) -> Result<String, Problem> {
    let failed = |reason: String| Problem::error("", format!("{} cannot be read: {reason}", path.display()));
    let length = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > yaml::MAX_BYTES as u64 {
        return Err(failed(format!("it has {length} bytes, more than {}", yaml::MAX_BYTES)));
    }
    fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}
