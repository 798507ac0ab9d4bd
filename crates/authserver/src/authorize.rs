//! `/oauth/authorize`: the checks of an authorization request, in the specification's order.
//!
//! ```text
//! Params ▶ client ▶ redirect_uri ▶ RedirectProven ▶ request_object ▶ response_type ▶ code_challenge ▶ scope ▶ resource ▶ prompt
//!        └──────── page errors ───────┘           └──────────────────── redirect errors ────────────────────────────────────┘
//! ```

mod client;
mod code_challenge;
mod prompt;
mod redirect_uri;
mod request_object;
pub(crate) mod resource;
mod response_type;
mod scope;
mod state;

use bytes::Bytes;
use http::{Method, Request, Response};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::{Params, ParamsError};
use thv_oauth::prompt::Prompt;
use thv_store::records::ApprovedRequest;

pub(crate) use self::redirect_uri::RedirectProven;
use crate::clients::Client;
use crate::respond::{AuthorizationError, PageError, RedirectError};
use crate::server::{AuthServer, Inner, Source};

/// A request that passed every check; what is missing is the user's approval and identity.
#[derive(Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) redirect: RedirectProven,
    pub(crate) approved: ApprovedRequest,
    pub(crate) prompt: Prompt,
}

impl AuthServer {
    pub(crate) async fn authorize(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        let issuer = self.inner.settings.issuer.as_str();
        match self.check_authorization_request(request, source).await {
            Ok(checked) => self.ask_consent(request.headers(), checked, source).await,
            Err(error) => error.into_response(issuer),
        }
    }

    async fn check_authorization_request(
        &self,
        request: &Request<Bytes>,
        source: Source,
    ) -> Result<AuthorizationRequest, AuthorizationError> {
        let params = parameters(request)?;
        let client = client::resolve(&params, &self.inner.clients, source).await?;
        let redirect = redirect_uri::prove(&params, &client)?;
        match check_rest(&params, &client, &self.inner, &redirect) {
            Ok((approved, prompt)) => Ok(AuthorizationRequest { redirect, approved, prompt }),
            Err(error) => Err(AuthorizationError::Redirect(Box::new(redirect), error)),
        }
    }
}

fn check_rest(
    params: &Params,
    client: &Client,
    server: &Inner,
    redirect: &RedirectProven,
) -> Result<(ApprovedRequest, Prompt), RedirectError> {
    state::check(params)?;
    request_object::refuse(params)?;
    response_type::check(params)?;
    let code_challenge = code_challenge::check(params)?;
    let scopes = scope::grantable(params, client, &server.chain.step_up_scopes())?;
    let resources = resource::targets(params, &server.settings.audiences)?;
    let prompt = prompt::check(params)?;
    let approved = ApprovedRequest {
        client: client.for_grant(),
        redirect_uri: redirect.uri().to_owned(),
        state: redirect.state().map(ToOwned::to_owned),
        code_challenge,
        scopes,
        resources,
        prompt_none: prompt.none,
        prompt_login: prompt.login || prompt.select_account,
    };
    Ok((approved, prompt))
}

/// RFC 6749 §3.1: the query of a GET, the form of a POST.
fn parameters(request: &Request<Bytes>) -> Result<Params, PageError> {
    let raw: &[u8] = if request.method() == Method::POST {
        request.body()
    } else {
        request.uri().query().unwrap_or_default().as_bytes()
    };
    Params::parse(raw).map_err(|error| {
        let hint =
            "Start again from your application; if it persists, report it to the application's publisher.";
        PageError::bad_request(
            ErrorCode::InvalidRequest,
            "malformed_parameters",
            format!("The request is malformed: {error}."),
            hint,
        )
    })
}

/// A parameter that may appear once (AS-30), for the checks that can answer by redirect.
fn single<'a>(params: &'a Params, name: &str) -> Result<Option<&'a str>, RedirectError> {
    params.one(name).map_err(|error: ParamsError| {
        RedirectError::new(ErrorCode::InvalidRequest, "repeated_parameter", error.to_string())
    })
}
