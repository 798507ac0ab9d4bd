//! Text of a client that people read (RFC 7591 §2): its name, and information about its software and contacts.

/// The longest text, in characters.
pub(crate) const MAX_LENGTH: usize = 256;
/// The most contacts.
pub(crate) const MAX_CONTACTS: usize = 10;

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientNameError {
    #[error("client_name is empty")]
    Empty,
    #[error("client_name is longer than 256 characters")]
    TooLong,
    #[error("client_name has a control or invisible character")]
    ForbiddenCharacter,
}

/// A `client_name` without surrounding white space.
pub(crate) fn client_name(raw: &str) -> Result<String, ClientNameError> {
    let name = raw.trim();
    // Joiners belong to some scripts and to emoji, but alone they show nothing.
    if name.chars().all(|c| c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}')) {
        return Err(ClientNameError::Empty);
    }
    if name.chars().count() > MAX_LENGTH {
        return Err(ClientNameError::TooLong);
    }
    if name.chars().any(is_forbidden) {
        return Err(ClientNameError::ForbiddenCharacter);
    }
    Ok(name.to_owned())
}

/// Whether a text that is kept for information only is short printable ASCII.
pub(crate) fn is_informative(text: &str) -> bool {
    text.len() <= MAX_LENGTH && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// Control characters, line and paragraph separators, everything that changes the direction of the text around it,
/// and characters that show nothing and join nothing.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_59_names_are_trimmed_and_safe_to_show() {
        assert_eq!(client_name(" Claude Code \n").unwrap(), "Claude Code");
        assert_eq!(client_name("クロード 🙂").unwrap(), "クロード 🙂");
        assert_eq!(client_name(&"é".repeat(256)).unwrap().chars().count(), 256);
        assert_eq!(client_name(&"é".repeat(257)), Err(ClientNameError::TooLong));
        for empty in ["", " \t", "\u{200d}\u{200c}"] {
            assert_eq!(client_name(empty), Err(ClientNameError::Empty), "{empty:?}");
        }
        assert!(client_name("👩\u{200d}💻").is_ok());
        for bad in [
            "a\nb",
            "a\u{0}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200f}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{200b}b",
            "a\u{e0041}b",
        ] {
            assert_eq!(client_name(bad), Err(ClientNameError::ForbiddenCharacter), "{bad:?}");
        }
    }
}
