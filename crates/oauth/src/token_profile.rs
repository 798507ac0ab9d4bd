//! Claims of JWT access tokens (RFC 9068).

use serde::{Deserialize, Serialize};

use crate::scope::ScopeSet;

/// The `typ` header of access tokens (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// The `aud` claim: one resource indicator or several (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A single string.
    One(String),
    /// An array.
    Many(Vec<String>),
}

impl Audience {
    /// The resources, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }

    /// Whether the token is meant for this resource, compared as a string.
    pub fn contains(&self, resource: &str) -> bool {
        self.iter().any(|audience| audience == resource)
    }
}

impl From<Vec<String>> for Audience {
    /// A single resource becomes a string, as most resource servers expect.
    fn from(mut resources: Vec<String>) -> Self {
        match resources.pop() {
            Some(only) if resources.is_empty() => Self::One(only),
            Some(last) => {
                resources.push(last);
                Self::Many(resources)
            }
            None => Self::Many(resources),
        }
    }
}

/// The claims of an access token (RFC 9068 §2.2); times are seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The issuer, exactly as in the metadata.
    pub iss: String,
    /// The resource owner.
    pub sub: String,
    /// The resources that may accept the token.
    pub aud: Audience,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The granted scope; omitted if empty.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// When the token was issued.
    pub iat: u64,
    /// When the token expires.
    pub exp: u64,
    /// The token's own identifier.
    pub jti: String,
    /// The session under which upstream credentials are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsid: Option<String>,
    /// The resource owner's name, if the upstream told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The resource owner's e-mail address, if the upstream told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_127_claims_have_the_names_of_rfc_9068() {
        let claims = AccessTokenClaims {
            iss: "https://as.example".into(),
            sub: "u".into(),
            aud: vec!["https://r.example/mcp".to_owned()].into(),
            client_id: "c".into(),
            scope: ScopeSet::parse("a b").unwrap(),
            iat: 1,
            exp: 2,
            jti: "j".into(),
            tsid: None,
            name: None,
            email: None,
        };
        let json = json!({
            "iss": "https://as.example", "sub": "u", "aud": "https://r.example/mcp", "client_id": "c",
            "scope": "a b", "iat": 1, "exp": 2, "jti": "j"
        });
        assert_eq!(serde_json::to_value(&claims).unwrap(), json);
        assert_eq!(serde_json::from_value::<AccessTokenClaims>(json).unwrap(), claims);
    }

    #[test]
    fn as_127_required_claims_are_required() {
        let complete =
            json!({"iss": "i", "sub": "u", "aud": ["r"], "client_id": "c", "iat": 1, "exp": 2, "jti": "j"});
        assert!(serde_json::from_value::<AccessTokenClaims>(complete.clone()).is_ok());
        for claim in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
            let mut claims = complete.clone();
            claims.as_object_mut().unwrap().remove(claim);
            assert!(serde_json::from_value::<AccessTokenClaims>(claims).is_err(), "{claim}");
        }
    }

    #[test]
    fn as_128_one_audience_is_a_string_and_several_are_an_array() {
        let many = Audience::from(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(serde_json::to_value(&many).unwrap(), json!(["a", "b"]));
        assert!(many.contains("b") && !many.contains("c"));
        assert_eq!(serde_json::to_value(Audience::from(vec!["a".to_owned()])).unwrap(), json!("a"));
        assert_eq!(Audience::from(Vec::new()).iter().count(), 0);
    }
}
