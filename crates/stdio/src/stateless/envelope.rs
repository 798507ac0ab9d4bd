//! What every request of the stateless revision says in its headers and its `_meta`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderMap;
use thv_mcp::headers::{MCP_METHOD, MCP_NAME};
use thv_mcp::version::ProtocolVersion;
use thv_mcp::{meta, method};

use crate::edit::{self, Meta};
use crate::head;
use crate::jsonrpc;
use crate::refusal::Refusal;
use crate::session::Capabilities;

/// A request's envelope, checked.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) meta: Meta<'a>,
    pub(crate) capabilities: Capabilities,
    /// The tool, prompt or resource that the request names.
    pub(crate) name: Option<String>,
}

impl<'a> Envelope<'a> {
    /// Reads it, and holds the headers against the body ("Server Validation").
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub(crate) fn read(
        headers: &HeaderMap,
        version: Option<&str>,
        method: &str,
        params: Option<&'a str>,
    ) -> Result<Self, Refusal> {
        let meta = Meta::of(params).map_err(|_| Refusal::Envelope("an object"))?;
        let claimed = meta.version().ok_or(Refusal::Envelope(meta::PROTOCOL_VERSION))?;
        match version {
            Some(version) if version == claimed => {}
            Some(version) => {
                let mismatch = format!("MCP-Protocol-Version is {version}, _meta names {claimed}");
                return Err(Refusal::HeaderMismatch(mismatch));
            }
            None => return Err(Refusal::HeaderMismatch("MCP-Protocol-Version is missing".to_owned())),
        }
        if !claimed.parse().is_ok_and(ProtocolVersion::is_stateless) {
            return Err(Refusal::Version(claimed));
        }
        let capabilities = meta.get(meta::CLIENT_CAPABILITIES).filter(|value| value.starts_with('{'));
        let capabilities = capabilities.ok_or(Refusal::Envelope(meta::CLIENT_CAPABILITIES))?;
        if meta.get(meta::CLIENT_INFO).is_some_and(|info| !info.starts_with('{')) {
            return Err(Refusal::Envelope(meta::CLIENT_INFO));
        }
        check_method(headers, method)?;
        let name = name(method, params);
        check_name(headers, name.as_deref())?;
        Ok(Self { capabilities: Capabilities::of(Some(capabilities)), meta, name })
    }

    /// The client's progress token, as JSON.
    pub(crate) fn progress_token(&self) -> Option<String> {
        self.meta.get(meta::PROGRESS_TOKEN).map(str::to_owned)
    }

    /// Parameters of `initialize` in the name of the request's client. What clients can be asked for is said anew with each
    /// request of this revision, so the server hears that it may ask for anything.
    pub(crate) fn initialize_params(&self) -> String {
        let declared = self.meta.get(meta::CLIENT_CAPABILITIES).unwrap_or("{}");
        let own_members = edit::members(declared);
        let others =
            ["elicitation", "roots", "sampling"].into_iter().filter(|name| !own_members.contains_key(*name));
        let capabilities = edit::insert(declared, others.map(|name| (name, "{}")));
        let version = jsonrpc::string(ProtocolVersion::LATEST_WITH_SESSIONS.as_str());
        let own =
            edit::object([("name", "\"thv\""), ("version", &jsonrpc::string(env!("CARGO_PKG_VERSION")))]);
        edit::object([
            ("protocolVersion", version.as_str()),
            ("capabilities", &capabilities),
            ("clientInfo", self.meta.get(meta::CLIENT_INFO).unwrap_or(&own)),
        ])
    }
}

fn check_method(headers: &HeaderMap, method: &str) -> Result<(), Refusal> {
    match head::single(headers, &MCP_METHOD, "Mcp-Method").map_err(mismatch)? {
        Some(header) if header == method => Ok(()),
        Some(header) => {
            Err(Refusal::HeaderMismatch(format!("Mcp-Method is {header}, the body's method {method}")))
        }
        None => Err(Refusal::HeaderMismatch("Mcp-Method is missing".to_owned())),
    }
}

fn check_name(headers: &HeaderMap, name: Option<&str>) -> Result<(), Refusal> {
    let header = head::single(headers, &MCP_NAME, "Mcp-Name").map_err(mismatch)?;
    let Some(name) = name else { return Ok(()) };
    let header = header.ok_or_else(|| Refusal::HeaderMismatch("Mcp-Name is missing".to_owned()))?;
    match decoded(header) {
        Some(decoded) if decoded == name => Ok(()),
        Some(decoded) => {
            Err(Refusal::HeaderMismatch(format!("Mcp-Name is {decoded}, the body names {name}")))
        }
        None => Err(Refusal::HeaderMismatch("Mcp-Name is not in Base64 as it says".to_owned())),
    }
}

fn mismatch(refusal: Refusal) -> Refusal {
    Refusal::HeaderMismatch(refusal.to_string())
}

/// A header's value ("Value Encoding").
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        None => Some(value.to_owned()),
    }
}

/// What `Mcp-Name` repeats.
fn name(method: &str, params: Option<&str>) -> Option<String> {
    let member = match method {
        method::TOOLS_CALL | method::PROMPTS_GET => "name",
        method::RESOURCES_READ => "uri",
        _ => return None,
    };
    let members = edit::members(params?);
    members.get(member).map(|value| value.get()).and_then(|value: &str| serde_json::from_str(value).ok())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use thv_mcp::headers::MCP_PROTOCOL_VERSION;

    use super::*;

    const PARAMS: &str = r#"{"name":"add","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#;

    fn read<'a>(
        method: &str,
        params: &'a str,
        headers: &[(HeaderName, &'static str)],
    ) -> Result<Envelope<'a>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        let version = map.get(MCP_PROTOCOL_VERSION).map(|value| value.to_str().unwrap().to_owned());
        Envelope::read(&map, version.as_deref(), method, Some(params)).map_err(|refusal| refusal.to_string())
    }

    fn headers(method: &'static str, name: &'static str) -> [(HeaderName, &'static str); 3] {
        [(MCP_PROTOCOL_VERSION, "2026-07-28"), (MCP_METHOD, method), (MCP_NAME, name)]
    }

    #[test]
    fn a_complete_envelope_is_read() {
        for name in ["add", "=?base64?YWRk?="] {
            let envelope = read("tools/call", PARAMS, &headers("tools/call", name)).unwrap();
            assert!(envelope.capabilities.answer("elicitation/create"));
            assert_eq!(envelope.name.as_deref(), Some("add"));
            assert_eq!(
                envelope.initialize_params(),
                format!(
                    r#"{{"protocolVersion":"2025-11-25","capabilities":{{"roots":{{}},"sampling":{{}},"elicitation":{{}}}},"clientInfo":{{"name":"thv","version":"{}"}}}}"#,
                    env!("CARGO_PKG_VERSION")
                )
            );
        }
    }

    #[test]
    fn headers_that_disagree_with_the_body_are_refused() {
        let all = headers("tools/call", "add");
        for missing in 0..all.len() {
            let mut others = all.to_vec();
            others.remove(missing);
            let refusal = read("tools/call", PARAMS, &others).unwrap_err();
            assert!(refusal.ends_with(" is missing"), "{refusal}");
        }
        for (method, name) in [("tools/list", "add"), ("tools/call", "sub"), ("tools/call", "=?base64?!?=")] {
            let refusal = read("tools/call", PARAMS, &headers(method, name)).unwrap_err();
            assert!(refusal.starts_with("the headers and the body disagree"), "{refusal}");
        }
        let twice = [headers("tools/call", "add").as_slice(), &[(MCP_NAME, "add")]].concat();
        assert!(read("tools/call", PARAMS, &twice).is_err());
    }

    #[test]
    fn an_incomplete_envelope_is_refused() {
        let all = headers("tools/list", "x");
        let incomplete = [
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
                meta::CLIENT_CAPABILITIES,
            ),
            (r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#, meta::PROTOCOL_VERSION),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#, meta::PROTOCOL_VERSION),
            ("{}", meta::PROTOCOL_VERSION),
            (r#"{"_meta":[]}"#, "an object"),
        ];
        for (params, lacks) in incomplete {
            let refusal = read("tools/list", params, &all).unwrap_err();
            assert!(refusal.contains(lacks), "{params}: {refusal}");
        }
    }
}
