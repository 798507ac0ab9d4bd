//! URLs that requests go to. No problem shows the URL: its query may be a secret.

use std::net::IpAddr;

use http::Uri;
use http::uri::Authority;
use thv_config::Problem;

/// An http or https URL without user information and fragment; http for this machine only, unless it is allowed.
pub(super) fn check(at: &str, url: &str, insecure_allow_http: bool, found: &mut Vec<Problem>) {
    let problem = match parse(url) {
        Err(reason) => Problem::error(at, reason),
        Ok(uri) if uri.scheme_str() == Some("http") && !insecure_allow_http && !is_this_machine(&uri) => {
            Problem::error(at, "must be https; plain http is for this machine only").with_hint(
                "for a network that nobody else can read, allow it with remote_auth.insecure_allow_http",
            )
        }
        Ok(_) => return,
    };
    found.push(problem);
}

/// Whether it is what browsers send in `Origin` (RFC 6454 §6.2).
pub(super) fn is_origin(text: &str) -> bool {
    let is_bare = |uri: Uri| uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
    parse(text).is_ok_and(is_bare)
}

/// The error completes the sentence "remote_url: …".
fn parse(url: &str) -> Result<Uri, &'static str> {
    if !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has a space or a character that must be percent-encoded");
    }
    if url.contains('#') {
        return Err("must not have a fragment");
    }
    let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("is not an absolute http or https URL; it must begin with https://");
    }
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("must not contain a user name or password");
    }
    if authority.host().is_empty() {
        return Err("has no host");
    }
    if !has_good_port(authority) {
        return Err("has no valid port");
    }
    Ok(uri)
}

fn has_good_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        _ => authority.port_u16().is_some_and(|port| port != 0),
    }
}

fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str, insecure: bool) -> Option<String> {
        let mut found = Vec::new();
        check("remote_url", url, insecure, &mut found);
        found.pop().map(|problem| problem.message)
    }

    #[test]
    fn urls_of_servers_are_fine() {
        for url in [
            "https://mcp.example.com",
            "https://mcp.example.com:8443/mcp?team=a",
            "http://localhost:3001/mcp",
            "http://LocalHost/mcp",
            "http://127.9.9.9:1/mcp",
            "http://[::1]:3001/mcp",
            "https://[2001:db8::1]/mcp",
        ] {
            assert_eq!(problem(url, false), None, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_and_the_url_is_not_shown() {
        for (url, expected) in [
            ("", "is not a URL"),
            ("mcp.example.com/mcp", "is not a URL"),
            ("mcp.example.com", "begin with https://"),
            ("/mcp", "begin with https://"),
            ("ftp://mcp.example.com", "begin with https://"),
            ("https://", "is not a URL"),
            ("https:///mcp", "is not a URL"),
            ("https://user:s3cret@mcp.example.com", "user name"),
            ("https://@mcp.example.com", "user name"),
            ("https://mcp.example.com/#top", "fragment"),
            ("https://mcp.example.com/a b", "percent-encoded"),
            ("https://bücher.example/", "percent-encoded"),
            ("https://mcp.example.com:0/", "port"),
            ("https://mcp.example.com:99999/", "port"),
            ("https://mcp.example.com:/", "port"),
            ("http://mcp.example.com/?key=s3cret", "must be https"),
            ("http://localhost.example.com/", "must be https"),
        ] {
            let message = problem(url, false).unwrap_or_default();
            assert!(message.contains(expected) && !message.contains("s3cret"), "{url}: {message}");
        }
    }

    #[test]
    fn plain_http_beyond_this_machine_needs_permission() {
        assert_eq!(problem("http://mcp.corp.example/mcp", true), None);
        assert!(problem("ftp://mcp.corp.example/mcp", true).is_some());
    }

    #[test]
    fn an_origin_has_no_path() {
        for (text, expected) in [
            ("https://app.example.com", true),
            ("http://localhost:6274", true),
            ("https://app.example.com/", false),
            ("https://app.example.com/x", false),
            ("https://app.example.com?x", false),
            ("null", false),
            ("*", false),
        ] {
            assert_eq!(is_origin(text), expected, "{text}");
        }
    }
}
