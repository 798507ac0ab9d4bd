//! Presets: settings of known upstream providers as data.
//!
//! `presets.yaml` is the data. An entry of `upstreamProviders` that names a preset gets what it leaves out from there, when
//! the text is read and before anything is checked, so that a preset can set nothing that could not be written by hand.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::load::yaml;

/// The data; a test reads every entry as what it stands for.
static PRESETS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| match yaml::parse(include_str!("presets.yaml")) {
        Ok(Value::Object(presets)) => presets,
        _ => Map::new(),
    });

/// The names of all presets, in alphabetical order.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = PRESETS.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The `type` of the providers that a preset is for; `None` when there is no such preset.
pub fn upstream_type(name: &str) -> Option<&'static str> {
    PRESETS.get(name)?.get("type")?.as_str()
}

/// Fills the presets into a configuration that is not of a known shape yet; what is of a wrong shape stays as it is.
pub(crate) fn fill(config: &mut Value) {
    let providers = config.pointer_mut("/authServer/upstreamProviders").and_then(Value::as_array_mut);
    for provider in providers.into_iter().flatten() {
        let preset = provider.get("preset").and_then(Value::as_str).and_then(|name| PRESETS.get(name));
        // With another type nothing of the preset could be meant; the validator says so.
        let fits = |preset: &&Value| match provider.get("type") {
            None | Some(Value::Null) => true,
            own => own == preset.get("type"),
        };
        if let Some(preset) = preset.filter(fits) {
            complete(provider, preset);
        }
    }
}

/// Adds to mappings what they lack; other values, lists among them, are taken whole from `own`.
fn complete(own: &mut Value, preset: &Value) {
    match (own, preset) {
        (Value::Object(own), Value::Object(preset)) => {
            for (key, value) in preset {
                complete(own.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (own @ Value::Null, preset) => own.clone_from(preset),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape;
    use crate::upstream::UpstreamProvider;

    #[test]
    fn every_preset_is_an_upstream_provider_with_the_block_of_its_type() {
        let all = ["atlassian", "auth0", "datadog", "entra", "github", "google", "keycloak", "okta", "slack"];
        assert_eq!(names(), all);
        for name in names() {
            let provider: UpstreamProvider = shape::deserialize(PRESETS[name].clone()).unwrap();
            assert!(provider.kind().is_some() && provider.label.is_some(), "{name}");
            assert_eq!(upstream_type(name), provider.upstream_type.map(|kind| kind.as_str()), "{name}");
            assert!(provider.name.is_empty() && provider.preset.is_none(), "{name}");
        }
    }

    #[test]
    fn what_the_configuration_says_wins_and_the_rest_is_filled_in() {
        let mut config = serde_json::json!({"authServer": {"upstreamProviders": [{
            "preset": "google",
            "label": null,
            "oidcConfig": {"scopes": ["openid"], "additionalAuthorizationParams": {"prompt": "select_account"}},
        }]}});
        fill(&mut config);
        let provider = &config["authServer"]["upstreamProviders"][0];
        assert_eq!(provider["type"], "oidc");
        assert_eq!(provider["label"], "Google");
        assert_eq!(provider["oidcConfig"]["scopes"], serde_json::json!(["openid"]));
        assert_eq!(
            provider["oidcConfig"]["additionalAuthorizationParams"],
            serde_json::json!({"access_type": "offline", "prompt": "select_account"})
        );
        let filled = config.clone();
        fill(&mut config);
        assert_eq!(config, filled, "a written configuration reads back the same");
    }

    #[test]
    fn nothing_is_filled_in_for_another_type_or_an_unknown_name_or_a_wrong_shape() {
        for provider in [
            serde_json::json!({"preset": "github", "type": "oidc"}),
            serde_json::json!({"preset": "gihtub"}),
            serde_json::json!({"preset": ["github"]}),
            serde_json::json!("github"),
        ] {
            let mut config = serde_json::json!({"authServer": {"upstreamProviders": [provider]}});
            let before = config.clone();
            fill(&mut config);
            assert_eq!(config, before);
        }
    }
}
