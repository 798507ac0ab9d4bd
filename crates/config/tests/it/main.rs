//! Rules of the configuration as a user meets them: from YAML text to problems.

#[cfg(test)]
mod documented;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod shape;
