//! Enough HTML to find forms.

use http::Method;

/// A form, with the fields that would be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The `action`, as written; empty means the page itself.
    pub action: String,
    /// The method, GET when the form names none.
    pub method: Method,
    /// Names and values of the inputs, as they would be submitted.
    pub fields: Vec<(String, String)>,
    /// Names and values of the submit buttons that have a name; one is submitted only when pressed.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// The value of the field `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets the field `name`; false when the form has no such field.
    pub fn fill(&mut self, name: &str, value: &str) -> bool {
        let field = self.fields.iter_mut().find(|(known, _)| known == name);
        field.map(|(_, old)| value.clone_into(old)).is_some()
    }

    /// Adds the submit button `name` with `value` to what is submitted; false when the form has no such button.
    pub fn press(&mut self, name: &str, value: &str) -> bool {
        let button = self.buttons.iter().find(|(known, its)| known == name && its == value).cloned();
        button.map(|button| self.fields.push(button)).is_some()
    }
}

/// The forms of `html`, in order. Forgiving: what is not understood is skipped.
pub(super) fn forms(html: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut open: Option<Form> = None;
    for tag in tags(html) {
        match (tag.name.as_str(), open.as_mut()) {
            ("form", None) => {
                let method = tag.get("method").unwrap_or_default().to_ascii_uppercase();
                open = Some(Form {
                    action: tag.get("action").unwrap_or_default().to_owned(),
                    method: if method == "POST" { Method::POST } else { Method::GET },
                    fields: Vec::new(),
                    buttons: Vec::new(),
                });
            }
            ("/form", Some(_)) => forms.extend(open.take()),
            ("input" | "button", Some(form)) => add_control(form, &tag),
            _ => {}
        }
    }
    forms.extend(open);
    forms
}

fn add_control(form: &mut Form, tag: &Tag) {
    let Some(name) = tag.get("name").filter(|_| tag.get("disabled").is_none()) else { return };
    let default_type = if tag.name == "button" { "submit" } else { "text" };
    let control = |value: &str| (name.to_owned(), tag.get("value").unwrap_or(value).to_owned());
    match tag.get("type").unwrap_or(default_type).to_ascii_lowercase().as_str() {
        "submit" => form.buttons.push(control("")),
        "button" | "reset" | "image" | "file" => {}
        "checkbox" | "radio" if tag.get("checked").is_none() => {}
        "checkbox" | "radio" => form.fields.push(control("on")),
        _ => form.fields.push(control("")),
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The tags of `html`, closing ones with a leading slash in their name.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let end = after.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (attributes, after) = attributes(after);
        tags.push(Tag { name: name.trim_end_matches('/').to_ascii_lowercase(), attributes });
        rest = after;
    }
    tags
}

/// The attributes up to the closing `>`, and what follows it.
fn attributes(text: &str) -> (Vec<(String, String)>, &str) {
    let mut attributes = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/')).unwrap_or(rest.len());
        // A stray `=` must not stop the scanner.
        let (name, after) = rest.split_at(end.max(1));
        let (value, after) = attribute_value(after);
        attributes.push((name.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
}

/// The value after an attribute's name, without its quotes, and what follows it.
fn attribute_value(text: &str) -> (&str, &str) {
    let Some(value) = text.trim_start().strip_prefix('=') else {
        return ("", text);
    };
    let value = value.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    value.split_at(value.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(value.len()))
}

/// Character references: numeric ones and those that every escaping function writes.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let reference = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = reference.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_fields_and_its_buttons() {
        let html = r#"<!doctype html><!-- <form action="/no"> --><p>1 < 2</p>
            <FORM method=post action="/go?a=1&amp;b=&#50;">
              <input type="hidden" name="ticket" value="a&#34;&lt;&#x26;&unknown;b">
              <input name='username' autofocus required><input type=password name=password />
              <input type=checkbox name=off><input type=checkbox name=on checked>
              <input type=hidden value=nameless><input name=disabled disabled>
              <button name="decision" value="approve">Allow</button>
              <button type=submit name="decision" value="deny">Cancel</button><button type=button name=js>x</button>
            </form><form></form><input name=outside>"#;
        let forms = forms(html);
        assert_eq!(forms.len(), 2);
        let mut form = forms[0].clone();
        assert_eq!((form.action.as_str(), &form.method), ("/go?a=1&b=2", &Method::POST));
        let names: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ticket", "username", "password", "on"]);
        assert_eq!(form.field("ticket"), Some("a\"<&&unknown;b"));
        assert_eq!(form.field("on"), Some("on"));
        assert_eq!(form.buttons.len(), 2);
        assert!(form.fill("username", "dev") && !form.fill("decision", "approve"));
        assert!(form.press("decision", "approve") && !form.press("decision", "maybe"));
        assert_eq!((form.field("username"), form.field("decision")), (Some("dev"), Some("approve")));
        assert_eq!(forms[1].method, Method::GET);
    }

    #[test]
    fn broken_html_ends() {
        for html in [
            "<",
            "<form",
            "<form =",
            "<form a='",
            "<form action=\"x",
            "<input name",
            "<!--",
            "<form ==>",
            "</",
        ] {
            assert!(forms(html).len() <= 1, "{html}");
        }
    }
}
