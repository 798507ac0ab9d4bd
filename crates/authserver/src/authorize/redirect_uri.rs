//! `redirect_uri`: registered for this client, compared exactly but for a loopback port (AS-20, AS-21).

use bytes::Bytes;
use http::Response;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::{self, Params};
use thv_oauth::redirect_uri::RedirectUri;
use thv_store::records::ApprovedRequest;

use super::state;
use crate::clients::Client;
use crate::respond::{PageError, see_other};

/// A place to which this client's users may be sent. Only this module makes one out of a request; only this type can
/// answer by redirect.
#[derive(Clone, Debug)]
pub(crate) struct RedirectProven {
    client_id: String,
    uri: String,
    state: Option<String>,
}

impl RedirectProven {
    /// The redirect of a request that was proven before and kept by us since.
    pub(crate) fn of(request: &ApprovedRequest) -> Self {
        Self {
            client_id: request.client.client_id.clone(),
            uri: request.redirect_uri.clone(),
            state: request.state.clone(),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Sends the browser back to the client with `answer`.
    pub(crate) fn answer(&self, answer: &[(&str, &str)], issuer: &str) -> Response<Bytes> {
        see_other(&self.location(answer, issuer))
    }

    /// The client's address with `answer`, the `state` it sent (AS-29) and our `iss` (AS-28).
    pub(crate) fn location(&self, answer: &[(&str, &str)], issuer: &str) -> String {
        let mut pairs = answer.to_vec();
        pairs.extend(self.state.as_deref().map(|state| ("state", state)));
        pairs.push(("iss", issuer));
        params::append_query(&self.uri, &pairs)
    }
}

pub(super) fn prove(params: &Params, client: &Client) -> Result<RedirectProven, PageError> {
    let registered = &client.metadata.redirect_uris;
    let requested = params
        .one("redirect_uri")
        .map_err(|error| refused("repeated_parameter", &format!("the request is malformed ({error})")))?;
    let uri = match (requested, registered.as_slice()) {
        (Some(requested), _) if client.metadata.has_redirect_uri(requested) => requested,
        (Some(_), _) => return Err(refused("redirect_uri_not_registered", &not_registered(client))),
        // RFC 6749 §3.1.2.3: it may be left out when exactly one is registered.
        (None, [only]) => only.as_str(),
        (None, _) => return Err(refused("redirect_uri_missing", "the parameter redirect_uri is missing")),
    };
    let state = state::to_echo(params).map(ToOwned::to_owned);
    Ok(RedirectProven { client_id: client.client_id.clone(), uri: uri.to_owned(), state })
}

fn not_registered(client: &Client) -> String {
    let known: Vec<&str> = client.metadata.redirect_uris.iter().take(3).map(RedirectUri::as_str).collect();
    format!(
        "the address to return to (redirect_uri) is not one that \"{}\" registered, such as {}",
        client.name(),
        known.join(", ")
    )
}

fn refused(reason: &'static str, what: &str) -> PageError {
    let hint = "For your safety you were not sent on. Report this to the application's publisher: the redirect_uri must be \
                one of those in its metadata, letter for letter (only the port of a loopback address may differ).";
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        reason,
        format!("This application cannot sign in: {what}."),
        hint,
    )
}
