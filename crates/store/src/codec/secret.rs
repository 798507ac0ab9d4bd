//! Secrets inside encoded records. Each is an object of its own, so that an export can leave out every one of them without
//! knowing their names.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What an export shows in the place of a secret.
pub(super) const REDACTED: &str = "sealed";

const MEMBER: &str = "$secret";

#[derive(Serialize)]
struct Exposed<'a> {
    #[serde(rename = "$secret")]
    secret: &'a str,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "$secret")]
    secret: SecretString,
}

pub(super) fn serialize<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    Exposed { secret: secret.expose_secret() }.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    Ok(Wrapped::deserialize(deserializer)?.secret)
}

/// The same for a secret that may be absent.
pub(super) mod optional {
    use super::{
        Deserialize, Deserializer, ExposeSecret, Exposed, SecretString, Serialize, Serializer, Wrapped,
    };

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &Option<SecretString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(|secret| Exposed { secret: secret.expose_secret() }).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SecretString>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.secret))
    }
}

/// Replaces every secret in `value`.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::Object(members) if members.contains_key(MEMBER) => *value = REDACTED.into(),
        Value::Object(members) => members.values_mut().for_each(redact),
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}
