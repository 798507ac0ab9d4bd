//! `client_id`: names a client that we know or can get to know.

use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;

use crate::clients::{Client, ClientResolver, for_log};
use crate::respond::PageError;
use crate::server::Source;

pub(super) async fn resolve(
    params: &Params,
    clients: &ClientResolver,
    source: Source,
) -> Result<Client, PageError> {
    let client_id =
        params.one("client_id").map_err(|error| refused("repeated_parameter", &error.to_string()))?;
    let client_id =
        client_id.ok_or_else(|| refused("client_id_missing", "the parameter client_id is missing"))?;
    clients.resolve(client_id, source.addr).await.map_err(|refusal| {
        tracing::debug!(
            client.id = &*for_log(client_id),
            error.reason = refusal.reason(),
            "client not resolved"
        );
        refusal.into_page()
    })
}

fn refused(reason: &'static str, what: &str) -> PageError {
    let hint = "Start again from your application; if it persists, report it to the application's publisher.";
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        reason,
        format!("The request is malformed: {what}."),
        hint,
    )
}
