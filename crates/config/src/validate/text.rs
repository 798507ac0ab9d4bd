//! Lexical rules.

/// `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
pub(super) fn is_provider_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `^[a-zA-Z_][a-zA-Z0-9_]*$`
pub(super) fn is_claim_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A field name of HTTP (RFC 9110 §5.6.2).
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A field value of HTTP without control characters and without surrounding white space (RFC 9110 §5.5).
pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| matches!(b, 0x20..=0x7e)) && value.trim() == value
}

/// One line for people: 1 to `most` characters, none of them a control character, no white space around.
pub(super) fn is_line(text: &str, most: usize) -> bool {
    !text.is_empty()
        && text.chars().count() <= most
        && !text.contains(char::is_control)
        && text.trim() == text
}

/// An absolute URI without fragment (RFC 3986 §4.3).
pub(super) fn is_absolute_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    text.bytes().all(|b| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b))
        && text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}

/// A dot path into JSON: non-empty segments; the only modifier is `@upstreamjwt`, and only where it is allowed.
pub(super) fn is_dot_path(path: &str, jwt_allowed: bool) -> bool {
    path.split('.').all(|segment| match segment.strip_prefix('@') {
        Some(modifier) => jwt_allowed && modifier == "upstreamjwt",
        None => !segment.is_empty() && !segment.contains(['|', '*', '?', '#', '[', '{', ' ']),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexical_rules_hold_at_their_edges() {
        for (name, expected) in
            [("a", true), ("a-1", true), ("-a", false), ("a-", false), ("A", false), ("", false)]
        {
            assert_eq!(is_provider_name(name), expected, "{name}");
        }
        for (claim, expected) in [("sub", true), ("_oid1", true), ("1a", false), ("a-b", false), ("", false)]
        {
            assert_eq!(is_claim_name(claim), expected, "{claim}");
        }
        for (path, expected) in [
            ("authed_user.access_token", true),
            ("a.0.b", true),
            ("id_token.@upstreamjwt.sub", true),
            ("a..b", false),
            ("", false),
            ("a.@keys", false),
            ("a.#.b", false),
        ] {
            assert_eq!(is_dot_path(path, true), expected, "{path}");
        }
        assert!(!is_dot_path("id_token.@upstreamjwt.sub", false));
        for (uri, expected) in [
            ("https://api.example.com/v1?x", true),
            ("urn:example:api", true),
            ("api://0-1", true),
            ("/v1", false),
            ("api", false),
            ("https://api.example.com/#x", false),
            ("https://api example.com", false),
            ("1a:b", false),
            ("https:", false),
        ] {
            assert_eq!(is_absolute_uri(uri), expected, "{uri}");
        }
        for (line, expected) in [
            ("Größe 3", true),
            ("12345678", true),
            ("123456789", false),
            ("", false),
            (" a", false),
            ("a\n", false),
        ] {
            assert_eq!(is_line(line, 8), expected, "{line:?}");
        }
    }
}
