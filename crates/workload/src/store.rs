//! All workloads of this user.

use std::path::PathBuf;

use thv_config::{Problem, Problems};

use crate::atomic;
use crate::definition::{Definition, DefinitionError};
use crate::files::{FileError, names_in, read_if_there, remove_if_there};
use crate::logs;
use crate::name::WorkloadName;
use crate::paths::Paths;
use crate::run_lock::{Holder, RunLock, TakeError, by};
use crate::status::{Reported, Status, observed};

/// Why something could not be done with a workload.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is none of that name.
    #[error("there is no workload {0}; `thv list` shows those that there are")]
    NotFound(WorkloadName),
    /// There is another one of that name.
    #[error(
        "a workload of the name {0} exists and is a different one; remove it first, or take another name"
    )]
    Exists(WorkloadName),
    /// It runs, and must not for what was asked.
    #[error("the workload {name} is running{}; stop it first", by(*pid))]
    Running {
        /// Which workload.
        name: WorkloadName,
        /// The process; unknown when it cannot be seen from here.
        pid: Option<u32>,
    },
    /// Its definition makes no sense.
    #[error("the workload {name} is not valid:\n{problems}")]
    Invalid {
        /// Which workload.
        name: WorkloadName,
        /// Everything that is wrong.
        problems: Problems,
    },
    /// Its definition on disk cannot be understood.
    #[error("{} is no definition of a workload", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DefinitionError,
    },
    /// The file of one workload defines another.
    #[error("{} defines a workload of another name, {name}; rename the file or the workload", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// The name in it.
        name: WorkloadName,
    },
    /// It cannot be written as JSON.
    #[error("the workload {name} cannot be written")]
    Unwritable {
        /// Which workload.
        name: WorkloadName,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<TakeError> for StoreError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Running { name, pid } => Self::Running { name, pid },
            TakeError::File(error) => Self::File(error),
        }
    }
}

/// A workload and what it does.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is.
    pub definition: Definition,
    /// What it does.
    pub status: Status,
}

/// All workloads, by name.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that can be read.
    pub workloads: Vec<Workload>,
    /// Why others cannot.
    pub unreadable: Vec<StoreError>,
}

/// All workloads of this user. It remembers nothing: everything is on disk, and other processes change it.
#[derive(Clone, Debug)]
pub struct Store {
    paths: Paths,
}

impl Store {
    /// The workloads that are kept at these places.
    pub const fn new(paths: Paths) -> Self {
        Self { paths }
    }

    /// Where everything is.
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Keeps a new workload and returns what is kept. When the very same workload exists, that is what is returned, with the
    /// port that was chosen for it.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; the definition is not valid; a file cannot be used.
    pub fn save(&self, definition: &Definition) -> Result<Definition, StoreError> {
        let json = checked_json(definition)?;
        atomic::clean(&self.paths.definitions())?;
        if atomic::create(&self.paths.definition(&definition.name), json.as_bytes())? {
            return Ok(definition.clone());
        }
        let kept = self.load(&definition.name)?;
        if definition.is_fulfilled_by(&kept) {
            Ok(kept)
        } else {
            Err(StoreError::Exists(definition.name.clone()))
        }
    }

    /// Changes the workload whose lock is held: nobody else runs it meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Misplaced`] for another workload's definition; it is not valid; a file cannot be used.
    pub fn replace(&self, lock: &RunLock, definition: &Definition) -> Result<(), StoreError> {
        let path = self.paths.definition(lock.name());
        if definition.name != *lock.name() {
            return Err(StoreError::Misplaced { path, name: definition.name.clone() });
        }
        Ok(atomic::replace(&path, checked_json(definition)?.as_bytes())?)
    }

    /// Reads and checks a workload's definition.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; its file cannot be read or makes no sense.
    pub fn load(&self, name: &WorkloadName) -> Result<Definition, StoreError> {
        let path = self.paths.definition(name);
        let text = read_if_there(&path)?.ok_or_else(|| StoreError::NotFound(name.clone()))?;
        let definition = Definition::from_json(&text)
            .map_err(|source| StoreError::Malformed { path: path.clone(), source })?;
        if definition.name != *name {
            return Err(StoreError::Misplaced { path, name: definition.name });
        }
        check(&definition)?;
        Ok(definition)
    }

    /// The names of all workloads, sorted; also of those whose definition cannot be read.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn names(&self) -> Result<Vec<WorkloadName>, StoreError> {
        let files = names_in(&self.paths.definitions())?;
        Ok(files.iter().filter_map(|file| file.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// A workload and what it does.
    ///
    /// # Errors
    /// As [`load`](Self::load), and its lock or status cannot be read.
    pub fn get(&self, name: &WorkloadName) -> Result<Workload, StoreError> {
        Ok(Workload { definition: self.load(name)?, status: self.status(name)? })
    }

    /// All workloads; one that cannot be read does not hide the others.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for name in self.names()? {
            match self.get(&name) {
                Ok(workload) => listing.workloads.push(workload),
                // Removed while we looked.
                Err(StoreError::NotFound(_)) => {}
                Err(error) => listing.unreadable.push(error),
            }
        }
        Ok(listing)
    }

    /// What a workload does: what its process says if it lives, and otherwise that it is stopped or how it ended. A workload that
    /// does not exist is stopped.
    ///
    /// # Errors
    /// The lock or the status cannot be read.
    pub fn status(&self, name: &WorkloadName) -> Result<Status, StoreError> {
        loop {
            let before = Holder::of(&self.paths, name)?;
            let reported = self.reported(name)?;
            // Whoever starts or ends in between has said something that does not fit the holder.
            if before == Holder::of(&self.paths, name)? {
                return Ok(observed(name, reported, before));
            }
        }
    }

    /// What a workload's last process said last, true or not.
    pub(crate) fn reported(&self, name: &WorkloadName) -> Result<Reported, StoreError> {
        let path = self.paths.status(name);
        let Some(text) = read_if_there(&path)? else { return Ok(Reported::Nothing) };
        Ok(match serde_json::from_str(&text) {
            Ok(status) => Reported::Status(status),
            Err(error) => Reported::Unreadable(format!("{} cannot be understood: {error}", path.display())),
        })
    }

    /// Removes the workload whose lock is held with its status and logs, though its definition may make no sense. Its secrets are elsewhere.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; a file cannot be removed. Then the definition may still be there, and removing can be repeated.
    pub fn remove(&self, lock: RunLock) -> Result<(), StoreError> {
        let name = &lock.name().clone();
        let definition = self.paths.definition(name);
        let found = definition.try_exists().map_err(FileError::of("read", &definition))?;
        logs::remove(&self.paths.log(name))?;
        for file in [self.paths.socket(name), self.paths.login_lock(name), definition] {
            remove_if_there(&file)?;
        }
        lock.remove()?;
        if found { Ok(()) } else { Err(StoreError::NotFound(name.clone())) }
    }
}

fn check(definition: &Definition) -> Result<(), StoreError> {
    let errors: Vec<Problem> = definition.check().into_iter().filter(Problem::is_error).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(StoreError::Invalid { name: definition.name.clone(), problems: Problems(errors) })
}

fn checked_json(definition: &Definition) -> Result<String, StoreError> {
    check(definition)?;
    let unwritable = |source| StoreError::Unwritable { name: definition.name.clone(), source };
    definition.to_json().map_err(unwritable)
}
