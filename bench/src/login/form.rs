//! HTML forms, read just well enough for the authorization server's own pages, and their encoding.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The media type of an encoded form.
pub(crate) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes fields for a form body or a query.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, RESERVED));
        text.push('=');
        text.extend(utf8_percent_encode(value, RESERVED));
    }
    text
}

/// The decoded value of a query parameter.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

/// The first form of a page, filled in: hidden fields, and the button that says yes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Where to; empty means the page's own address.
    pub(super) action: String,
    /// What is sent.
    pub(super) fields: Vec<(String, String)>,
}

impl Form {
    /// The first form that has an agreeable button: one named `decision` must say `approve`, any other button will do.
    pub(super) fn find(page: &str) -> Option<Self> {
        page.split("<form").skip(1).find_map(|rest| {
            let (opening, rest) = rest.split_once('>')?;
            let (inside, _) = rest.split_once("</form")?;
            Self::fill(opening, inside)
        })
    }

    fn fill(opening: &str, inside: &str) -> Option<Self> {
        let mut fields = Vec::new();
        let mut button = None;
        for tag in inside.split('<').filter_map(|piece| piece.split_once('>').map(|(tag, _)| tag)) {
            let kind = attribute(tag, "type").unwrap_or_default();
            let field =
                (attribute(tag, "name").unwrap_or_default(), attribute(tag, "value").unwrap_or_default());
            if tag.starts_with("button") || (tag.starts_with("input") && kind == "submit") {
                let agreeable = field.0 != "decision" || field.1 == "approve";
                button = button.or(agreeable.then_some(field));
            } else if tag.starts_with("input") && kind == "hidden" {
                fields.push(field);
            }
        }
        fields.push(button?);
        fields.retain(|(name, _)| !name.is_empty());
        Some(Self { action: attribute(opening, "action").unwrap_or_default(), fields })
    }
}

/// The unescaped value of a quoted attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(unescape(value))
}

/// The character references that HTML escapers write; `&amp;` last, so that nothing is unescaped twice.
fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#x2F;", "/"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_form_is_approved_with_its_hidden_fields() {
        let page = r#"<main><form method="post" action="/oauth/consent"><input type="hidden" name="ticket" value="a&amp;b&#34;"
            ><button name="decision" value="deny">No</button><button type="submit" name="decision" value="approve">Yes</button></form>"#;
        let form = Form::find(page).unwrap();
        assert_eq!(form.action, "/oauth/consent");
        assert_eq!(form.fields, [("ticket".into(), "a&b\"".into()), ("decision".into(), "approve".into())]);
    }

    #[test]
    fn a_nameless_button_submits_the_hidden_fields_alone() {
        let page = r#"<form action="/go"><input type="hidden" name="s" value="1"><button type="submit">Log in</button></form>"#;
        assert_eq!(Form::find(page).unwrap().fields, [("s".into(), "1".into())]);
    }

    #[test]
    fn a_form_that_can_only_be_denied_is_passed_over() {
        let page = r#"<form action="/no"><button name="decision" value="deny">No</button></form>"#;
        assert_eq!(Form::find(page), None);
    }

    #[test]
    fn encoding_and_reading_back_keeps_reserved_characters() {
        let query = encode(&[("a", "x y&z=/ü"), ("b", "~-._")]);
        assert_eq!(query, "a=x%20y%26z%3D%2F%C3%BC&b=~-._");
        assert_eq!(parameter(&query, "a").as_deref(), Some("x y&z=/ü"));
        assert_eq!(parameter(&query, "c"), None);
    }
}
