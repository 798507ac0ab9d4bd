//! The public keys that a client publishes in its metadata (`jwks`, RFC 7591 §2).

use serde_json::Value;

/// Members of a JWK that only its owner may know (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key set was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientKeysError {
    #[error("jwks is not an object with a non-empty array \"keys\" of objects")]
    NotAKeySet,
    #[error("jwks has a key with the private member {member}")]
    PrivateMember { member: &'static str },
    #[error("jwks has a symmetric key")]
    Symmetric,
}

/// Checks that `jwks` is a key set without private or symmetric keys (AS-63).
pub(crate) fn check(jwks: &Value) -> Result<(), ClientKeysError> {
    let keys = jwks.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty());
    for key in keys.ok_or(ClientKeysError::NotAKeySet)? {
        let key = key.as_object().ok_or(ClientKeysError::NotAKeySet)?;
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| key.contains_key(*member)) {
            return Err(ClientKeysError::PrivateMember { member });
        }
        if key.get("kty").and_then(Value::as_str) == Some("oct") {
            return Err(ClientKeysError::Symmetric);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_63_private_and_symmetric_keys_are_refused() {
        for member in PRIVATE_MEMBERS {
            let jwks = json!({"keys": [{"kty": "EC"}, {"kty": "RSA", member: null}]});
            assert_eq!(check(&jwks), Err(ClientKeysError::PrivateMember { member }));
        }
        assert_eq!(check(&json!({"keys": [{"kty": "oct"}]})), Err(ClientKeysError::Symmetric));
        for jwks in
            [json!([]), json!("x"), json!({}), json!({"keys": []}), json!({"keys": {}}), json!({"keys": [1]})]
        {
            assert_eq!(check(&jwks), Err(ClientKeysError::NotAKeySet));
        }
        assert_eq!(check(&json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]})), Ok(()));
    }
}
