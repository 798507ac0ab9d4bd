//! The JOSE header (RFC 7515 §4).

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::VerifyError;
use crate::algorithm::Algorithm;

/// The members that matter.
pub(super) struct Header {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, VerifyError> {
        let members: Members = serde_json::from_slice(json).map_err(VerifyError::Header)?;
        if members.demands_extension {
            return Err(VerifyError::Critical);
        }
        let alg = members.alg.as_deref().unwrap_or_default().parse().map_err(|_| VerifyError::Algorithm)?;
        Ok(Self { alg, kid: members.kid, typ: members.typ })
    }
}

#[derive(Default)]
struct Members {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    demands_extension: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Reads the object by hand, because member names must be unique, known or not (RFC 7515 §4).
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header object with unique member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut seen = HashSet::new();
        let mut members = Members::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "alg" => members.alg = Some(map.next_value()?),
                "kid" => members.kid = Some(map.next_value()?),
                "typ" => members.typ = Some(map.next_value()?),
                // `b64` changes what is signed (RFC 7797), and must come with `crit` anyway.
                "crit" | "b64" => {
                    map.next_value::<IgnoredAny>()?;
                    members.demands_extension = true;
                }
                // `jwk`, `jku`, `x5c` and the like would let the token choose its key: never followed.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if !seen.insert(name) {
                return Err(serde::de::Error::custom("a member name occurs twice"));
            }
        }
        Ok(members)
    }
}
