//! What may be dialled on behalf of this user's server.

use std::io;
use std::net::IpAddr;

use thv_egress::address::{SpecialUse, special_use};
use thv_egress::{Client, Policy, Roots};
use thv_oauth::issuer::AllowHttp;
use tokio::net::lookup_host;
use url::{Host, Url};

use crate::settings::AuthSettings;

/// The way out to everything that a server and its authorization server name, and which of that may be plain http.
#[derive(Clone)]
pub struct Reach {
    /// Guarded: see [`Reach::of`].
    pub egress: Client,
    /// Which URLs may be plain http.
    pub allow_http: AllowHttp,
}

impl Reach {
    /// What is dialled for the server at `server_url`. Whoever names a server on this machine, or in a private network, wants
    /// its authorization server there to be reached, too; a server on the internet leads nowhere but to the internet (CL-11).
    /// The URLs among `settings` are the user's own words as well.
    pub async fn of(server_url: &str, settings: &AuthSettings, roots: &Roots) -> Self {
        let named = [Some(server_url), settings.issuer.as_deref(), settings.token_url.as_deref()];
        let mut local = false;
        for url in named.into_iter().flatten() {
            local |= is_local(url).await;
        }
        let mut policy = if local { Policy::with_local_networks() } else { Policy::public() };
        policy.plain_http = settings.insecure_allow_http;
        let allow_http = if settings.insecure_allow_http { AllowHttp::Any } else { AllowHttp::Loopback };
        // Requests are rare here: a connection that is kept would have been closed by the time of the next one.
        Self { egress: Client::new(policy, roots), allow_http }
    }
}

/// Whether a URL leads to this machine or to a private network. A name that cannot be resolved now does not.
async fn is_local(url: &str) -> bool {
    addresses(url).await.is_ok_and(|addresses| addresses.into_iter().any(is_local_address))
}

async fn addresses(url: &str) -> io::Result<Vec<IpAddr>> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    match url.host() {
        Some(Host::Ipv4(ip)) => Ok(vec![ip.into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![ip.into()]),
        Some(Host::Domain(name)) => Ok(lookup_host((name, 0)).await?.map(|address| address.ip()).collect()),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn is_local_address(ip: IpAddr) -> bool {
    use SpecialUse::{Cgnat, Loopback, Private, UniqueLocal};
    matches!(special_use(ip.to_canonical()), Some(Loopback | Private | UniqueLocal | Cgnat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cl_11_a_private_server_is_one_that_the_user_named() {
        for (url, local) in [
            ("http://127.0.0.1:3000/mcp", true),
            ("http://localhost:3000/mcp", true),
            ("https://[::1]/mcp", true),
            ("https://10.0.0.1/mcp", true),
            ("https://[fd00::1]/mcp", true),
            ("https://8.8.8.8/mcp", false),
            ("https://169.254.169.254/", false),
            ("not a url", false),
        ] {
            assert_eq!(is_local(url).await, local, "{url}");
        }
    }
}
