//! Names of the proxy, as they are in `Host`.

use http::uri::Authority;

/// Whether it is a host with or without a port: no user information, no path.
pub(super) fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| {
        let port = authority.as_str().strip_prefix(authority.host());
        !authority.host().is_empty()
            && (port == Some("") || authority.port_u16().is_some_and(|port| port != 0))
    })
}

/// Whether a host has a port.
pub(crate) fn has_port(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_what_is_none() {
        for (host, port) in
            [("mcp", false), ("mcp.lan:8080", true), ("[fd00::1]", false), ("10.0.0.7:80", true)]
        {
            assert!(is_host(host), "{host}");
            assert_eq!(has_port(host), port, "{host}");
        }
        for text in ["", "http://mcp", "mcp/x", "ann@mcp", "mcp:", "mcp:0", "mcp:http", ":80", "a b"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
