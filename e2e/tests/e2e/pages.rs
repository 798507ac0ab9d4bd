//! The consent and login pages in Chromium.

use serde_json::{Value, json};

use crate::support::{Gateway, Scene, chromium};

/// Red, green, blue and so on of a CSS colour: `rgb(1, 2, 3)`.
fn brightness(color: &Value) -> u32 {
    let text = color.as_str().expect("a colour");
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).take(3);
    numbers.map(|part| part.parse::<u32>().unwrap()).sum()
}

fn assert_page(page: &Value) {
    assert_eq!(page["lang"], "en");
    assert!(page["title"].as_str().is_some_and(|title| !title.is_empty()));
    assert!(page["heading"].as_str().is_some_and(|heading| !heading.is_empty()));
    assert_eq!(page["unnamedFields"], 0, "every field has a label");
    assert_eq!(page["injected"], 0, "the client's name is text, not markup");
}

#[tokio::test]
async fn consent_and_login_work_by_keyboard_without_javascript_light_and_dark() {
    let scene = Scene::new("pages");
    let gateway = Gateway::development(&scene).await;
    let (out, browser) = (scene.artifacts().to_str().unwrap(), chromium());
    let arguments =
        ["--issuer", gateway.origin(), "--resource", &gateway.url, "--out", out, "--chromium", &browser];
    let report = scene.report("pages.mjs", &arguments).await;

    for walk in ["keyboard", "dark", "phone", "withoutScript"] {
        let walk = &report[walk];
        assert_eq!(walk["callback"]["hasCode"], true, "{walk}");
        assert_eq!(walk["callback"]["state"], "a state & more");
        assert_eq!(walk["callback"]["iss"], gateway.origin());
        assert_eq!(walk["complaints"], json!([]), "the browser has nothing to complain about");
    }
    assert_eq!(report["deny"]["callback"]["error"], "access_denied");
    assert_eq!(report["deny"]["complaints"], json!([]));

    let keyboard = &report["keyboard"];
    for page in ["consent", "login"] {
        assert_page(&keyboard[page]);
        assert_page(&report["dark"][page]);
        let (light, dark) = (&keyboard[page]["background"], &report["dark"][page]["background"]);
        assert!(brightness(light) > 600 && brightness(dark) < 200, "{page}: light {light}, dark {dark}");
    }
    let consent = keyboard["consent"]["text"].as_str().unwrap();
    assert!(consent.contains("Browser <b>client</b> & Söhne"), "{consent}");
    assert!(consent.contains("127.0.0.1"), "where the user is sent: {consent}");
    assert!(consent.contains(&gateway.url), "which server it is for: {consent}");
    for control in ["approve", "logIn"] {
        assert_eq!(keyboard[control]["focusVisible"], true, "{control}");
        assert!(keyboard[control]["tabs"].as_u64().unwrap() <= 5, "{control} is near");
    }
    gateway.stop(&scene, 8).await;
}
