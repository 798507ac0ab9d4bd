//! References to secrets. A secret itself is never part of a configuration.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Where a secret is: `{file}`, `{env}`, or the Kubernetes form `{name, key}`. Exactly one of the forms is present; the
/// validator reports when not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// File that holds the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Environment variable that holds the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Name of a Kubernetes Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Key within that Kubernetes Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The form of a [`SecretRef`], for an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretSource<'a> {
    /// A file.
    File(&'a Path),
    /// An environment variable.
    Env(&'a str),
    /// A key of a Kubernetes Secret.
    Kubernetes {
        /// Name of the Secret.
        name: &'a str,
        /// Key within it.
        key: &'a str,
    },
}

/// Why a secret cannot be had. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretRefError {
    /// None, several, or half of a form.
    #[error("a secret reference is exactly one of {{file: …}}, {{env: …}} or {{name: …, key: …}}")]
    NotOneForm,
    /// A Kubernetes reference outside of Kubernetes.
    #[error(
        "a Kubernetes Secret reference (name {name:?}, key {key:?}) is resolved by the operator, not by `thv serve`; \
         use {{file: …}} or {{env: …}} here"
    )]
    Kubernetes {
        /// Name of the Secret.
        name: String,
        /// Key within it.
        key: String,
    },
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    EnvMissing(String),
    /// The place exists and holds nothing.
    #[error("{0} is empty")]
    Empty(String),
    /// A text secret that is not text.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
}

/// A secret that has been read, with what is to be said about the place it came from.
#[derive(Debug)]
pub struct ResolvedSecret {
    bytes: SecretSlice<u8>,
    place: String,
    warning: Option<String>,
}

impl SecretRef {
    /// A reference to a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }

    /// A reference to an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self { env: Some(name.into()), ..Self::default() }
    }

    /// Which form this is.
    ///
    /// # Errors
    /// [`SecretRefError::NotOneForm`] unless exactly one form is complete.
    pub fn source(&self) -> Result<SecretSource<'_>, SecretRefError> {
        match (&self.file, &self.env, &self.name, &self.key) {
            (Some(file), None, None, None) if !file.as_os_str().is_empty() => Ok(SecretSource::File(file)),
            (None, Some(env), None, None) if !env.is_empty() => Ok(SecretSource::Env(env)),
            (None, None, Some(name), Some(key)) if !name.is_empty() && !key.is_empty() => {
                Ok(SecretSource::Kubernetes { name, key })
            }
            _ => Err(SecretRefError::NotOneForm),
        }
    }

    /// Reads the secret, now; a caller that wants to see changes reads again.
    ///
    /// # Errors
    /// The place is missing, unreadable or empty, or the reference is not one for this process to resolve.
    pub fn resolve(&self) -> Result<ResolvedSecret, SecretRefError> {
        let (bytes, place, warning) = match self.source()? {
            SecretSource::File(path) => {
                let bytes = fs::read(path)
                    .map_err(|source| SecretRefError::Unreadable { path: path.to_owned(), source })?;
                (bytes, format!("the secret file {}", path.display()), readable_by_others(path))
            }
            SecretSource::Env(name) => {
                let Some(value) = std::env::var_os(name) else {
                    return Err(SecretRefError::EnvMissing(name.to_owned()));
                };
                (value.into_encoded_bytes(), format!("the environment variable {name}"), None)
            }
            SecretSource::Kubernetes { name, key } => {
                return Err(SecretRefError::Kubernetes { name: name.to_owned(), key: key.to_owned() });
            }
        };
        if bytes.is_empty() {
            return Err(SecretRefError::Empty(place));
        }
        Ok(ResolvedSecret { bytes: bytes.into(), place, warning })
    }
}

impl ResolvedSecret {
    /// The bytes exactly as stored: keys, HMAC secrets, PEM.
    pub fn into_bytes(self) -> SecretSlice<u8> {
        self.bytes
    }

    /// The secret as text without one trailing line end, which editors add.
    ///
    /// # Errors
    /// [`SecretRefError::NotText`] when it is not UTF-8, [`SecretRefError::Empty`] when only the line end is there.
    pub fn into_text(self) -> Result<SecretString, SecretRefError> {
        let Ok(text) = std::str::from_utf8(self.bytes.expose_secret()) else {
            return Err(SecretRefError::NotText(self.place));
        };
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(SecretRefError::Empty(self.place));
        }
        Ok(SecretString::from(text))
    }

    /// What the operator should know about the place, such as a file that others can read.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then(|| {
        format!(
            "the secret file {} can be read by every user of this machine (mode {mode:03o}); run chmod 600 on it",
            path.display()
        )
    })
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> Option<String> {
    None
}

impl<'de> Deserialize<'de> for SecretRef {
    /// A plain text in place of a reference is probably the secret itself, so it must not be echoed as serde would.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(default, rename = "SecretRef", rename_all = "camelCase", deny_unknown_fields)]
        #[derive(Default)]
        struct Fields {
            file: Option<PathBuf>,
            env: Option<String>,
            name: Option<String>,
            key: Option<String>,
        }

        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SecretRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference to a secret such as {file: /run/secrets/name} or {env: NAME}")
            }

            fn visit_str<E: de::Error>(self, _secret: &str) -> Result<SecretRef, E> {
                Err(E::custom(
                    "a secret does not belong into the configuration; refer to it with {file: /run/secrets/name} or \
                     {env: NAME}",
                ))
            }

            fn visit_u64<E: de::Error>(self, _secret: u64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_i64<E: de::Error>(self, _secret: i64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_f64<E: de::Error>(self, _secret: f64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
                let Fields { file, env, name, key } =
                    Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SecretRef { file, env, name, key })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file_with(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn text_loses_one_line_end_and_bytes_lose_nothing() {
        let text = |content: &[u8]| {
            SecretRef::file(file_with(content).path())
                .resolve()
                .unwrap()
                .into_text()
                .unwrap()
                .expose_secret()
                .to_owned()
        };
        let keep = file_with(b"s3cret\n\n");
        let reference = SecretRef::file(keep.path());
        assert_eq!(reference.resolve().unwrap().into_text().unwrap().expose_secret(), "s3cret\n");
        assert_eq!(reference.resolve().unwrap().into_bytes().expose_secret(), b"s3cret\n\n");
        assert_eq!(text(b"s3cret\r\n"), "s3cret");
        assert_eq!(text(b" s3cret"), " s3cret");
    }

    #[test]
    fn empty_and_binary_secrets_are_refused_without_showing_them() {
        let empty = file_with(b"");
        assert!(matches!(SecretRef::file(empty.path()).resolve(), Err(SecretRefError::Empty(_))));
        let line = file_with(b"\n");
        let resolved = SecretRef::file(line.path()).resolve().unwrap();
        assert!(matches!(resolved.into_text(), Err(SecretRefError::Empty(_))));
        let binary = file_with(&[0x73, 0x33, 0xff, 0x00]);
        let error = SecretRef::file(binary.path()).resolve().unwrap().into_text().unwrap_err();
        assert!(matches!(error, SecretRefError::NotText(_)));
    }

    #[test]
    fn errors_name_the_place() {
        let error = SecretRef::file("/nonexistent/secret").resolve().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/secret"), "{error}");
        let error = SecretRef::env("THV_CONFIG_TEST_NEVER_SET").resolve().unwrap_err().to_string();
        assert_eq!(error, "the environment variable THV_CONFIG_TEST_NEVER_SET is not set");
        let kubernetes = SecretRef {
            name: Some("idp".to_owned()),
            key: Some("secret".to_owned()),
            ..SecretRef::default()
        };
        let error = kubernetes.resolve().unwrap_err().to_string();
        assert!(error.contains("resolved by the operator, not by `thv serve`"), "{error}");
    }

    #[test]
    fn an_environment_variable_is_read() {
        let path = SecretRef::env("PATH").resolve().unwrap().into_text().unwrap();
        assert_eq!(path.expose_secret(), std::env::var("PATH").unwrap());
    }

    #[test]
    fn exactly_one_form_is_needed() {
        let some = || Some("x".to_owned());
        for reference in [
            SecretRef::default(),
            SecretRef { env: some(), ..SecretRef::file("/f") },
            SecretRef { name: some(), ..SecretRef::default() },
            SecretRef { key: some(), ..SecretRef::default() },
            SecretRef { key: some(), ..SecretRef::env("E") },
            SecretRef::file(""),
            SecretRef::env(""),
        ] {
            assert!(matches!(reference.resolve(), Err(SecretRefError::NotOneForm)), "{reference:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = file_with(b"s3cret");
        let warning = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            SecretRef::file(file.path()).resolve().unwrap().warning().map(str::to_owned)
        };
        assert_eq!(warning(0o600), None);
        assert_eq!(warning(0o640), None, "the group is how Kubernetes hands over mounted secrets");
        let warning = warning(0o644).unwrap();
        assert!(warning.contains("chmod 600") && !warning.contains("s3cret"), "{warning}");
    }

    #[test]
    fn a_secret_in_place_of_a_reference_is_not_echoed() {
        for secret in ["\"31337\"", "31337", "-31337", "31337.5"] {
            let error = serde_json::from_str::<SecretRef>(secret).unwrap_err().to_string();
            assert!(error.contains("does not belong into the configuration"), "{error}");
            assert!(!error.contains("31337"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let file = file_with(b"hunter2");
        let resolved = SecretRef::file(file.path()).resolve().unwrap();
        assert!(!format!("{resolved:?}").contains("hunter2"));
    }
}
