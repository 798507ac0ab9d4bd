//! What `cargo metadata` tells about the workspace, reduced to names and edges that are really built.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// Why the metadata could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// Cargo could not be run.
    #[error("cargo metadata could not be run: {0}")]
    Run(#[from] std::io::Error),
    /// Cargo refused.
    #[error("cargo metadata failed: {0}")]
    Cargo(String),
    /// Its output is not what this program expects.
    #[error("cargo metadata printed something unexpected: {0}")]
    Parse(#[from] serde_json::Error),
}

/// Packages of the workspace and everything that they pull in.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Names of the workspace's own packages.
    pub(crate) members: BTreeSet<String>,
    /// Every edge that some feature of some member switches on, for any platform.
    pub(crate) edges: Vec<Edge>,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The package that depends.
    pub(crate) from: String,
    /// The package that it depends on.
    pub(crate) to: String,
    /// What it is needed for.
    pub(crate) need: Need,
}

/// What a dependency is needed for; of several kinds, the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The program itself.
    Normal,
    /// Build scripts.
    Build,
    /// Tests.
    Dev,
}

/// Which dependencies [`Metadata::reach`] follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// What is linked into the program.
    Linked,
    /// What is compiled at all: build scripts too, and the tests of the package at which the search starts (cargo
    /// builds no one else's).
    Built,
}

#[derive(Deserialize)]
struct Document {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    optional: bool,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
    features: BTreeSet<String>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo about the workspace that this program belongs to.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn load() -> Result<Self, MetadataError> {
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--manifest-path", manifest])
            .output()?;
        if !output.status.success() {
            return Err(MetadataError::Cargo(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Self::parse(&output.stdout)
    }

    fn parse(json: &[u8]) -> Result<Self, MetadataError> {
        let document: Document = serde_json::from_slice(json)?;
        let packages: BTreeMap<_, _> = document.packages.iter().map(|one| (one.id.as_str(), one)).collect();
        let name = |id: &str| packages.get(id).map(|package| package.name.clone());
        let mut edges = Vec::new();
        for node in &document.resolve.nodes {
            let Some(from) = packages.get(node.id.as_str()) else { continue };
            for dependency in &node.deps {
                let Some(to) = name(&dependency.pkg) else { continue };
                if from.builds(&to, &node.features) {
                    edges.push(Edge { from: from.name.clone(), to, need: dependency.need() });
                }
            }
        }
        Ok(Self { members: document.workspace_members.iter().filter_map(|id| name(id)).collect(), edges })
    }

    /// All packages that `start` pulls in.
    pub(crate) fn reach(&self, start: &str, follow: Follow) -> BTreeSet<&str> {
        let followed = |edge: &&Edge| match edge.need {
            Need::Normal => true,
            Need::Build => follow == Follow::Built,
            Need::Dev => follow == Follow::Built && edge.from == start,
        };
        let mut reached = BTreeSet::new();
        let mut todo = vec![start];
        while let Some(package) = todo.pop() {
            for edge in self.edges.iter().filter(|edge| edge.from == package).filter(followed) {
                if reached.insert(edge.to.as_str()) {
                    todo.push(&edge.to);
                }
            }
        }
        reached
    }
}

impl NodeDependency {
    fn need(&self) -> Need {
        let has = |kind: Option<&str>| self.dep_kinds.iter().any(|one| one.kind.as_deref() == kind);
        if has(None) {
            Need::Normal
        } else if has(Some("build")) {
            Need::Build
        } else {
            Need::Dev
        }
    }
}

impl Package {
    /// Whether a dependency that cargo has resolved is also built. Cargo's lock graph follows weak features
    /// (`ring?/std`), which lists optional packages that no feature has switched on.
    fn builds(&self, dependency: &str, enabled: &BTreeSet<String>) -> bool {
        self.dependencies.iter().filter(|one| one.name == dependency).any(|one| {
            let key = one.rename.as_deref().unwrap_or(&one.name);
            !one.optional
                || enabled.contains(key)
                || enabled.iter().any(|feature| self.switches_on(feature, key))
        })
    }

    fn switches_on(&self, feature: &str, key: &str) -> bool {
        self.features.get(feature).is_some_and(|values| {
            values.iter().any(|value| {
                value.strip_prefix("dep:") == Some(key)
                    || value.split_once('/').is_some_and(|(name, _)| name == key)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(features: &str) -> Vec<u8> {
        format!(
            r#"{{"workspace_members":["a 1"],
                "packages":[
                  {{"id":"a 1","name":"a","features":{{"strong":["dep:ring"],"weak":["ring?/std"]}},
                    "dependencies":[{{"name":"ring","rename":null,"optional":true}},
                                    {{"name":"b","rename":null,"optional":false}}]}},
                  {{"id":"b 1","name":"b","features":{{}},"dependencies":[]}},
                  {{"id":"ring 1","name":"ring","features":{{}},"dependencies":[]}}],
                "resolve":{{"nodes":[
                  {{"id":"a 1","features":{features},"deps":[
                    {{"pkg":"ring 1","dep_kinds":[{{"kind":null}}]}},
                    {{"pkg":"b 1","dep_kinds":[{{"kind":"dev"}}]}}]}}]}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn an_optional_package_behind_a_weak_feature_is_not_built() {
        let metadata = Metadata::parse(&document(r#"["weak"]"#)).unwrap();
        assert_eq!(metadata.edges, [Edge { from: "a".into(), to: "b".into(), need: Need::Dev }]);
        assert_eq!(metadata.members, BTreeSet::from(["a".to_owned()]));
    }

    #[test]
    fn an_optional_package_behind_an_enabled_feature_is_built() {
        let metadata = Metadata::parse(&document(r#"["strong"]"#)).unwrap();
        assert!(metadata.reach("a", Follow::Linked).contains("ring"));
    }

    #[test]
    fn dev_dependencies_are_reached_only_from_the_start_and_build_dependencies_are_not_linked() {
        let edge = |from: &str, to: &str, need| Edge { from: from.into(), to: to.into(), need };
        let edges = vec![
            edge("a", "b", Need::Dev),
            edge("b", "c", Need::Normal),
            edge("b", "d", Need::Dev),
            edge("a", "e", Need::Build),
            edge("a", "f", Need::Normal),
        ];
        let metadata = Metadata { members: BTreeSet::new(), edges };
        assert_eq!(metadata.reach("a", Follow::Built), BTreeSet::from(["b", "c", "e", "f"]));
        assert_eq!(metadata.reach("a", Follow::Linked), BTreeSet::from(["f"]));
    }
}
