//! A command of this machine.

use thv_config::Problem;

use super::{absolute, secret_name};
use crate::definition::Definition;

/// The program and what it is given. No problem shows a value.
pub(super) fn check(definition: &Definition, command: &str, found: &mut Vec<Problem>) {
    if command.is_empty() {
        found.push(Problem::error("command", "is empty"));
    }
    no_nul("command", command, found);
    for (index, arg) in definition.args.iter().enumerate() {
        no_nul(&format!("args[{index}]"), arg, found);
    }
    for (name, value) in &definition.env {
        variable("env", name, found);
        no_nul(&format!("env.{name}"), value, found);
    }
    for (name, secret) in &definition.env_secrets {
        variable("env_secrets", name, found);
        secret_name(format!("env_secrets.{name}"), secret, found);
        if definition.env.contains_key(name) {
            found
                .push(Problem::error(format!("env_secrets.{name}"), "is in env as well; remove one of them"));
        }
    }
    absolute("cwd", definition.cwd.as_ref(), found);
}

fn variable(at: &str, name: &str, found: &mut Vec<Problem>) {
    if name.is_empty() || name.contains(['=', '\0']) {
        found.push(Problem::error(at, format!("{name:?} is not the name of an environment variable")));
    }
}

/// No argument or variable of a process can have it (`execve(2)`).
fn no_nul(at: &str, text: &str, found: &mut Vec<Problem>) {
    if text.contains('\0') {
        found.push(Problem::error(at, "contains a NUL character"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{command, paths};
    use super::*;

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        let definition = Definition {
            command: Some(String::new()),
            args: vec!["fine".into(), "a\0b".into()],
            env: [("A=B".into(), "x".into()), ("C".into(), "\0".into())].into(),
            env_secrets: [("C".into(), "secret".into()), ("D".into(), "a b".into())].into(),
            cwd: Some("here".into()),
            ..command()
        };
        assert_eq!(
            paths(&definition),
            ["command", "args[1]", "env", "env.C", "env_secrets.C", "env_secrets.D", "cwd"]
        );
    }

    #[test]
    fn a_command_with_everything_is_fine() {
        let definition = Definition {
            args: vec!["--flag".into(), "größe".into(), String::new()],
            env: [("HOME".into(), "/home/x".into())].into(),
            env_secrets: [("TOKEN".into(), "github-token".into())].into(),
            cwd: Some("/srv".into()),
            ..command()
        };
        assert_eq!(definition.check(), []);
    }
}
