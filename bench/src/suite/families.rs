//! Refresh token families to work with.

use super::bed::{Bed, Server};
use crate::error::{BenchError, During as _};
use crate::load::{RefreshChain, Work};
use crate::login::{Endpoints, PublicClient};

/// One refresh token family per connection.
pub(super) struct Families {
    /// Refreshes them.
    pub(super) work: Work,
    /// Length of a token response in bytes.
    pub(super) response_bytes: usize,
}

impl Families {
    /// A login for each, by a client of its own.
    ///
    /// # Errors
    /// When a login fails.
    pub(super) async fn logged_in(bed: &Bed<'_>, server: &Server) -> Result<Self, BenchError> {
        let endpoints = Endpoints::discover(server.address).await?;
        let path: http::Uri = endpoints.token.parse().during("reading the token endpoint")?;
        let (mut chains, mut response_bytes) = (Vec::with_capacity(bed.connections()), 0);
        for number in 0..bed.options.connections {
            let mut client = PublicClient::register(server.address, &endpoints, number).await?;
            let grant = client.log_in().await?;
            response_bytes = grant.response_bytes;
            chains.push(RefreshChain { client_id: client.client_id, refresh_token: grant.refresh_token });
        }
        Ok(Self { work: Work::Refresh { path: path.path().to_owned(), chains }, response_bytes })
    }

    /// For a server that looks at nothing.
    pub(super) fn invented(bed: &Bed<'_>, response_bytes: usize) -> Self {
        let chain = RefreshChain { client_id: "calibration".into(), refresh_token: "calibration".into() };
        let chains = vec![chain; bed.connections()];
        Self { work: Work::Refresh { path: "/oauth/token".into(), chains }, response_bytes }
    }
}
