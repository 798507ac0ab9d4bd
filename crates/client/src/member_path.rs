//! Dot paths into a JSON document, for answers that do not have the standard's shape.

use serde_json::Value;
use thv_jose::verify::peek_unverified;

/// The modifier that reads the payload of the JWT that the path has reached.
const UPSTREAM_JWT: &str = "@upstreamjwt";

/// A path such as `authed_user.access_token` or `items.0.id`. A dot that belongs to a member's name is written `\.`, a
/// backslash `\\`.
///
/// The segment `@upstreamjwt` decodes the payload of a JWT **without verifying it**: fit only for a token that came
/// directly from the token endpoint over TLS (OpenID Connect Core §3.1.3.7, 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Member(String),
    UpstreamJwt,
}

impl MemberPath {
    /// Reads a path. Every text is one: what names nothing finds nothing.
    pub fn parse(path: &str) -> Self {
        let mut names = vec![String::new()];
        let mut characters = path.chars();
        while let Some(character) = characters.next() {
            match (character, names.last_mut()) {
                ('.', _) => names.push(String::new()),
                ('\\', Some(name)) => name.extend(characters.next()),
                (other, Some(name)) => name.push(other),
                (_, None) => {}
            }
        }
        let segment = |name| if name == UPSTREAM_JWT { Segment::UpstreamJwt } else { Segment::Member(name) };
        Self(names.into_iter().map(segment).collect())
    }

    /// What is there in `document`.
    pub fn find(&self, document: &Value) -> Option<Value> {
        let mut decoded;
        let mut at = document;
        for segment in &self.0 {
            at = match segment {
                Segment::Member(name) => match at {
                    Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                    other => other.get(name)?,
                },
                Segment::UpstreamJwt => {
                    decoded = peek_unverified::<Value>(at.as_str()?)?;
                    &decoded
                }
            };
        }
        Some(at.clone())
    }

    /// The text there: a string that is not empty, or a whole number written out.
    pub fn text(&self, document: &Value) -> Option<String> {
        match self.find(document)? {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use thv_jose::digest::base64url;

    #[test]
    fn u2_paths_reach_members_items_and_names_with_dots() {
        let document = json!({
            "a": {"b": [{"c": "x"}, "y"], "0": "zero"}, "https://n.example/id": 7, "back\\slash": "s",
            "empty": "", "half": 0.5, "yes": true, "none": null
        });
        for (path, expected) in [
            ("a.b.0.c", Some("x")),
            ("a.b.1", Some("y")),
            ("a.0", Some("zero")),
            (r"https://n\.example/id", Some("7")),
            (r"back\\slash", Some("s")),
            ("a.b.2", None),
            ("a.b.-1", None),
            ("a.b.c", None),
            ("a", None),
            ("empty", None),
            ("half", None),
            ("yes", None),
            ("none", None),
            ("", None),
            (".", None),
            ("\\", None),
            ("a.b.1.@upstreamjwt", None),
        ] {
            assert_eq!(MemberPath::parse(path).text(&document).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn u2_the_modifier_reads_a_jwt() {
        let payload = base64url(br#"{"sub":"s","nested":{"oid":12}}"#);
        let document = json!({"tokens": [{"id_token": format!("e30.{payload}.AA"), "broken": "e30.e30"}]});
        for (path, expected) in [
            ("tokens.0.id_token.@upstreamjwt.sub", Some("s")),
            ("tokens.0.id_token.@upstreamjwt.nested.oid", Some("12")),
            ("tokens.0.id_token.@upstreamjwt.aud", None),
            ("tokens.0.broken.@upstreamjwt.sub", None),
            ("tokens.@upstreamjwt.sub", None),
        ] {
            assert_eq!(MemberPath::parse(path).text(&document).as_deref(), expected, "{path}");
        }
    }
}
