use serde_json::json;

use crate::failure::Failure;
use crate::printer;

/// `thv version`
pub(crate) fn version(as_json: bool) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let text = if as_json {
        json!({"version": version, "os": os, "architecture": architecture}).to_string()
    } else {
        format!("thv {version} ({architecture}-{os})")
    };
    printer::data(&format!("{text}\n"))
}
