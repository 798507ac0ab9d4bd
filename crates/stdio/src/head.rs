//! The headers of a request.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};

use crate::refusal::Refusal;

/// What a client takes for a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) json: bool,
    pub(crate) events: bool,
}

impl Accept {
    /// Reads the Accept header. A client that sends none takes anything (RFC 9110 §12.5.1).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(ACCEPT) {
            return Self { json: true, events: true };
        }
        let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<&str> = ranges.flat_map(|value| value.split(',')).filter_map(accepted).collect();
        let takes = |kinds: &[&str]| {
            ranges.iter().any(|range| kinds.iter().any(|kind| range.eq_ignore_ascii_case(kind)))
        };
        Self {
            json: takes(&["application/json", "application/*", "*/*"]),
            events: takes(&["text/event-stream", "text/*", "*/*"]),
        }
    }
}

/// The media range without its parameters, unless its weight is zero.
fn accepted(range: &str) -> Option<&str> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let is_zero = weight.and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight == 0.0);
    (!is_zero).then_some(media)
}

/// Whether the body is JSON, in whatever charset: JSON is always UTF-8 (RFC 8259 §8.1).
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|value| value.split(';').next()).map(str::trim);
    media.is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
}

/// The only value of a header, if it is there.
///
/// # Errors
///
/// When there are several, or it is no text. `name` is how the header is written.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    name: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(header).iter();
    let value = values.next().map(|value| value.to_str().map_err(|_| Refusal::Header(name))).transpose()?;
    if values.next().is_some() { Err(Refusal::Header(name)) } else { Ok(value.map(str::trim)) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_client_takes() {
        let table: [(&[&'static str], bool, bool); 9] = [
            (&[], true, true),
            (&["application/json, text/event-stream"], true, true),
            (&["application/json", "TEXT/Event-Stream; q=0.5"], true, true),
            (&["*/*"], true, true),
            (&["application/json"], true, false),
            (&["text/event-stream"], false, true),
            (&["application/*;q=0, text/*"], false, true),
            (&["text/html"], false, false),
            (&[""], false, false),
        ];
        for (values, json, events) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(Accept::of(&headers), Accept { json, events }, "{values:?}");
        }
    }

    #[test]
    fn only_json_is_json() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json-seq", false),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
