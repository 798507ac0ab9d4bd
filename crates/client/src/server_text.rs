//! What a server says about an error, made fit for people and logs.

use thv_oauth::error;

/// The longest error code and description that are taken over.
const MAX_CODE: usize = 64;
const MAX_DESCRIPTION: usize = 300;
const NO_CODE: &str = "an error without a usable code";

/// An error code within the character set of RFC 6749 §5.2. Whatever else is there, or repeats a secret that was sent, says
/// no more than that there is one.
pub(crate) fn code(text: &str, repeats_secret: impl FnOnce(&str) -> bool) -> String {
    if text.len() <= MAX_CODE && error::description(text) == text && !repeats_secret(text) {
        text.to_owned()
    } else {
        unusable_code()
    }
}

/// What stands for a code that cannot be shown.
pub(crate) fn unusable_code() -> String {
    NO_CODE.to_owned()
}

/// A description in the character set of RFC 6749 §5.2, cut to size, and left out when it repeats a secret that was sent.
pub(crate) fn description(text: &str, repeats_secret: impl FnOnce(&str) -> bool) -> Option<String> {
    (!text.is_empty() && !repeats_secret(text))
        .then(|| error::description(text).chars().take(MAX_DESCRIPTION).collect())
}

/// A description as it follows a code.
pub(crate) fn in_brackets(description: Option<&str>) -> String {
    description.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// A list of names, such as the methods that a server supports: the first few, each as a code.
pub(crate) fn names(names: &[String]) -> String {
    const MAX_NAMES: usize = 12;
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| code(name, |_| false)).collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6749_5_2_only_short_printable_codes_without_secrets_are_repeated() {
        assert_eq!(code("invalid_client", |_| false), "invalid_client");
        for text in ["a\nb", "é", &"x".repeat(65)] {
            assert_eq!(code(text, |_| false), NO_CODE);
        }
        assert_eq!(code("invalid_s3cret", |text| text.contains("s3cret")), NO_CODE);
        assert_eq!(description("a\u{202e}\"b", |_| false).as_deref(), Some("a?'b"));
        assert_eq!(description(&"x".repeat(400), |_| false).map(|text| text.len()), Some(MAX_DESCRIPTION));
        assert_eq!(description("it was s3cret", |text| text.contains("s3cret")), None);
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let listed: Vec<String> = (0..50).map(|number| format!("m{number}")).collect();
        assert_eq!(names(&listed[..2]), "m0, m1");
        assert!(names(&listed).ends_with("m11, …"));
    }
}
