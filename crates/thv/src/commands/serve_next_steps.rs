use thv_config::storage::StorageType;
use thv_config::{AuthServer, Config, Profile};

use crate::printer;

/// The MCP Inspector whose flags are printed.
const INSPECTOR: &str = "@modelcontextprotocol/inspector@2.12.0";

/// What to do with a development server, ready to be copied.
pub(super) fn next_steps(config: &Config) -> String {
    let url = config.resource();
    let discovery = config.auth_server.as_ref().map(|server| {
        let issuer = server.issuer.trim_end_matches('/');
        // The path of an issuer goes behind the well-known path (RFC 8414 §3.1).
        let origin_ends =
            issuer.find("://").and_then(|at| issuer.get(at + 3..)?.find('/').map(|path| at + 3 + path));
        let (origin, path) = issuer.split_at(origin_ends.unwrap_or(issuer.len()));
        format!("{origin}/.well-known/oauth-authorization-server{path}")
    });
    let user = config.auth_server.as_ref().and_then(AuthServer::identity_provider);
    let user = user.and_then(|provider| provider.local_config.as_ref()?.development_user.as_ref());
    let login = user.map_or_else(|| "as configured".to_owned(), |user| format!("one click, as `{user}`"));
    let in_memory = config
        .auth_server
        .as_ref()
        .is_none_or(|server| server.storage.kind(Profile::Development) == StorageType::Memory);
    let kept = if in_memory {
        "Keys and logins live as long as this process."
    } else {
        "Keys live as long as this process: what it stores cannot be read by the next one unless keys are configured."
    };
    let (bold, plain) = if printer::stdout_has_color() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    let server = config.server.url.as_deref().unwrap_or("built in: whoami, echo, countdown");
    let discovery = discovery.unwrap_or_else(|| "(tokens come from another issuer)".to_owned());
    format!(
        "\
{bold}thv development server{plain}

  MCP URL      {url}
  Discovery    {discovery}
  MCP server   {server}
  Login        {login}

{bold}Claude Code{plain}
  claude mcp add --transport http thv-dev {url}

{bold}VS Code{plain} (.vscode/mcp.json)
  {{\"servers\": {{\"thv-dev\": {{\"type\": \"http\", \"url\": \"{url}\"}}}}}}

{bold}MCP Inspector{plain}
  npx {INSPECTOR} --cli --server-url {url} --method tools/list

{kept} Ctrl-C stops it.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_the_real_urls() {
        let mut config = Config::development("127.0.0.1:4711".parse().unwrap(), None);
        let steps = next_steps(&config);
        assert!(
            steps.contains("claude mcp add --transport http thv-dev http://127.0.0.1:4711/mcp\n"),
            "{steps}"
        );
        assert!(steps.contains("http://127.0.0.1:4711/.well-known/oauth-authorization-server\n"), "{steps}");
        if let Some(server) = &mut config.auth_server {
            server.issuer = "https://as.example/tenant".to_owned();
        }
        let steps = next_steps(&config);
        assert!(
            steps.contains("https://as.example/.well-known/oauth-authorization-server/tenant\n"),
            "{steps}"
        );
    }
}
