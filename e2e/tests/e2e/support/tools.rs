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

/// The folder that holds `node_modules`: `THV_E2E_NODE`, or where `scripts/install-tools` leaves it.
pub(crate) fn packages() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let installed = env::var_os("THV_E2E_NODE").map_or_else(|| cache().join("e2e-node"), PathBuf::from);
        let lock = |folder: &Path| fs::read_to_string(folder.join("package-lock.json")).ok();
        let same = lock(&installed).is_some_and(|lock_there| lock(&scripts()) == Some(lock_there));
        assert!(
            same,
            "{} does not hold the packages of e2e/node/package-lock.json: {INSTALL}",
            installed.display()
        );
        installed
    })
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
