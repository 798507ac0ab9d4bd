//! Names of secrets: 1 to 256 characters of `[A-Za-z0-9_.-]`.

use crate::SecretsError;

const MAX_LEN: usize = 256;
/// Begins the names that belong to the program, not to its user.
const SYSTEM_PREFIX: &str = "__thv_";

/// Refuses what is not a name.
pub(crate) fn check(name: &str) -> Result<(), SecretsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=MAX_LEN).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SecretsError::InvalidName { name: name.chars().take(MAX_LEN).collect() })
    }
}

/// The name under which the program itself keeps `name` in `scope`, for example a credential of a workload. The environment
/// is never asked for such a name, and [`SecretStore::list_user`](crate::SecretStore::list_user) does not tell it.
///
/// # Errors
/// When `scope` is not of `[A-Za-z0-9.-]` (an underscore ends it, so that two pairs never give one name), or the whole is not
/// a name.
pub fn system_name(scope: &str, name: &str) -> Result<String, SecretsError> {
    if scope.contains('_') {
        return Err(SecretsError::InvalidScope { scope: scope.to_owned() });
    }
    check(scope)?;
    check(name)?;
    let whole = format!("{SYSTEM_PREFIX}{scope}_{name}");
    check(&whole)?;
    Ok(whole)
}

/// Whether a name belongs to the program and not to its user.
pub fn is_system_name(name: &str) -> bool {
    name.starts_with(SYSTEM_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_256_characters_of_the_allowed_ones() {
        for name in ["a", "GITHUB_TOKEN", "a.b-c_9", &"x".repeat(256)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "ä", "a\0", "a;b", "a\n", &"x".repeat(257)] {
            assert!(matches!(check(name), Err(SecretsError::InvalidName { .. })), "{name:?}");
        }
    }

    #[test]
    fn two_pairs_of_scope_and_name_never_give_one_system_name() {
        assert_eq!(system_name("workload", "a_b").unwrap(), "__thv_workload_a_b");
        assert!(is_system_name("__thv_workload_a_b") && !is_system_name("thv_x"));
        assert!(matches!(system_name("workload_a", "b"), Err(SecretsError::InvalidScope { .. })));
        for (scope, name) in [("", "b"), ("a", ""), ("a b", "c"), ("a", &"x".repeat(250))] {
            assert!(
                matches!(system_name(scope, name), Err(SecretsError::InvalidName { .. })),
                "{scope} {name}"
            );
        }
    }
}
