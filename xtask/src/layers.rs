//! Arrows point down only: the layers of ARCHITECTURE.md, as a table.

use crate::metadata::{Edge, Follow, Metadata, Need};

/// Which layer a package is on; a package depends on lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("thv-clock", 0),
    ("thv-oauth", 0),
    ("thv-mcp", 0),
    ("thv-egress", 1),
    ("thv-jose", 1),
    ("thv-config", 1),
    ("thv-client", 2),
    ("thv-store", 2),
    ("thv-secrets", 2),
    ("thv-telemetry", 2),
    ("thv-authserver", 3),
    ("thv-resource", 3),
    ("thv-proxy", 3),
    ("thv-remote", 3),
    ("thv-stdio", 3),
    ("thv-gateway", 4),
    ("thv-workload", 4),
    ("thv", 4),
];

/// Arrows within a layer that are meant.
const LEVEL: &[(&str, &str)] = &[
    ("thv", "thv-gateway"),
    ("thv", "thv-workload"),
    ("thv-proxy", "thv-resource"),
    ("thv-remote", "thv-proxy"),
    ("thv-workload", "thv-gateway"),
];

/// Packages for development: nothing that is shipped depends on them, except tests on `thv-testkit`.
const DEVELOPMENT: &[&str] = &["thv-testkit", "thv-e2e", "thv-bench", "xtask"];

/// What the lowest layer must not pull in: I/O, async, randomness, logging.
const NOT_AT_THE_BOTTOM: &[&str] =
    &["tokio", "hyper", "mio", "async-trait", "getrandom", "rand", "tracing", "log", "thv-clock"];

/// Packages that one crate keeps to itself.
const KEPT: &[(&str, &str)] = &[("hyper-rustls", "thv-egress"), ("opentelemetry", "thv-telemetry")];

/// Every breach, as a sentence.
pub(crate) fn breaches(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for member in &metadata.members {
        match layer(member) {
            None if !DEVELOPMENT.contains(&member.as_str()) => {
                found.push(format!("{member} is on no layer: give it one in xtask/src/layers.rs"));
            }
            Some(0) => found.extend(impurities(metadata, member)),
            _ => {}
        }
    }
    let own = metadata.edges.iter().filter(|edge| metadata.members.contains(&edge.from));
    found.extend(own.filter_map(|edge| breach(metadata, edge)));
    found
}

fn layer(package: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == package).map(|(_, layer)| *layer)
}

/// What is wrong with one dependency of a member.
fn breach(metadata: &Metadata, Edge { from, to, need }: &Edge) -> Option<String> {
    let keeper = KEPT.iter().find(|(package, _)| package == to).map(|(_, keeper)| *keeper);
    if let Some(keeper) = keeper.filter(|keeper| keeper != from) {
        return Some(format!("{from} depends on {to}, which belongs to {keeper} alone"));
    }
    if !metadata.members.contains(to) || DEVELOPMENT.contains(&from.as_str()) {
        return None;
    }
    if DEVELOPMENT.contains(&to.as_str()) {
        let allowed = *need == Need::Dev && to == "thv-testkit";
        return (!allowed).then(|| format!("{from} depends on {to}, which is for development"));
    }
    let (above, below) = (layer(from)?, layer(to)?);
    let down = above > below || LEVEL.contains(&(from, to));
    (!down && *need != Need::Dev).then(|| format!("{from} (layer {above}) depends on {to} (layer {below})"))
}

/// What a package of the lowest layer pulls in and must not.
fn impurities(metadata: &Metadata, member: &str) -> Vec<String> {
    let reached = metadata.reach(member, Follow::Linked);
    let impure = NOT_AT_THE_BOTTOM.iter().filter(|package| reached.contains(**package));
    impure.map(|package| format!("{member} is on the lowest layer and pulls in {package}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(edges: &[(&str, &str, Need)]) -> Vec<String> {
        let members = LAYERS.iter().map(|(name, _)| (*name).to_owned());
        let members = members.chain(DEVELOPMENT.iter().map(|name| (*name).to_owned())).collect();
        let edges = edges.iter();
        let edges =
            edges.map(|(from, to, need)| Edge { from: (*from).into(), to: (*to).into(), need: *need });
        breaches(&Metadata { members, edges: edges.collect() })
    }

    #[test]
    fn arrows_down_and_the_listed_level_ones_are_fine() {
        let fine = [
            ("thv", "thv-oauth", Need::Normal),
            ("thv", "thv-gateway", Need::Normal),
            ("thv-proxy", "thv-resource", Need::Normal),
            ("thv-e2e", "thv-gateway", Need::Normal),
            ("thv-store", "thv-testkit", Need::Dev),
            ("thv-egress", "hyper-rustls", Need::Normal),
        ];
        assert_eq!(breaches_of(&fine), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_up_or_level_is_a_breach() {
        let found = breaches_of(&[
            ("thv-store", "thv-authserver", Need::Normal),
            ("thv-resource", "thv-proxy", Need::Normal),
        ]);
        assert_eq!(
            found,
            [
                "thv-store (layer 2) depends on thv-authserver (layer 3)",
                "thv-resource (layer 3) depends on thv-proxy (layer 3)",
            ]
        );
    }

    #[test]
    fn a_shipped_crate_needs_no_development_crate() {
        let found = breaches_of(&[("thv-store", "thv-testkit", Need::Normal)]);
        assert_eq!(found, ["thv-store depends on thv-testkit, which is for development"]);
    }

    #[test]
    fn the_lowest_layer_pulls_in_no_runtime_even_through_others() {
        let found = breaches_of(&[("thv-oauth", "x", Need::Normal), ("x", "tokio", Need::Normal)]);
        assert_eq!(found, ["thv-oauth is on the lowest layer and pulls in tokio"]);
    }

    #[test]
    fn a_kept_package_is_used_by_its_keeper_alone() {
        let found = breaches_of(&[("thv-proxy", "hyper-rustls", Need::Normal)]);
        assert_eq!(found, ["thv-proxy depends on hyper-rustls, which belongs to thv-egress alone"]);
    }

    #[test]
    fn a_new_crate_must_be_given_a_layer() {
        let members = ["thv-new".to_owned()].into();
        let found = breaches(&Metadata { members, edges: Vec::new() });
        assert_eq!(found, ["thv-new is on no layer: give it one in xtask/src/layers.rs"]);
    }
}
