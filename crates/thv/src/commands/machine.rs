//! What all commands about workloads stand on: this machine's user, their workloads and their secrets.

use std::cell::OnceCell;
use std::sync::Arc;

use secrecy::SecretString;
use thv_clock::SystemClock;
use thv_egress::Roots;
use thv_remote::ui::Ui;
use thv_secrets::{Choice, Provider, SecretStore, Variables};
use thv_workload::run::{Environment, WorkloadSecrets};
use thv_workload::{Definition, Paths, Settings, Store, WorkloadName};

use crate::failure::Failure;
use crate::terminal::{Lines, Log, Terminal};

/// This machine's user.
pub(crate) struct Machine {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    /// Opened when they are first needed, and once: the key of a file with a password takes a while to derive.
    secrets: OnceCell<SecretStore>,
}

/// How the user is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// With whoever started the program.
    User,
    /// With a log.
    Log,
}

impl Machine {
    pub(crate) fn open() -> Result<Self, Failure> {
        let paths =
            Paths::from_env(|name| std::env::var_os(name)).map_err(|error| Failure::from_error(&error))?;
        let settings = Settings::load(&paths.settings()).map_err(|error| Failure::from_error(&error))?;
        Ok(Self { store: Store::new(paths), settings, secrets: OnceCell::new() })
    }

    /// The secrets, from where the environment or the settings say.
    pub(crate) fn secrets(&self) -> Result<SecretStore, Failure> {
        if let Some(secrets) = self.secrets.get() {
            return Ok(secrets.clone());
        }
        let secrets = self.open_secrets()?;
        Ok(self.secrets.get_or_init(|| secrets).clone())
    }

    fn open_secrets(&self) -> Result<SecretStore, Failure> {
        let choice = match std::env::var("TOOLHIVE_SECRETS_PROVIDER") {
            Ok(name) if !name.is_empty() => name.parse::<Choice>().map_err(|error| {
                Failure::from_error(&error)
                    .with_hint("TOOLHIVE_SECRETS_PROVIDER names where secrets are kept")
            })?,
            _ => self.settings.secrets.provider,
        };
        let settings = thv_secrets::Settings {
            choice,
            dir: self.store.paths().secrets().to_owned(),
            password: std::env::var("TOOLHIVE_SECRETS_PASSWORD").ok().map(SecretString::from),
            environment: Variables::of_process(),
        };
        SecretStore::open(&settings).map_err(|error| Failure::from_error(&error))
    }

    /// Whether a login lasts beyond the process that makes it.
    pub(crate) fn keeps_logins(&self) -> Result<bool, Failure> {
        Ok(self.secrets()?.provider() != Provider::Environment)
    }

    pub(crate) fn environment(&self, talk: Talk) -> Result<Environment, Failure> {
        let ui: Arc<dyn Ui> = match talk {
            Talk::Log => Arc::new(Log),
            Talk::User => match Terminal::new() {
                Some(terminal) => Arc::new(terminal),
                None => Arc::new(Lines::default()),
            },
        };
        Ok(Environment {
            paths: self.store.paths().clone(),
            settings: self.settings.clone(),
            secrets: self.secrets()?,
            ui,
            clock: SystemClock::shared(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }

    pub(crate) fn workload_secrets(&self, name: &WorkloadName) -> Result<WorkloadSecrets, Failure> {
        Ok(WorkloadSecrets::new(self.secrets()?, name.clone()))
    }

    pub(crate) fn definition(&self, name: &WorkloadName) -> Result<Definition, Failure> {
        self.store.load(name).map_err(|error| Failure::from_error(&error))
    }

    /// Whom TLS trusts when `definition` runs.
    pub(crate) fn roots(&self, definition: &Definition) -> Result<Roots, Failure> {
        let bundle = definition.ca_bundle.as_ref().or(self.settings.ca_bundle.as_ref());
        Roots::load(bundle.map(std::path::PathBuf::as_path)).map_err(|error| Failure::from_error(&error))
    }
}

/// Runs a command's work.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::from_error(&error))?;
    let outcome = runtime.block_on(work);
    // A read of a secret that hangs must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}
