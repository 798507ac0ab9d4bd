//! A JSON object whose duplicate members are not silently dropped.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Why a body is not a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonObjectError {
    #[error("begins with a byte order mark")]
    ByteOrderMark,
    #[error("is not valid JSON (line {line}, column {column})")]
    Syntax { line: usize, column: usize },
    #[error("is not a JSON object at the top level")]
    NotAnObject,
}

/// What a member should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongType {
    pub(crate) member: &'static str,
    pub(crate) expected: &'static str,
}

/// The members of an object. `null` and empty strings count as absent, except for [`Members::has`].
#[derive(Debug)]
pub(crate) struct Members {
    members: Map<String, Value>,
    duplicates: Vec<String>,
}

impl Members {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JsonObjectError> {
        if body.starts_with(b"\xef\xbb\xbf") || body.starts_with(b"\xfe\xff") || body.starts_with(b"\xff\xfe")
        {
            return Err(JsonObjectError::ByteOrderMark);
        }
        serde_json::from_slice(body).map_err(|error| {
            if error.is_data() {
                JsonObjectError::NotAnObject
            } else {
                JsonObjectError::Syntax { line: error.line(), column: error.column() }
            }
        })
    }

    /// Whether the member is there at all, even as `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The first of `names` that appears more than once.
    pub(crate) fn duplicate_of(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.duplicates.iter().any(|duplicate| duplicate == name))
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, WrongType> {
        match self.value(name) {
            Some(value) if !value.is_string() => Err(WrongType { member: name, expected: "a string" }),
            value => Ok(value.and_then(Value::as_str)),
        }
    }

    pub(crate) fn texts(&self, name: &'static str) -> Result<Option<Vec<&str>>, WrongType> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let texts =
            value.as_array().and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts.map(Some).ok_or(WrongType { member: name, expected: "an array of strings" })
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        let mut duplicates = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                duplicates.push(name);
            } else {
                members.insert(name, value);
            }
        }
        Ok(Members { members, duplicates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_58_only_one_object_without_byte_order_mark_is_accepted() {
        for (body, error) in [
            (&b"\xef\xbb\xbf{}"[..], JsonObjectError::ByteOrderMark),
            (b"\xff\xfe{\0}\0", JsonObjectError::ByteOrderMark),
            (b"[]", JsonObjectError::NotAnObject),
            (b"\"x\"", JsonObjectError::NotAnObject),
            (b"null", JsonObjectError::NotAnObject),
            (b"1", JsonObjectError::NotAnObject),
            (b"", JsonObjectError::Syntax { line: 1, column: 0 }),
            (b"{", JsonObjectError::Syntax { line: 1, column: 1 }),
            (b"{} x", JsonObjectError::Syntax { line: 1, column: 4 }),
            (b"{\"a\":1,}", JsonObjectError::Syntax { line: 1, column: 8 }),
        ] {
            assert_eq!(Members::parse(body).unwrap_err(), error, "{body:?}");
        }
        assert!(matches!(Members::parse(b"{\"a\":\"\xff\"}"), Err(JsonObjectError::Syntax { .. })));
        let deep = format!("{{\"a\":{}", "[".repeat(4000));
        assert!(matches!(Members::parse(deep.as_bytes()), Err(JsonObjectError::Syntax { .. })));
    }

    #[test]
    fn as_58_duplicates_are_seen_also_when_written_with_escapes() {
        let members = Members::parse(br#"{"a":1,"b":2,"\u0061":3}"#).unwrap();
        assert_eq!(members.duplicate_of(&["b", "a"]), Some("a"));
        assert_eq!(members.duplicate_of(&["b"]), None);
        assert_eq!(members.value("a"), Some(&Value::from(1)));
    }

    #[test]
    fn null_and_empty_strings_count_as_absent() {
        let members = Members::parse(br#"{"n":null,"e":"","t":"x","l":["a"],"m":["a",1],"o":{}}"#).unwrap();
        assert_eq!((members.text("n"), members.text("e"), members.text("z")), (Ok(None), Ok(None), Ok(None)));
        assert_eq!((members.has("n"), members.has("z")), (true, false));
        assert_eq!(members.text("t"), Ok(Some("x")));
        assert_eq!(members.texts("l"), Ok(Some(vec!["a"])));
        for name in ["m", "o", "t"] {
            assert_eq!(members.texts(name).unwrap_err().member, name);
        }
        assert_eq!(members.text("l").unwrap_err().expected, "a string");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_a_panic(body in "[\\[\\]{}:,\"a-c0-9\\\\ ]{0,60}") {
            let _ = Members::parse(body.as_bytes());
        }
    }
}
