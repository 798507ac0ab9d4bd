//! Names made of what a workload is.

use http::Uri;

use super::MAX_LEN;

/// Path segments that say that this is an MCP endpoint and not which one.
const ENDPOINTS: [&str; 4] = ["mcp", "sse", "message", "messages"];

/// Programs that run the package, image, module or script which they are given.
const RUNNERS: [&str; 16] = [
    "npx", "bunx", "uvx", "pipx", "pnpm", "npm", "yarn", "bun", "deno", "node", "uv", "python", "python3",
    "docker", "podman", "nerdctl",
];

/// What stands between a runner and what it runs.
const SUBCOMMANDS: [&str; 7] = ["dlx", "exec", "run", "tool", "x", "container", "start"];

/// Options of runners whose value is an argument of its own. An environment variable for a container is among them, so that
/// its value never becomes a name.
const WITH_VALUE: [&str; 16] = [
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "--mount",
    "--name",
    "--network",
    "-p",
    "--package",
    "--publish",
    "--from",
    "--with",
    "--python",
    "--directory",
    "--project",
];

/// What a script is called without.
const EXTENSIONS: [&str; 8] = [".js", ".mjs", ".cjs", ".ts", ".py", ".sh", ".exe", ".cmd"];

/// Where nothing better is known.
const FALLBACK: &str = "server";

pub(super) fn from_url(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let mut parts = vec![authority.host().to_owned()];
    parts.extend(authority.port_u16().map(|port| port.to_string()));
    let segments = uri.path().split('/').filter(|segment| !ENDPOINTS.contains(segment));
    parts.extend(segments.map(str::to_owned));
    plain(&parts.join("-"))
}

pub(super) fn from_command(command: &str, args: &[String]) -> String {
    let program = bare(command);
    let runs = RUNNERS.contains(&program).then(|| run_by_runner(args)).flatten();
    runs.and_then(|run| plain(bare(run))).or_else(|| plain(program)).unwrap_or_else(|| FALLBACK.to_owned())
}

/// The first argument of a runner that says what is run.
fn run_by_runner(args: &[String]) -> Option<&str> {
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if WITH_VALUE.contains(&arg) {
            args.next();
        } else if !arg.starts_with('-') && !SUBCOMMANDS.contains(&arg) {
            return Some(arg);
        }
    }
    None
}

/// Without directories, scope or registry, version or tag, and extension.
fn bare(run: &str) -> &str {
    let last = run.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(run);
    let end = last.find(['@', ':', '=', '<', '>', '~', '[']).unwrap_or(last.len());
    let name = last.get(..end).unwrap_or(last);
    EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name)
}

/// Lower-case letters, digits and `_` as they are, anything else as single dashes between them.
fn plain(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            '_' if !name.is_empty() => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
        if name.len() == MAX_LEN {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{NameError, WorkloadName};

    #[test]
    fn a_url_is_named_after_its_host_and_what_its_path_tells() {
        for (url, expected) in [
            ("https://mcp.example.com/mcp", "mcp-example-com"),
            ("https://mcp.example.com", "mcp-example-com"),
            ("https://Example.com/mcp/", "example-com"),
            ("http://localhost:3001/sse", "localhost-3001"),
            ("http://127.0.0.1:8080/mcp", "127-0-0-1-8080"),
            ("http://[::1]:8080/mcp", "1-8080"),
            ("https://api.example.com/mcp/x/issues?token=abc", "api-example-com-x-issues"),
            ("https://user:password@example.com/v1/mcp", "example-com-v1"),
        ] {
            let name = WorkloadName::from_url(url).unwrap();
            assert_eq!(name.as_str(), expected, "{url}");
            assert_eq!(expected.parse(), Ok(name));
        }
        for url in ["", "/mcp", "not a url", "https://"] {
            assert_eq!(WorkloadName::from_url(url), Err(NameError::NoHost), "{url:?}");
        }
    }

    #[test]
    fn a_long_url_makes_a_name_that_is_short_enough() {
        let name = WorkloadName::from_url(&format!("https://example.com/{}", "a/".repeat(100))).unwrap();
        assert!(name.as_str().len() <= 64 && name.as_str().parse::<WorkloadName>().is_ok(), "{name}");
    }

    #[test]
    fn a_command_is_named_after_what_it_runs() {
        for (command, expected) in [
            ("npx @scope/server-x", "server-x"),
            ("npx -y @modelcontextprotocol/server-filesystem@1.2.3 /tmp", "server-filesystem"),
            ("/usr/bin/npx --package other server_y", "server_y"),
            ("uvx mcp-server-git==2.1 --repository .", "mcp-server-git"),
            ("uvx --from git+https://example.com/r tool-name", "tool-name"),
            ("uv run --with mcp /srv/My_Server.py", "my_server"),
            ("python3 -m mcp_weather", "mcp_weather"),
            ("node ./dist/index.js", "index"),
            ("pnpm dlx thing@latest", "thing"),
            ("docker run -i --rm -e TOKEN=secret ghcr.io/github/github-mcp-server:v1", "github-mcp-server"),
            ("/opt/My Tools/serve", "serve"),
            ("npx", "npx"),
            ("npx --help", "npx"),
            ("größe", "gr-e"),
            ("日本", "server"),
            ("", "server"),
        ] {
            let (program, args) = match command.split_once(' ') {
                Some((program, args)) if !command.contains("My Tools") => (program, args),
                _ => (command, ""),
            };
            let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let name = WorkloadName::from_command(program, &args);
            assert_eq!(name.as_str(), expected, "{command}");
            assert_eq!(expected.parse(), Ok(name));
        }
    }
}
