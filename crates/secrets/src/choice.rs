//! The providers and their words.

use std::fmt;
use std::str::FromStr;

/// Where secrets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The freedesktop.org Secret Service on the session bus.
    SecretService,
    /// The kernel's user keyring (`user-keyring(7)`).
    KernelKeyring,
    /// The encrypted file.
    File,
    /// Environment variables, read only.
    Environment,
}

/// What a user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The one that was used before, or else the best one that is there.
    #[default]
    Auto,
    /// This one and no other.
    Named(Provider),
}

/// A word that names no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a provider of secrets; there are: auto, secret-service, kernel-keyring, encrypted, environment"
)]
pub struct UnknownProvider(pub String);

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretService => "secret-service",
            Self::KernelKeyring => "kernel-keyring",
            Self::File => "encrypted",
            Self::Environment => "environment",
        })
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(word: &str) -> Result<Self, UnknownProvider> {
        match word {
            "secret-service" => Ok(Self::SecretService),
            "kernel-keyring" => Ok(Self::KernelKeyring),
            "encrypted" | "file" => Ok(Self::File),
            "environment" => Ok(Self::Environment),
            _ => Err(UnknownProvider(word.to_owned())),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(provider) => provider.fmt(f),
        }
    }
}

impl FromStr for Choice {
    type Err = UnknownProvider;

    fn from_str(word: &str) -> Result<Self, UnknownProvider> {
        if word == "auto" { Ok(Self::Auto) } else { word.parse().map(Self::Named) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_from_its_own_word() {
        for word in ["auto", "secret-service", "kernel-keyring", "encrypted", "environment"] {
            assert_eq!(word.parse::<Choice>().unwrap().to_string(), word);
        }
        assert_eq!("file".parse(), Ok(Choice::Named(Provider::File)));
    }

    #[test]
    fn another_word_is_refused_with_the_words_there_are() {
        for word in ["", "Auto", "1password", "auto "] {
            let error = word.parse::<Choice>().unwrap_err();
            assert_eq!(error, UnknownProvider(word.to_owned()));
            assert!(error.to_string().contains("kernel-keyring"), "{error}");
        }
        assert!("auto".parse::<Provider>().is_err());
    }
}
