//! Users of this server itself.

use crate::upstream::{LocalUpstream, UpstreamProvider};

use super::super::Profile;
use super::super::findings::Findings;

pub(super) fn check(
    at: &str,
    provider: &UpstreamProvider,
    local: &LocalUpstream,
    profile: Profile,
    findings: &mut Findings,
) {
    if provider.registration.is_some() {
        findings.error(&format!("{at}.registration"), "does not belong to type local, which has no clients");
    }
    let at = format!("{at}.localConfig");
    match (&local.users_file, &local.development_user) {
        (Some(file), None) if file.as_os_str().is_empty() => {
            findings.error(&format!("{at}.usersFile"), "must not be empty");
        }
        (Some(_), None) => {}
        (None, Some(user)) => {
            let at = format!("{at}.developmentUser");
            if profile == Profile::Production {
                findings
                    .error(&at, "logs in without a password and is for thv serve --dev only; use usersFile");
            } else if user.is_empty() || !user.bytes().all(|b| b.is_ascii_graphic()) {
                findings.error(&at, "must be printable ASCII without spaces");
            }
        }
        (None, None) => {
            findings.required(
                &format!("{at}.usersFile"),
                "",
                "a YAML file of users with argon2id password hashes",
            );
        }
        (Some(_), Some(_)) => {
            findings.error(&format!("{at}.developmentUser"), "cannot be combined with usersFile");
        }
    }
}
