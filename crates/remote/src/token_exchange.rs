//! Another token for the one of the login (RFC 8693), where the server wants that.

use http::header::{AUTHORIZATION, HeaderName};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use thv_client::client_authentication::{AuthMethodChoice, ClientCredentials};
use thv_client::token_request::{TokenEndpoint, TokenExchange, TokenRequestError};
use thv_client::token_response::{TokenResponse, TokenResponseShape};

use crate::credentials::Grant;
use crate::reach::Reach;

/// How the login's token is exchanged. The client's secret is kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenExchangeSettings {
    /// The token endpoint.
    pub url: String,
    /// The client there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether that client has a secret, which is among the workload's secrets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_client_secret: bool,
    /// The wanted token's audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The wanted token's scope.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What the login's token is, as a short name or URN; `access_token` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_token_type: Option<String>,
    /// The header field that carries the new token; `Authorization` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_name: Option<String>,
}

impl TokenExchangeSettings {
    /// The header field that carries the new token. Names are checked where they are configured.
    pub(crate) fn header_name(&self) -> HeaderName {
        self.header_name.as_deref().and_then(|name| name.parse().ok()).unwrap_or(AUTHORIZATION)
    }

    /// The token of the login that is exchanged, if the login has it.
    pub(crate) fn subject_of<'g>(&self, grant: &'g Grant) -> Option<&'g SecretString> {
        match self.subject_token_type.as_deref() {
            Some(kind) if kind.ends_with("id_token") => grant.id_token.as_ref(),
            _ => Some(&grant.access_token),
        }
    }

    /// Exchanges `subject_token`.
    pub(crate) async fn exchange(
        &self,
        reach: &Reach,
        client_secret: Option<&SecretString>,
        subject_token: &SecretString,
    ) -> Result<TokenResponse, TokenRequestError> {
        let client = ClientCredentials {
            client_id: self.client_id.clone().unwrap_or_default(),
            secret: client_secret.cloned(),
            assertion: None,
            method: AuthMethodChoice::Unknown,
        };
        let endpoint =
            TokenEndpoint::new(reach.egress(), self.url.clone(), client, TokenResponseShape::Lenient);
        let kind = self.subject_token_type.as_deref().unwrap_or("access_token");
        let subject_token_type = match kind.contains(':') {
            true => kind.to_owned(),
            false => format!("urn:ietf:params:oauth:token-type:{kind}"),
        };
        let request = TokenExchange {
            subject_token,
            subject_token_type: &subject_token_type,
            audience: self.audience.as_deref(),
            scope: Some(self.scopes.join(" ")).filter(|scope| !scope.is_empty()),
        };
        endpoint.exchange_token(&request).await
    }
}
