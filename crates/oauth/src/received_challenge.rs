//! Challenges as they are received: `WWW-Authenticate` of any server (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

/// One challenge. Absent and empty parameters are the same thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedChallenge {
    /// The scheme as it was written, such as `Bearer`.
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl ReceivedChallenge {
    /// All challenges of these header values, in their order; a value may have several (CL-1). What cannot be read is passed
    /// over: a server that writes one of them badly has still said the others.
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for value in values {
            Reader { rest: value, challenges: &mut challenges, open: false }.read();
        }
        challenges
    }

    /// The challenge to go by, of several: the first `Bearer` that points to metadata, or else the first `Bearer`.
    pub fn bearer(challenges: &[Self]) -> Option<&Self> {
        let mut bearer = challenges.iter().filter(|challenge| challenge.is("Bearer"));
        let first = bearer.next()?;
        if first.resource_metadata().is_some() {
            return Some(first);
        }
        Some(bearer.find(|challenge| challenge.resource_metadata().is_some()).unwrap_or(first))
    }

    /// Whether it is of this scheme; case does not matter (RFC 9110 §11.1).
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The protection space.
    pub fn realm(&self) -> Option<&str> {
        self.param("realm")
    }

    /// What was wrong with the token (RFC 6750 §3.1).
    pub fn error(&self) -> Option<&str> {
        self.param("error")
    }

    /// A text for the client's developer.
    pub fn error_description(&self) -> Option<&str> {
        self.param("error_description")
    }

    /// The scope that is needed.
    pub fn scope(&self) -> Option<&str> {
        self.param("scope")
    }

    /// Where the protected resource metadata is (RFC 9728 §5.1).
    pub fn resource_metadata(&self) -> Option<&str> {
        self.param("resource_metadata")
    }

    /// The first parameter of this name, which is in lower case.
    fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

struct Reader<'a, 'c> {
    rest: &'a str,
    challenges: &'c mut Vec<ReceivedChallenge>,
    /// Whether a challenge of this value has begun, so that parameters are its own.
    open: bool,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
            if self.rest.is_empty() {
                return;
            }
            let word = self.word();
            if word.is_empty() {
                // No character that a name begins with: on to the next element.
                self.skip_element();
            } else if let Some(value) = self.value() {
                self.param(&word, value);
            } else {
                self.challenges.push(ReceivedChallenge { scheme: word, params: Vec::new() });
                self.open = true;
                self.token68();
            }
        }
    }

    fn param(&mut self, name: &str, value: String) {
        if let Some(challenge) = self.challenges.last_mut().filter(|_| self.open) {
            challenge.params.push((name.to_ascii_lowercase(), value));
        }
    }

    fn word(&mut self) -> String {
        self.take(is_token)
    }

    fn take(&mut self, accepted: fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !accepted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    /// What follows `=`, if that is what comes next.
    fn value(&mut self) -> Option<String> {
        let after = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=')?;
        self.rest = after.trim_start_matches([' ', '\t']);
        match self.rest.strip_prefix('"') {
            Some(inside) => Some(self.quoted(inside)),
            // More than a token may have: some servers do not quote URLs.
            None => Some(self.take(|c| !matches!(c, ',' | ' ' | '\t' | '"'))),
        }
    }

    /// The rest of a quoted-string; one that does not end reaches to the end.
    fn quoted(&mut self, inside: &str) -> String {
        let mut value = String::new();
        let mut chars = inside.char_indices();
        let mut end = inside.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        let consumed = self.rest.len() - inside.len() + end;
        self.rest = self.rest.get(consumed..).unwrap_or_default();
        value
    }

    /// Passes over the token68 of a scheme that has one instead of parameters, such as `Negotiate`.
    fn token68(&mut self) {
        let Some(after) = self.rest.strip_prefix(' ') else { return };
        let after = after.trim_start_matches(' ');
        let end = after.find(|c| !is_token68(c)).unwrap_or(after.len());
        let (word, behind) = after.split_at(end);
        let is_last = behind.trim_start_matches([' ', '\t']);
        let stands_alone = is_last.is_empty() || is_last.starts_with(',');
        if !word.is_empty() && stands_alone {
            self.rest = behind;
        }
    }

    fn skip_element(&mut self) {
        let next = self.rest.find(',').unwrap_or(self.rest.len());
        // At least one character, or this would never end.
        let next = next.max(self.rest.chars().next().map_or(0, char::len_utf8));
        self.rest = self.rest.get(next..).unwrap_or_default();
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_token68(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::challenge::Challenge;

    fn bearer(values: &[&str]) -> Option<ReceivedChallenge> {
        ReceivedChallenge::bearer(&ReceivedChallenge::parse_all(values.iter().copied())).cloned()
    }

    #[test]
    fn cl_1_several_challenges_in_any_order_and_notation_are_read() {
        for values in [
            &[r#"Bearer resource_metadata="https://r.example/m", scope="a b""#][..],
            &[r#"Basic realm="x, y", bearer SCOPE="a b" , Resource_Metadata = "https://r.example/m""#],
            &["Negotiate abc==", r#"BEARER scope="a b",resource_metadata=https://r.example/m"#],
            &[
                r#"Negotiate, Bearer error="invalid_token", Bearer resource_metadata="https://r.example/m", scope="a b""#,
            ],
            &[
                r#"Digest nonce="a=\"b\", c", qop="auth", Bearer scope="a b", resource_metadata="https://r.example/m""#,
            ],
            &["Basic", r#",, Bearer  scope="a b",, resource_metadata="https://r.example/m","#],
        ] {
            let found = bearer(values).unwrap();
            assert_eq!(found.scope(), Some("a b"), "{values:?}");
            assert_eq!(found.resource_metadata(), Some("https://r.example/m"), "{values:?}");
        }
    }

    #[test]
    fn parameters_belong_to_their_own_challenge() {
        let all = ReceivedChallenge::parse_all([r#"Basic realm="b", Bearer realm="https://as.example""#]);
        assert_eq!(
            all.iter().map(|one| one.realm().unwrap()).collect::<Vec<_>>(),
            ["b", "https://as.example"]
        );
        assert!(bearer(&[r#"Basic realm="x""#]).is_none());
        assert_eq!(bearer(&[r#"Bearer scope="", error="invalid_token""#]).unwrap().scope(), None);
        // A value of its own begins without a challenge.
        assert_eq!(bearer(&["Bearer", r#"scope="a""#]).unwrap().scope(), None);
    }

    #[test]
    fn an_unfinished_quote_and_noise_are_survived() {
        assert_eq!(bearer(&[r#"Bearer error="invalid_token"#]).unwrap().error(), Some("invalid_token"));
        assert_eq!(bearer(&[r#"(/), Bearer scope="a"#]).unwrap().scope(), Some("a"));
        assert_eq!(
            bearer(&["", "Bearer"]).unwrap(),
            ReceivedChallenge { scheme: "Bearer".into(), params: vec![] }
        );
    }

    #[test]
    fn our_own_challenge_is_read_back() {
        let written =
            Challenge::bearer().realm("a \"q\" \\ b").resource_metadata("https://r.example/m").to_string();
        let read = bearer(&[&written]).unwrap();
        assert_eq!(
            (read.realm(), read.resource_metadata()),
            (Some("a \"q\" \\ b"), Some("https://r.example/m"))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}|(Bearer|Basic|[a-z]=|\"|\\\\|,| |x){0,20}") {
            let _ = ReceivedChallenge::parse_all([text.as_str()]);
        }
    }
}
