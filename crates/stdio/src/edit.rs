//! Small changes to JSON text that leave the rest of it as it was sent.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use thv_mcp::meta;

/// The text cannot be changed because it is not the object that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"_meta\" is not an object, or a member of it is repeated")]
pub(crate) struct NotAnObject;

/// Members of an object, with their values as JSON.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The `_meta` of a request's or notification's parameters.
#[derive(Debug, Default)]
pub(crate) struct Meta<'a> {
    text: Option<&'a str>,
    members: Members<'a>,
}

impl<'a> Meta<'a> {
    /// Reads it from parameters, which are JSON.
    ///
    /// # Errors
    ///
    /// When there is one and it is no object.
    pub(crate) fn of(params: Option<&'a str>) -> Result<Self, NotAnObject> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, rename = "_meta")]
            meta: Option<&'a RawValue>,
        }
        let Some(params) = params else { return Ok(Self::default()) };
        let params: Params<'a> = serde_json::from_str(params).map_err(|_| NotAnObject)?;
        let Some(text) = params.meta.map(RawValue::get) else { return Ok(Self::default()) };
        let members = serde_json::from_str(text).map_err(|_| NotAnObject)?;
        Ok(Self { text: Some(text), members })
    }

    /// The value of a member, as JSON.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.members.get(key).map(|value| value.get())
    }

    /// All of it, as JSON.
    pub(crate) const fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// The revision that a request of the stateless revisions names.
    pub(crate) fn version(&self) -> Option<String> {
        self.get(meta::PROTOCOL_VERSION).and_then(|value| serde_json::from_str(value).ok())
    }

    /// Whether there is a member that every request of the stateless revisions has.
    pub(crate) fn is_envelope(&self) -> bool {
        self.members.contains_key(meta::PROTOCOL_VERSION)
    }

    /// The parameters with the progress token, if there is one, replaced by `token`.
    pub(crate) fn with_progress_token(&self, params: &str, token: u64) -> String {
        match self.get(meta::PROGRESS_TOKEN) {
            Some(old) => replace(params, old, &token.to_string()),
            None => params.to_owned(),
        }
    }

    /// The parameters as a server of an older revision expects them: without what the envelope adds, and with the progress
    /// token, if there is one, replaced by `token`.
    pub(crate) fn without_envelope(&self, params: &str, token: u64) -> String {
        let Some(text) = self.text else { return params.to_owned() };
        let added = [meta::PROTOCOL_VERSION, meta::CLIENT_INFO, meta::CLIENT_CAPABILITIES, meta::LOG_LEVEL];
        let token = token.to_string();
        let kept = self.members.iter().filter(|(key, _)| !added.contains(&key.as_str()));
        let kept = kept.map(|(key, value)| {
            let value = if key == meta::PROGRESS_TOKEN { &token } else { value.get() };
            (key.as_str(), value)
        });
        replace(params, text, &object(kept))
    }
}

/// An object of these members, whose values are JSON.
pub(crate) fn object<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> =
        members.into_iter().map(|(key, value)| format!("{}:{value}", crate::jsonrpc::string(key))).collect();
    format!("{{{}}}", members.join(","))
}

/// The members of an object; none when the text is no object.
pub(crate) fn members(object: &str) -> Members<'_> {
    serde_json::from_str(object).unwrap_or_default()
}

/// `object` with these members before its own; the caller knows that it does not have them.
pub(crate) fn insert<'a>(object: &str, added: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let added = self::object(added);
    let (Some(inner), Some(rest)) = (added.strip_suffix('}'), object.trim_start().strip_prefix('{')) else {
        return object.to_owned();
    };
    let separator = if inner.len() == 1 || rest.trim_start().starts_with('}') { "" } else { "," };
    format!("{inner}{separator}{rest}")
}

/// `text` with its part `part` replaced. `part` is a slice of `text`, not just equal to a piece of it.
pub(crate) fn replace(text: &str, part: &str, replacement: &str) -> String {
    let Some(range) = range_of(text, part) else { return text.to_owned() };
    let (Some(before), Some(after)) = (text.get(..range.start), text.get(range.end..)) else {
        return text.to_owned();
    };
    [before, replacement, after].concat()
}

/// Where `part` lies in `text`.
fn range_of(text: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_progress_token_changes() {
        let params = r#"{ "a":"7", "_meta": {"x":7, "progressToken" : 7 , "y":[7]}, "b":7}"#;
        let meta = Meta::of(Some(params)).unwrap();
        assert_eq!(meta.get(meta::PROGRESS_TOKEN), Some("7"));
        assert_eq!(
            meta.with_progress_token(params, 41),
            r#"{ "a":"7", "_meta": {"x":7, "progressToken" : 41 , "y":[7]}, "b":7}"#
        );
        let without = r#"{"a":1,"_meta":{}}"#;
        assert_eq!(Meta::of(Some(without)).unwrap().with_progress_token(without, 41), without);
    }

    #[test]
    fn the_envelope_is_taken_off_and_the_rest_stays() {
        let params = r#"{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"p","io.modelcontextprotocol/clientCapabilities":{},"traceparent":"00"},"arguments":{}}"#;
        let meta = Meta::of(Some(params)).unwrap();
        assert!(meta.is_envelope());
        assert_eq!(
            meta.without_envelope(params, 5),
            r#"{"name":"x","_meta":{"progressToken":5,"traceparent":"00"},"arguments":{}}"#
        );
        assert_eq!(Meta::of(Some("{}")).unwrap().without_envelope("{}", 5), "{}");
    }

    #[test]
    fn a_meta_that_is_no_object_is_refused() {
        for params in [r#"{"_meta":1}"#, r#"{"_meta":[]}"#, r#"{"_meta":{},"_meta":{}}"#] {
            assert_eq!(Meta::of(Some(params)).unwrap_err(), NotAnObject, "{params}");
        }
        assert!(Meta::of(Some(r#"{"_meta":null}"#)).unwrap().members.is_empty());
    }

    #[test]
    fn members_are_put_before_an_objects_own() {
        assert_eq!(insert(r#" {"a":1}"#, [("b", "2")]), r#"{"b":2,"a":1}"#);
        assert_eq!(insert("{ }", [("b", "2"), ("c", "{}")]), r#"{"b":2,"c":{} }"#);
        assert_eq!(insert(r#"{"a":1}"#, []), r#"{"a":1}"#);
    }
}
