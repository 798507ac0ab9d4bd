//! Client authentication methods of the token endpoint (RFC 7591 §2).

use serde::{Deserialize, Serialize};

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client: no authentication.
    None,
    /// A signed assertion (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// HTTP Basic (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// The secret in the form body (RFC 6749 §2.3.1).
    ClientSecretPost,
}

impl AuthMethod {
    /// Every method that this crate knows.
    pub const ALL: [Self; 4] =
        [Self::None, Self::PrivateKeyJwt, Self::ClientSecretBasic, Self::ClientSecretPost];

    /// The method of this name; `None` if it is not known.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }

    /// Whether client and server share a secret.
    pub const fn is_shared_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// Whether a method name, known or not, says that client and server share a secret: `client_secret_basic`,
/// `client_secret_post`, `client_secret_jwt` and whatever else begins with `client_secret`.
pub fn names_shared_secret(name: &str) -> bool {
    name.get(..13).is_some_and(|prefix| prefix.eq_ignore_ascii_case("client_secret"))
}

impl std::fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_none() {
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::parse(method.as_str()), Some(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
            assert_eq!(names_shared_secret(method.as_str()), method.is_shared_secret());
        }
        assert_eq!(AuthMethod::parse("tls_client_auth"), None);
    }

    #[test]
    fn as_62_client_secret_jwt_is_a_shared_secret_too() {
        assert!(names_shared_secret("client_secret_jwt"));
        assert!(names_shared_secret("CLIENT_SECRET_POST"));
        assert!(!names_shared_secret("tls_client_auth"));
        assert!(!names_shared_secret("client_secré"));
    }
}
