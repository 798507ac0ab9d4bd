//! `application/x-www-form-urlencoded` parameters of authorization and token requests.

use url::form_urlencoded;

/// The most name/value pairs that one request may carry.
pub const MAX_PAIRS: usize = 100;

/// Why parameters were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// More than [`MAX_PAIRS`] pairs.
    #[error("more than {limit} parameters")]
    TooMany {
        /// How many are accepted.
        limit: usize,
    },
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("malformed percent-encoding in a parameter")]
    PercentEncoding,
    /// A decoded name or value that is not UTF-8.
    #[error("a parameter is not valid UTF-8")]
    NotUtf8,
    /// A parameter that may appear once appears more than once (RFC 6749 §3.1).
    #[error("parameter {name} is repeated")]
    Repeated {
        /// The parameter's name, as asked for by the caller.
        name: String,
    },
}

/// Decoded request parameters in their order. `Debug` shows the names only: values may be codes or secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Decodes a query string (without `?`) or a form body.
    ///
    /// Stricter than the WHATWG form decoder: a malformed `%` or invalid UTF-8 is an error, not a replacement
    /// character, so that what is compared later is what was sent.
    ///
    /// # Errors
    /// [`ParamsError`], but never `Repeated`: that is judged per name by [`Params::one`].
    pub fn parse(encoded: &[u8]) -> Result<Self, ParamsError> {
        let mut pairs = Vec::new();
        for pair in encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(ParamsError::TooMany { limit: MAX_PAIRS });
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter that may appear at most once. An empty value counts as omitted (AS-30).
    ///
    /// # Errors
    /// [`ParamsError::Repeated`] if there are several non-empty values, even equal ones.
    pub fn one(&self, name: &str) -> Result<Option<&str>, ParamsError> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(ParamsError::Repeated { name: name.to_owned() }),
            None => Ok(first),
        }
    }

    /// All non-empty values of a parameter that may be repeated, such as `resource`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(candidate, value)| candidate == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// Encodes pairs as `application/x-www-form-urlencoded`.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Adds pairs to the query of a URI and keeps everything that is there byte for byte (RFC 6749 §4.1.2). A fragment,
/// which a redirect URI cannot have, stays at the end.
pub fn append_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() {
        return uri.to_owned();
    }
    let (base, fragment) = match uri.find('#') {
        Some(at) => uri.split_at(at),
        None => (uri, ""),
    };
    let separator = match base.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{base}{separator}{}{fragment}", encode(pairs))
}

/// Decodes one form-encoded component (`+` is a space).
///
/// # Errors
/// Malformed percent-encoding, or bytes that are not UTF-8.
pub fn decode(encoded: &[u8]) -> Result<String, ParamsError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next())? * 16 + hex_digit(bytes.next())?,
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| ParamsError::NotUtf8)
}

fn hex_digit(byte: Option<&u8>) -> Result<u8, ParamsError> {
    let digit = byte.and_then(|&byte| char::from(byte).to_digit(16)).ok_or(ParamsError::PercentEncoding)?;
    u8::try_from(digit).map_err(|_| ParamsError::PercentEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_30_a_repeated_parameter_is_an_error_and_an_empty_one_is_omitted() {
        let params =
            Params::parse(b"state=a&state=a&scope=&client_id=&client_id=x&resource=1&resource=2").unwrap();
        assert_eq!(params.one("state"), Err(ParamsError::Repeated { name: "state".into() }));
        assert_eq!(params.one("scope"), Ok(None));
        assert_eq!(params.one("client_id"), Ok(Some("x")));
        assert_eq!(params.one("nonce"), Ok(None));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn malformed_encodings_are_errors_not_replacements() {
        for (body, error) in [
            (&b"a=%"[..], ParamsError::PercentEncoding),
            (b"a=%4", ParamsError::PercentEncoding),
            (b"a=%zz", ParamsError::PercentEncoding),
            (b"%+1=a", ParamsError::PercentEncoding),
            (b"a=%ff", ParamsError::NotUtf8),
            (b"a=\xff", ParamsError::NotUtf8),
        ] {
            assert_eq!(Params::parse(body), Err(error), "{body:?}");
        }
    }

    #[test]
    fn at_most_a_hundred_pairs_are_accepted() {
        assert!(Params::parse("a=1&".repeat(MAX_PAIRS).as_bytes()).is_ok());
        assert_eq!(
            Params::parse("a=1&".repeat(MAX_PAIRS + 1).as_bytes()),
            Err(ParamsError::TooMany { limit: MAX_PAIRS })
        );
    }

    #[test]
    fn debug_shows_names_but_no_values() {
        let shown = format!("{:?}", Params::parse(b"code=s3cret").unwrap());
        assert_eq!(shown, "[\"code\"]");
    }

    #[test]
    fn as_29_the_query_of_a_redirect_uri_is_kept_byte_for_byte() {
        let pairs = [("code", "a b"), ("state", "ü&=")];
        for (uri, expected) in [
            ("https://c.example/cb", "https://c.example/cb?code=a+b&state=%C3%BC%26%3D"),
            ("https://c.example/cb?", "https://c.example/cb?code=a+b&state=%C3%BC%26%3D"),
            ("https://c.example/cb?A=%2f&b", "https://c.example/cb?A=%2f&b&code=a+b&state=%C3%BC%26%3D"),
            ("https://c.example/cb?a&", "https://c.example/cb?a&code=a+b&state=%C3%BC%26%3D"),
            ("app:/cb#f", "app:/cb?code=a+b&state=%C3%BC%26%3D#f"),
        ] {
            assert_eq!(append_query(uri, &pairs), expected);
        }
        assert_eq!(append_query("https://c.example/cb", &[]), "https://c.example/cb");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Params::parse(&body);
        }

        #[test]
        fn what_is_encoded_is_decoded_again(pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..20)) {
            let borrowed: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(Params::parse(encode(&borrowed).as_bytes()).unwrap().pairs, pairs);
        }
    }
}
