//! Who logged in, out of what an upstream answered.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use thv_client::member_path::MemberPath;
use thv_jose::digest::sha256;

use super::UpstreamError;

/// The longest subject, as OpenID Connect Core §2 has it for `sub`; names and addresses are bounded alike.
const MAX_LENGTH: usize = 255;

/// The owner of the tokens.
pub(in crate::upstream) struct Identity {
    pub(in crate::upstream) subject: String,
    pub(in crate::upstream) name: Option<String>,
    pub(in crate::upstream) email: Option<String>,
}

impl Identity {
    /// From claims at the given paths; of each, the first with a usable text counts.
    pub(super) fn read(
        document: &Value,
        subject: &[String],
        name: &[String],
        email: &[String],
    ) -> Result<Self, UpstreamError> {
        let text = |path: &String| MemberPath::parse(path).text(document);
        let subject = subject.iter().find_map(text);
        let subject =
            subject.ok_or_else(|| UpstreamError::unacceptable("nothing in it names the subject"))?;
        Ok(Self {
            subject: acceptable_subject(subject)?,
            name: first_displayable(document, name),
            email: first_displayable(document, email),
        })
    }

    /// Where nothing says who the user is: a subject that holds for this access token alone, so every login is somebody new.
    pub(super) fn synthetic(access_token: &SecretString) -> Self {
        let digest = sha256(access_token.expose_secret().as_bytes());
        let half = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { subject: format!("tk-{half}"), name: None, email: None }
    }
}

/// A subject that can be put into our tokens and logs.
pub(in crate::upstream) fn acceptable_subject(subject: String) -> Result<String, UpstreamError> {
    displayable(subject).ok_or_else(|| {
        UpstreamError::unacceptable(format!(
            "the subject must be 1 to {MAX_LENGTH} bytes without control characters"
        ))
    })
}

/// The first text that can be shown among those at `paths`.
pub(in crate::upstream) fn first_displayable(document: &Value, paths: &[String]) -> Option<String> {
    paths.iter().find_map(|path| MemberPath::parse(path).text(document).and_then(displayable))
}

/// The text, if it can be shown and kept.
pub(in crate::upstream) fn displayable(text: String) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= MAX_LENGTH && !text.chars().any(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn u2_the_first_usable_field_counts_and_numbers_are_subjects() {
        let user =
            json!({"id": 583_231, "login": "octocat", "name": null, "email": "", "plan": {"name": "pro"}});
        let identity =
            Identity::read(&user, &names(&["sub", "id"]), &names(&["name", "login"]), &names(&["email"]))
                .unwrap();
        assert_eq!(identity.subject, "583231");
        assert_eq!(identity.name.as_deref(), Some("octocat"));
        assert_eq!(identity.email, None);
        assert!(Identity::read(&user, &names(&["sub", "plan"]), &[], &[]).is_err());
    }

    #[test]
    fn u1_a_subject_is_short_and_has_no_control_characters() {
        for (subject, ok) in [
            ("a".to_owned(), true),
            ("名前 with space".to_owned(), true),
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            (String::new(), false),
            ("a\nb".to_owned(), false),
            ("a\u{85}b".to_owned(), false),
        ] {
            assert_eq!(acceptable_subject(subject.clone()).is_ok(), ok, "{subject:?}");
        }
    }

    #[test]
    fn u2_a_synthetic_subject_is_half_a_digest_of_the_access_token() {
        // SHA-256 of "abc" (FIPS 180-2 B.1).
        let identity = Identity::synthetic(&SecretString::from("abc"));
        assert_eq!(identity.subject, "tk-ba7816bf8f01cfea414140de5dae2223");
    }
}
