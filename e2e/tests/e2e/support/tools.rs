//! Where the programs are that the tests run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const INSTALL: &str = "run scripts/install-tools";

/// The folder of the Node scripts.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// A program among the Node scripts.
pub(crate) fn script(name: &str) -> String {
    existing(scripts().join(name)).to_str().unwrap().to_owned()
}

/// The folder of the Python programs.
pub(crate) fn python_programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// The folder that holds `node_modules`: `THV_E2E_NODE`, or where `scripts/install-tools` leaves it.
pub(crate) fn packages() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| installed("THV_E2E_NODE", "e2e-node", &scripts().join("package-lock.json")))
}

/// The folder of the Python packages: `THV_E2E_PYTHON`, or where `scripts/install-tools` leaves it.
pub(crate) fn python_packages() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        installed("THV_E2E_PYTHON", "e2e-python", &python_programs().join("requirements.txt"))
    })
}

/// A folder of installed packages, which holds the list that it was made from: the same as this checkout's.
fn installed(variable: &str, folder: &str, list: &Path) -> PathBuf {
    let found = env::var_os(variable).map_or_else(|| cache().join(folder), PathBuf::from);
    let there = fs::read(found.join(list.file_name().expect("a file"))).ok();
    let same = there.is_some_and(|there| fs::read(list).is_ok_and(|wanted| wanted == there));
    assert!(same, "{} does not hold the packages of {}: {INSTALL}", found.display(), list.display());
    found
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache");
    env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("toolhive-rs")
}

/// A file of an installed npm package.
pub(crate) fn package(file: &str) -> String {
    existing(packages().join("node_modules").join(file)).to_str().unwrap().to_owned()
}

/// The folder of the Node that the conformance suite and the Inspector need.
pub(crate) fn node_folder() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    existing(packages().join(format!("node_modules/node-linux-{architecture}/bin")))
}

/// That Node.
pub(crate) fn node() -> String {
    node_folder().join("node").to_str().unwrap().to_owned()
}

/// The browser.
pub(crate) fn chromium() -> String {
    let path = env::var_os("THV_CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    existing(path).to_str().unwrap().to_owned()
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: {INSTALL}", path.display());
    path
}

/// The program under test: `THV_BIN`, or built now from this workspace.
pub(crate) fn thv() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(path) = env::var_os("THV_BIN") {
            return path.into();
        }
        let built =
            Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "thv"]).status().expect("cargo runs");
        assert!(built.success(), "cargo build -p thv failed");
        target().join("debug/thv")
    })
}

/// Cargo's target directory: this test is `TARGET/PROFILE/deps/e2e-HASH`.
pub(crate) fn target() -> PathBuf {
    let this = env::current_exe().expect("a path to this test");
    this.ancestors().nth(3).expect("a target directory").to_owned()
}
