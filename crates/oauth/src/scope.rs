//! Scope tokens (RFC 6749 §3.3).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most tokens that one request or document may carry.
pub const MAX_TOKENS: usize = 64;
/// The longest accepted token, in characters.
pub const MAX_TOKEN_LENGTH: usize = 128;

/// Why a scope was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A token with a character outside `%x21 / %x23-5B / %x5D-7E`, or an empty one.
    #[error("a scope token is empty or has a character that RFC 6749 does not allow")]
    InvalidToken,
    /// A token longer than [`MAX_TOKEN_LENGTH`].
    #[error("a scope token is longer than {limit} characters")]
    TokenTooLong {
        /// The longest accepted token.
        limit: usize,
    },
    /// More than [`MAX_TOKENS`] different tokens.
    #[error("more than {limit} scope tokens")]
    TooMany {
        /// How many are accepted.
        limit: usize,
    },
}

/// Scope tokens in the order in which they were first named, without duplicates. Equality ignores the order, since
/// "the strings' order does not matter" (RFC 6749 §3.3).
#[derive(Clone, Debug, Default)]
pub struct ScopeSet(Vec<String>);

impl ScopeSet {
    /// Parses a space-separated list; additional spaces are ignored.
    ///
    /// # Errors
    /// [`ScopeError`] for a token that breaks the grammar or a list beyond the limits.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::from_tokens(text.split(' ').filter(|token| !token.is_empty()))
    }

    /// Collects single tokens, each checked as by [`ScopeSet::parse`].
    ///
    /// # Errors
    /// [`ScopeError`], also for an empty token.
    pub fn from_tokens<I>(tokens: I) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::collect(tokens, MAX_TOKENS)
    }

    fn collect<I>(tokens: I, limit: usize) -> Result<Self, ScopeError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut set = Self::default();
        for token in tokens {
            let token = token.as_ref();
            check_token(token)?;
            set.insert(token);
            if set.0.len() > limit {
                return Err(ScopeError::TooMany { limit });
            }
        }
        Ok(set)
    }

    fn insert(&mut self, token: &str) {
        if !self.contains(token) {
            self.0.push(token.to_owned());
        }
    }

    /// Whether the set has this token.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|own| own == token)
    }

    /// Whether `other` has every token of this set.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|token| other.contains(token))
    }

    /// The tokens of both; those of `self` come first.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut set = self.clone();
        other.iter().for_each(|token| set.insert(token));
        set
    }

    /// The tokens of `self` that `other` has too.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|token| other.contains(token)).cloned().collect())
    }

    /// The tokens of this set that occur among `names`, in the order of `names`. Whatever else is named, well formed
    /// or not, is left out.
    #[must_use]
    pub fn named_in<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        names.into_iter().filter(|name| self.contains(name)).for_each(|name| set.insert(name));
        set
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The tokens in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl PartialEq for ScopeSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.is_subset_of(other)
    }
}

impl Eq for ScopeSet {}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    /// Checks the tokens but not their number: a stored union of two sets may be longer than any request.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::collect(text.split(' ').filter(|token| !token.is_empty()), usize::MAX)
            .map_err(serde::de::Error::custom)
    }
}

fn check_token(token: &str) -> Result<(), ScopeError> {
    if token.len() > MAX_TOKEN_LENGTH {
        return Err(ScopeError::TokenTooLong { limit: MAX_TOKEN_LENGTH });
    }
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if token.is_empty() || !token.bytes().all(allowed) {
        return Err(ScopeError::InvalidToken);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scopes(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn tokens_keep_their_order_and_lose_duplicates() {
        assert_eq!(scopes("b a  b c ").to_string(), "b a c");
        assert_eq!(scopes("").len(), 0);
        assert_eq!(scopes("a b"), scopes("b a"));
        assert_ne!(scopes("a b"), scopes("a"));
    }

    #[test]
    fn the_character_set_and_the_limits_of_a_token_hold() {
        for bad in ["a\tb", "a\"b", "a\\b", "é", "a\u{7f}", "a\nb"] {
            assert_eq!(ScopeSet::parse(bad), Err(ScopeError::InvalidToken), "{bad:?}");
        }
        assert_eq!(ScopeSet::from_tokens(["a b"]), Err(ScopeError::InvalidToken));
        assert_eq!(ScopeSet::from_tokens([""]), Err(ScopeError::InvalidToken));
        assert!(ScopeSet::parse(&"x".repeat(128)).is_ok());
        assert_eq!(ScopeSet::parse(&"x".repeat(129)), Err(ScopeError::TokenTooLong { limit: 128 }));
    }

    #[test]
    fn at_most_sixty_four_tokens_are_parsed_but_stored_unions_load() {
        let many = |from: usize, to: usize| (from..to).map(|n| format!("s{n}")).collect::<Vec<_>>();
        assert_eq!(ScopeSet::from_tokens(many(0, 65)), Err(ScopeError::TooMany { limit: 64 }));
        let union =
            ScopeSet::from_tokens(many(0, 64)).unwrap().union(&ScopeSet::from_tokens(many(64, 100)).unwrap());
        assert_eq!(union.len(), 100);
        let stored = serde_json::to_string(&union).unwrap();
        assert_eq!(serde_json::from_str::<ScopeSet>(&stored).unwrap(), union);
    }

    #[test]
    fn sets_combine() {
        assert_eq!(scopes("a b").union(&scopes("b c")).to_string(), "a b c");
        assert_eq!(scopes("a b c").intersection(&scopes("c b x")).to_string(), "b c");
        assert_eq!(scopes("a b c").named_in(["c", "é", "", "a", "c"]).to_string(), "c a");
        assert!(scopes("a").is_subset_of(&scopes("b a")));
        assert!(!scopes("a c").is_subset_of(&scopes("b a")));
        assert!(scopes("").is_subset_of(&scopes("")));
        assert!(scopes("").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_parses_to_what_it_prints_or_fails(text in any::<String>()) {
            if let Ok(set) = ScopeSet::parse(&text) {
                prop_assert_eq!(ScopeSet::parse(&set.to_string()).unwrap(), set);
            }
        }

        #[test]
        fn printed_sets_parse_back(tokens in prop::collection::vec("[!#-\\[\\]-~]{1,20}", 0..60)) {
            let set = ScopeSet::from_tokens(&tokens).unwrap();
            prop_assert_eq!(ScopeSet::parse(&set.to_string()).unwrap().to_string(), set.to_string());
        }
    }
}
