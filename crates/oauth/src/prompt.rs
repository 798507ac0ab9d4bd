//! The `prompt` parameter (OpenID Connect Core §3.1.2.1).

/// Why a `prompt` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PromptError {
    /// `none` together with another value.
    #[error("prompt none must not be combined with other values")]
    NoneWithOthers,
}

/// What the client wants the user to be asked. Unknown values are ignored (AS-31).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Prompt {
    /// Show no page; fail if one would be needed.
    pub none: bool,
    /// Ask for consent even if it was given before.
    pub consent: bool,
    /// Ask the user to log in again.
    pub login: bool,
    /// Let the user choose an account.
    pub select_account: bool,
}

impl Prompt {
    /// Parses a space-separated, case-sensitive list.
    ///
    /// # Errors
    /// [`PromptError::NoneWithOthers`], also if the other value is unknown.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let mut prompt = Self::default();
        let mut others = false;
        for value in text.split(' ').filter(|value| !value.is_empty()) {
            match value {
                "none" => prompt.none = true,
                "consent" => prompt.consent = true,
                "login" => prompt.login = true,
                "select_account" => prompt.select_account = true,
                _ => {}
            }
            others |= value != "none";
        }
        if prompt.none && others { Err(PromptError::NoneWithOthers) } else { Ok(prompt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_31_known_values_are_flags_and_unknown_ones_are_ignored() {
        let all = Prompt { none: false, consent: true, login: true, select_account: true };
        assert_eq!(Prompt::parse("login consent  select_account"), Ok(all));
        assert_eq!(Prompt::parse("consent create"), Ok(Prompt { consent: true, ..Prompt::default() }));
        assert_eq!(Prompt::parse("create Consent"), Ok(Prompt::default()));
        assert_eq!(Prompt::parse(""), Ok(Prompt::default()));
    }

    #[test]
    fn as_31_none_stands_alone() {
        assert_eq!(Prompt::parse("none"), Ok(Prompt { none: true, ..Prompt::default() }));
        for text in ["none login", "consent none", "none create"] {
            assert_eq!(Prompt::parse(text), Err(PromptError::NoneWithOthers));
        }
    }
}
