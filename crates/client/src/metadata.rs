//! Authorization server metadata of one configured issuer (RFC 8414, OpenID Connect Discovery 1.0).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use thv_clock::SharedClock;
use thv_egress::freshness::{self, Bounds};
use thv_egress::{Client, EgressError, Limits};
use thv_oauth::issuer::{AllowHttp, Issuer, IssuerError};
use thv_oauth::server_metadata::{AuthorizationServerMetadata, EndpointError, check_endpoint};

use crate::discovery::DiscoveryUrl;
use crate::document::{Document, FetchFailure, Fetched, Retention};

const LIMITS: Limits = Limits { total: Duration::from_secs(5), max_body: 256 * 1024 };
const RETENTION: Retention = Retention {
    freshness: Bounds {
        fallback: Duration::from_secs(3600),
        min: Duration::from_secs(60),
        max: Duration::from_secs(24 * 3600),
    },
    // As long as the host is down: where its endpoints are does not become less true.
    stale: Duration::MAX,
    first_retry: Duration::from_secs(5),
    last_retry: Duration::from_secs(5 * 60),
};

/// Why there is no metadata.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetadataError {
    /// The configured issuer is no issuer identifier.
    #[error("the configured issuer cannot be used")]
    Issuer(#[source] IssuerError),
    /// Nothing was received.
    #[error("the metadata at {url} could not be fetched")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        #[source]
        source: Arc<EgressError>,
    },
    /// Only 200 is success.
    #[error("the metadata at {url} was answered with status {status}")]
    Status {
        /// Where it was looked for.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// What was received is no metadata.
    #[error("the document at {url} is not authorization server metadata")]
    Invalid {
        /// Where it was found.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The document belongs to another issuer and must not be used (RFC 8414 §3.3, CL-6).
    #[error("the document at {url} is of the issuer {found:?}, not of the configured one")]
    IssuerMismatch {
        /// Where it was found.
        url: String,
        /// The issuer that it names.
        found: String,
    },
    /// An endpoint must not be used.
    #[error("the metadata at {url} has an unusable {member}")]
    Endpoint {
        /// Where it was found.
        url: String,
        /// Which of its members.
        member: &'static str,
        /// What is wrong with it.
        #[source]
        source: EndpointError,
    },
    /// The fetch ended without an outcome.
    #[error("fetching the metadata was interrupted")]
    Interrupted,
}

impl MetadataError {
    /// Whether the host may answer later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Issuer(_) | Self::Invalid { .. } | Self::IssuerMismatch { .. } | Self::Endpoint { .. } => {
                false
            }
        }
    }

    /// How much it tells about why there is no metadata, when several places were tried: that a document is another's, that
    /// the host is (partly) down, that something else is there, that nothing is.
    fn weight(&self) -> u8 {
        match self {
            Self::Issuer(_) | Self::IssuerMismatch { .. } | Self::Endpoint { .. } => 3,
            _ if self.is_temporary() => 2,
            Self::Invalid { .. } => 1,
            _ => 0,
        }
    }
}

impl FetchFailure for MetadataError {
    fn is_temporary(&self) -> bool {
        Self::is_temporary(self)
    }

    fn interrupted() -> Self {
        Self::Interrupted
    }
}

/// The metadata of one issuer, fetched when it is first asked for. It is fresh for as long as its server says, but at least
/// a minute and at most a day (an hour when the server is silent), and used on while the server is down. A server that fails
/// is asked again after 5 seconds, then after twice as long each time, up to 5 minutes.
pub struct MetadataSource {
    egress: Client,
    clock: SharedClock,
    wanted: Wanted,
    document: Arc<Document<AuthorizationServerMetadata, MetadataError>>,
}

/// Whose metadata it is, and where it is looked for.
#[derive(Clone)]
enum Wanted {
    /// An issuer's, and which of its URLs may be plain http.
    Issuer(String, AllowHttp),
    /// What a discovery URL leads to.
    Discovery(DiscoveryUrl),
}

impl Wanted {
    /// The identifiers that a document may name.
    fn issuers(&self) -> Vec<String> {
        match self {
            Self::Issuer(issuer, _) => vec![issuer.clone()],
            Self::Discovery(url) => url.issuers(),
        }
    }

    fn parsed(&self) -> Result<Issuer, IssuerError> {
        match self {
            Self::Issuer(issuer, allow_http) => Issuer::parse_upstream(issuer, *allow_http),
            Self::Discovery(url) => Ok(url.issuer().clone()),
        }
    }

    /// Where each kind of document is looked for: RFC 8414's, OpenID Connect's. A document that was named comes first.
    fn urls(&self) -> Result<[Vec<String>; 2], IssuerError> {
        let parsed = self.parsed()?;
        let urls = [vec![parsed.authorization_server_metadata_url()], parsed.openid_configuration_urls()];
        Ok(match self {
            Self::Issuer(..) => urls,
            Self::Discovery(named) => named.first_in(urls),
        })
    }

    /// Judges every endpoint that this client uses or sends the browser to.
    fn check_endpoints(
        &self,
        metadata: &AuthorizationServerMetadata,
    ) -> Result<(), (&'static str, EndpointError)> {
        let allow_http = match self {
            Self::Issuer(_, allow_http) => *allow_http,
            Self::Discovery(url) => url.allow_http(),
        };
        let endpoints = [
            ("authorization_endpoint", &metadata.authorization_endpoint),
            ("token_endpoint", &metadata.token_endpoint),
            ("registration_endpoint", &metadata.registration_endpoint),
            ("revocation_endpoint", &metadata.revocation_endpoint),
            ("userinfo_endpoint", &metadata.userinfo_endpoint),
            ("jwks_uri", &metadata.jwks_uri),
        ];
        endpoints.into_iter().try_for_each(|(member, url)| match url {
            Some(url) => check_endpoint(url, allow_http).map_err(|error| (member, error)),
            None => Ok(()),
        })
    }
}

impl MetadataSource {
    /// The metadata of `issuer`, which is compared with the documents' as a raw string. It and its endpoints must be https,
    /// unless `allow_http` says otherwise.
    pub fn new(egress: Client, issuer: String, allow_http: AllowHttp, clock: SharedClock) -> Self {
        Self::of(egress, issuer.clone(), Wanted::Issuer(issuer, allow_http), clock)
    }

    /// The metadata that a discovery URL leads to. Its endpoints must be https, with the exceptions that hold for the URL
    /// itself.
    pub fn discover(egress: Client, url: DiscoveryUrl, clock: SharedClock) -> Self {
        Self::of(egress, url.issuer().as_str().to_owned(), Wanted::Discovery(url), clock)
    }

    fn of(egress: Client, name: String, wanted: Wanted, clock: SharedClock) -> Self {
        let document = Arc::new(Document::new(name, Arc::clone(&clock), RETENTION));
        Self { egress, clock, wanted, document }
    }

    /// The metadata. Both kinds of documents are looked for: RFC 8414's first, then OpenID Connect's with the well-known
    /// path inserted, then appended (CL-5). Members that the first lacks are taken from the second.
    ///
    /// # Errors
    /// When it is not kept and there is no usable document, or there was none a moment ago.
    pub async fn load(&self) -> Result<Arc<AuthorizationServerMetadata>, MetadataError> {
        self.document.load(|| fetch(self.egress.clone(), Arc::clone(&self.clock), self.wanted.clone())).await
    }
}

type Members = Map<String, Value>;

async fn fetch(
    egress: Client,
    clock: SharedClock,
    wanted: Wanted,
) -> Result<Fetched<AuthorizationServerMetadata>, MetadataError> {
    let [rfc8414, openid] = wanted.urls().map_err(MetadataError::Issuer)?;
    let mut issuers = wanted.issuers();
    let rfc8414 = first_of(&egress, &clock, &issuers, rfc8414).await;
    match &rfc8414 {
        Err(error @ MetadataError::Unreachable { .. }) => return Err(error.clone()),
        Err(_) => {}
        // Both documents must be of one issuer.
        Ok((_, found)) => issuers.retain(|issuer| found.value.get("issuer").is_some_and(|of| of == issuer)),
    }
    let openid = first_of(&egress, &clock, &issuers, openid).await;
    let (url, found) = match (rfc8414, openid) {
        (Ok((url, first)), Ok((_, second))) => (url, merge(first, second)),
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => only,
        (Err(one), Err(other)) => return Err(if other.weight() > one.weight() { other } else { one }),
    };
    let value = serde_json::from_value(Value::Object(found.value))
        .map_err(|source| MetadataError::Invalid { url: url.clone(), source: Arc::new(source) })?;
    wanted.check_endpoints(&value).map_err(|(member, source)| MetadataError::Endpoint {
        url,
        member,
        source,
    })?;
    Ok(Fetched { value, fresh_until: found.fresh_until })
}

/// The first usable document. A host that cannot be reached is not asked for the next one.
async fn first_of(
    egress: &Client,
    clock: &SharedClock,
    issuers: &[String],
    urls: Vec<String>,
) -> Result<(String, Fetched<Members>), MetadataError> {
    let mut failure: Option<MetadataError> = None;
    for url in urls {
        match one(egress, clock, issuers, &url).await {
            Ok(found) => return Ok((url, found)),
            Err(error @ MetadataError::Unreachable { .. }) => return Err(error),
            Err(error) if failure.as_ref().is_none_or(|known| error.weight() > known.weight()) => {
                failure = Some(error);
            }
            Err(_) => {}
        }
    }
    Err(failure.unwrap_or(MetadataError::Interrupted))
}

async fn one(
    egress: &Client,
    clock: &SharedClock,
    issuers: &[String],
    url: &str,
) -> Result<Fetched<Members>, MetadataError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = egress.get(url, headers, LIMITS).await;
    let response = response
        .map_err(|error| MetadataError::Unreachable { url: url.to_owned(), source: Arc::new(error) })?;
    if response.status != StatusCode::OK {
        return Err(MetadataError::Status { url: url.to_owned(), status: response.status.as_u16() });
    }
    let value: Members = serde_json::from_slice(&response.body)
        .map_err(|source| MetadataError::Invalid { url: url.to_owned(), source: Arc::new(source) })?;
    let found = value.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if !issuers.iter().any(|issuer| issuer == found) {
        return Err(MetadataError::IssuerMismatch { url: url.to_owned(), found: found.to_owned() });
    }
    let fresh_until = freshness::fresh_until(clock.now(), url, &response.headers, &RETENTION.freshness);
    Ok(Fetched { value, fresh_until })
}

fn merge(mut first: Fetched<Members>, second: Fetched<Members>) -> Fetched<Members> {
    for (name, value) in second.value {
        if first.value.get(&name).is_none_or(Value::is_null) {
            first.value.insert(name, value);
        }
    }
    first.fresh_until = first.fresh_until.min(second.fresh_until);
    first
}
