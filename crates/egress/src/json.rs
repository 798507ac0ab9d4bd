//! Whether a response is JSON.

use http::header::{CONTENT_TYPE, HeaderMap};

/// Whether the one `Content-Type` is `application/json` or `application/*+json`, parameters allowed (AS-60).
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some("json") => true,
        Some(subtype) => {
            subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty() && name.bytes().all(is_token))
        }
        None => false,
    }
}

/// A `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn judge(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        is_json(&headers)
    }

    #[test]
    fn as_60_json_and_its_suffix_are_json() {
        for value in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;x",
            "application/cimd+json",
            "application/jwk-set+json ; charset=\"utf-8\"",
        ] {
            assert!(judge(&[value]), "{value}");
        }
    }

    #[test]
    fn as_60_everything_else_is_not() {
        for value in [
            "",
            "text/html",
            "text/json",
            "application/jsonp",
            "application/+json",
            "application/a b+json",
            "json",
            "application/json, text/html",
            "text/plain; application/json",
            "application/x+json+xml",
        ] {
            assert!(!judge(&[value]), "{value}");
        }
        assert!(!judge(&[]));
        assert!(!judge(&["application/json", "text/html"]));
    }
}
