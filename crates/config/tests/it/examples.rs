//! The example files are correct.

use std::path::{Path, PathBuf};

use thv_config::{Config, Profile, validate};

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn every_example_is_valid_without_warnings() {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (config, profile) = if name == "dev.yaml" {
            let listen = "127.0.0.1:8080".parse().unwrap();
            (Config::load_development(listen, None, &path), Profile::Development)
        } else {
            (Config::load(&path), Profile::Production)
        };
        let config = config.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(validate(&config, profile), [], "{name}");
        seen.push(name);
    }
    seen.sort();
    let expected =
        ["dev.yaml", "external-issuer.yaml", "full.yaml", "github.yaml", "google.yaml", "local-users.yaml"];
    assert_eq!(seen, expected);
}

#[test]
fn a_written_configuration_reads_back_the_same() {
    let config = Config::load(&directory().join("full.yaml")).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(Config::parse(&json).unwrap(), config);
}
