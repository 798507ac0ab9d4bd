//! `POST /oauth/revoke`: a client gives a token back (RFC 7009, AS-130).
//!
//! Whatever token of a grant is given back, the whole grant ends: its refresh tokens, its access tokens, and the upstream
//! tokens when no other grant rests on the session. There is nothing less to end: access tokens are self-contained, and what
//! a resource server can ask about them is whether their grant lives. RFC 7009 §2.1 demands it for refresh tokens and allows
//! it for access tokens.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use thv_oauth::client_id::looks_like_url;

use super::client_authentication::Presented;
use super::{form, presented_token};
use crate::clients::for_log;
use crate::respond::{EndpointError, empty};
use crate::server::{AuthServer, Source};

impl AuthServer {
    /// `POST /oauth/revoke`.
    pub(crate) async fn revoke(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        match self.try_revoke(request, source).await {
            Ok(()) => empty(StatusCode::OK),
            Err(error) => error.into_response(),
        }
    }

    /// What is no token any more is revoked already (RFC 7009 §2.2).
    async fn try_revoke(&self, request: &Request<Bytes>, source: Source) -> Result<(), EndpointError> {
        let form = form(request)?;
        let presented = Presented::from_request(request.headers(), &form)?;
        let Some(issued) = self.find_token(presented_token(&form)?).await? else {
            return self.nothing_to_revoke(&presented, source).await;
        };
        let grant = issued.grant();
        let _authenticated = self.authenticate_client(&presented, &grant.client).await?;
        self.revoke_grant(&grant.id).await?;
        tracing::info!(
            grant.id = %grant.id, client.id = &*for_log(&grant.client.client_id), subject = grant.subject.sub,
            "grant revoked by its client"
        );
        Ok(())
    }

    /// A client with wrong credentials is told so whatever it presents. No document is fetched for that: the request has no
    /// effect, and a client whose host is down must still be able to sign its user out.
    async fn nothing_to_revoke(&self, presented: &Presented, source: Source) -> Result<(), EndpointError> {
        let client_id = presented.client_id();
        if !looks_like_url(client_id) {
            return self.authenticate_known_client(presented, source).await.map(drop);
        }
        if self.inner.clients.is_known(client_id, source.addr).await {
            return Ok(());
        }
        Err(presented.refused("client_unknown", "the client is not known to this server"))
    }
}
