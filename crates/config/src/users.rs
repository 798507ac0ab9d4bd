//! The users file of a `local` upstream provider.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::load::{read, shape, yaml};
use crate::problem::{Problem, Problems};

/// The users of a `local` upstream provider: `users: [{username, passwordHash, subject?, name?, email?}]`.
#[derive(Debug, Default)]
pub struct UsersFile {
    /// The users, with unique names and subjects.
    pub users: Vec<LocalUser>,
}

/// One user of a `local` upstream provider.
pub struct LocalUser {
    /// Name to log in with.
    pub username: String,
    /// argon2id hash of the password in PHC string format.
    pub password_hash: SecretString,
    /// What identifies the user to clients; the username unless configured. Must never be given to somebody else.
    pub subject: String,
    /// Name for people.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
}

impl fmt::Debug for LocalUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUser").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct File {
    users: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    username: String,
    password_hash: Option<SecretString>,
    subject: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

const MAX_FIELD_CHARS: usize = 255;

impl UsersFile {
    /// Reads and checks a users file.
    ///
    /// # Errors
    /// All problems of the file; none shows a password hash.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::parse(&read(path)?)
    }

    /// Reads and checks the text of a users file.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let file: File = shape::deserialize(yaml::parse(text)?)?;
        let mut problems = Vec::new();
        if file.users.is_empty() {
            problems.push(Problem::error("users", "at least one user is required"));
        }
        let (mut usernames, mut subjects) = (BTreeSet::new(), BTreeSet::new());
        let mut users = Vec::with_capacity(file.users.len());
        for (index, entry) in file.users.into_iter().enumerate() {
            let at = format!("users[{index}]");
            let before = problems.len();
            check_entry(&entry, &at, &mut problems);
            let subject = entry.subject.unwrap_or_else(|| entry.username.clone());
            if !usernames.insert(entry.username.clone()) {
                problems.push(Problem::error(
                    format!("{at}.username"),
                    format!("{:?} occurs twice", entry.username),
                ));
            }
            if !subjects.insert(subject.clone()) {
                problems.push(Problem::error(format!("{at}.subject"), format!("{subject:?} occurs twice")));
            }
            if let (Some(password_hash), true) = (entry.password_hash, before == problems.len()) {
                let (username, name, email) = (entry.username, entry.name, entry.email);
                users.push(LocalUser { username, password_hash, subject, name, email });
            }
        }
        if problems.is_empty() { Ok(Self { users }) } else { Err(Problems(problems)) }
    }

    /// The user with this name, compared as it is written.
    pub fn find(&self, username: &str) -> Option<&LocalUser> {
        self.users.iter().find(|user| user.username == username)
    }
}

fn check_entry(entry: &Entry, at: &str, problems: &mut Vec<Problem>) {
    let texts = [
        ("username", Some(&entry.username)),
        ("subject", entry.subject.as_ref()),
        ("name", entry.name.as_ref()),
        ("email", entry.email.as_ref()),
    ];
    for (key, text) in texts.into_iter().filter_map(|(key, text)| text.map(|text| (key, text))) {
        let message = if text.is_empty() {
            "must not be empty".to_owned()
        } else if text.chars().any(char::is_control) || text.trim() != text {
            "must not contain control characters or surrounding spaces".to_owned()
        } else if text.chars().count() > MAX_FIELD_CHARS {
            format!("is longer than {MAX_FIELD_CHARS} characters")
        } else {
            continue;
        };
        problems.push(Problem::error(format!("{at}.{key}"), message));
    }
    let hash = entry.password_hash.as_ref().map(|hash| hash.expose_secret());
    if let Some(message) = hash_problem(hash.unwrap_or_default()) {
        problems.push(
            Problem::error(format!("{at}.passwordHash"), message).with_hint(
                "make one with: printf %s \"$PASSWORD\" | argon2 \"$(openssl rand -hex 8)\" -id -e",
            ),
        );
    }
}

/// Checks the form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. The hash itself is used by whoever verifies a password.
fn hash_problem(hash: &str) -> Option<&'static str> {
    let mut parts = hash.split('$');
    match (parts.next(), parts.next()) {
        (Some(""), Some("argon2id")) => {}
        _ if hash.is_empty() => return Some("is required"),
        (Some(""), Some(_)) => return Some("is a hash of another kind; only argon2id is accepted"),
        _ => return Some("is not a password hash; never write the password itself"),
    }
    let (version, parameters, salt, digest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let base64 = |text: &str, least: usize| {
        text.len() >= least
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'.' | b'-'))
    };
    let well_formed = version == Some("v=19")
        && parameters.is_some_and(|text| {
            let mut names = text.split(',').map(|pair| pair.split_once('='));
            ["m", "t", "p"].into_iter().all(|name| {
                matches!(names.next(), Some(Some((found, value))) if found == name && value.parse::<u32>().is_ok())
            }) && names.next().is_none()
        })
        && salt.is_some_and(|text| base64(text, 8))
        && digest.is_some_and(|text| base64(text, 22))
        && parts.next().is_none();
    (!well_formed).then_some("is not a complete argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn a_users_file_is_read() {
        let text = format!(
            "users:\n- {{username: alice, passwordHash: '{HASH}', subject: u-1, name: Alice A, email: a@example.com}}\n\
             - {{username: bob, passwordHash: '{HASH}'}}\n"
        );
        let file = UsersFile::parse(&text).unwrap();
        assert_eq!(file.find("alice").unwrap().subject, "u-1");
        assert_eq!(file.find("bob").unwrap().subject, "bob");
        assert_eq!(file.find("bob").unwrap().password_hash.expose_secret(), HASH);
        assert!(file.find("Alice").is_none());
        assert!(!format!("{file:?}").contains("argon2id"));
    }

    #[test]
    fn all_problems_are_reported_and_no_hash_is_shown() {
        let text = format!(
            "users:\n- {{username: '', passwordHash: '{HASH}'}}\n- {{username: a, passwordHash: hunter2}}\n\
             - {{username: a, passwordHash: '$2y$10$abcdefghijklmnopqrstuv'}}\n- {{username: b}}\n\
             - {{username: c, passwordHash: '$argon2id$v=19$m=1$c29t$CTFh'}}\n- {{username: d, passwordHash: '{HASH}', subject: a}}\n"
        );
        let problems = UsersFile::parse(&text).unwrap_err();
        let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert_eq!(
            lines,
            [
                "users[0].username: must not be empty",
                "users[1].passwordHash: is not a password hash; never write the password itself",
                "users[2].passwordHash: is a hash of another kind; only argon2id is accepted",
                "users[2].username: \"a\" occurs twice",
                "users[2].subject: \"a\" occurs twice",
                "users[3].passwordHash: is required",
                "users[4].passwordHash: is not a complete argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash)",
                "users[5].subject: \"a\" occurs twice",
            ]
        );
        assert!(!problems.to_string().contains("hunter2"));
    }

    #[test]
    fn the_shape_is_strict() {
        let problems = UsersFile::parse("users:\n- {user: a, password: 31337}\n").unwrap_err();
        assert_eq!(
            problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            ["users[0].password", "users[0].user"]
        );
        assert!(!problems.to_string().contains("31337"));
        assert_eq!(UsersFile::parse("").unwrap_err().iter().next().unwrap().path, "users");
    }
}
