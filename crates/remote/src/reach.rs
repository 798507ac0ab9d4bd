//! What may be dialled on behalf of this user's server.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use thv_egress::address::{SpecialUse, special_use};
use thv_egress::{Client, Policy, Roots};
use thv_oauth::issuer::AllowHttp;
use tokio::net::lookup_host;
use url::{Host, Url};

use crate::settings::AuthSettings;

/// The way out to everything that a server and its authorization server name, and which of that may be plain http. Clones
/// share what has been found out.
#[derive(Clone)]
pub struct Reach {
    /// The URLs that the user named.
    named: Vec<String>,
    roots: Roots,
    plain_http: bool,
    way: Arc<ArcSwap<Way>>,
    /// Which URLs may be plain http.
    pub allow_http: AllowHttp,
}

struct Way {
    egress: Client,
    /// Whether every name could be resolved: a laptop that wakes, or a network that comes up late, tells more later.
    is_settled: bool,
}

impl Reach {
    /// What is dialled for the server at `server_url`. Whoever names a server on this machine, or in a private network, wants
    /// its authorization server there to be reached, too; a server on the internet leads nowhere but to the internet (CL-11).
    /// The URLs among `settings`, and a `further` one, are the user's own words as well.
    pub async fn of(server_url: &str, settings: &AuthSettings, further: Option<&str>, roots: &Roots) -> Self {
        let named = [
            Some(server_url),
            settings.issuer.as_deref(),
            settings.authorize_url.as_deref(),
            settings.token_url.as_deref(),
        ];
        let named: Vec<String> = named.into_iter().flatten().chain(further).map(str::to_owned).collect();
        let plain_http = settings.insecure_allow_http;
        let way = Way::of(&named, plain_http, roots).await;
        Self {
            named,
            roots: roots.clone(),
            plain_http,
            way: Arc::new(ArcSwap::from_pointee(way)),
            allow_http: if plain_http { AllowHttp::Any } else { AllowHttp::Loopback },
        }
    }

    /// The way out: guarded, see [`Reach::of`].
    pub fn egress(&self) -> Client {
        self.way.load().egress.clone()
    }

    /// Looks again where the names lead that could not be resolved before.
    pub(crate) async fn settle(&self) {
        if !self.way.load().is_settled {
            self.way.store(Arc::new(Way::of(&self.named, self.plain_http, &self.roots).await));
        }
    }
}

impl Way {
    async fn of(named: &[String], plain_http: bool, roots: &Roots) -> Self {
        let (mut is_local, mut is_settled) = (false, true);
        for url in named {
            match addresses(url).await {
                Ok(addresses) => is_local |= all_local(&addresses),
                Err(_) => is_settled = false,
            }
        }
        let mut policy = if is_local { Policy::with_local_networks() } else { Policy::public() };
        policy.plain_http = plain_http;
        // Requests are rare here: a connection that is kept would have been closed by the time of the next one.
        Self { egress: Client::new(policy, roots), is_settled }
    }
}

/// Whether a name leads to this machine or a private network, and nowhere else: its owner must not be able to open those by
/// adding one such address.
fn all_local(addresses: &[IpAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().copied().all(is_local_address)
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
        ] {
            assert_eq!(all_local(&addresses(url).await.unwrap()), local, "{url}");
        }
    }

    #[test]
    fn cl_11_a_name_with_one_public_address_opens_no_private_network() {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert!(all_local(&addresses(&["10.0.0.1", "::1"])));
        assert!(!all_local(&addresses(&["10.0.0.1", "8.8.8.8"])));
        assert!(!all_local(&[]));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_yet_is_looked_up_again() {
        let way = Way::of(&["https://name.invalid/mcp".to_owned()], false, &Roots::load(None).unwrap()).await;
        assert!(!way.is_settled);
        let way = Way::of(&["https://127.0.0.1/mcp".to_owned()], false, &Roots::load(None).unwrap()).await;
        assert!(way.is_settled);
    }
}
