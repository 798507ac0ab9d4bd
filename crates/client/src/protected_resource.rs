//! What a protected resource says about itself, and which authorization servers it trusts (RFC 9728).

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use thv_egress::{Client, EgressError, Limits, json};
use thv_oauth::issuer::AllowHttp;
use thv_oauth::resource::{ResourceError, ResourceIndicator};
use thv_oauth::resource_metadata::ProtectedResourceMetadata;
use thv_oauth::server_metadata::{EndpointError, check_endpoint};

const LIMITS: Limits = Limits { total: Duration::from_secs(10), max_body: 256 * 1024 };

/// Why the metadata of a resource cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResourceMetadataError {
    /// The server's own URL is none of a resource.
    #[error("the server's URL cannot be a resource")]
    Server(#[source] ResourceError),
    /// The challenge points where nothing may be fetched.
    #[error("the challenge's resource_metadata {url:?} cannot be used")]
    Url {
        /// Where it points.
        url: String,
        /// What is wrong with that.
        #[source]
        source: EndpointError,
    },
    /// Nothing was received.
    #[error("the protected resource metadata at {url} could not be fetched")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        #[source]
        source: EgressError,
    },
    /// The server cannot answer now, or refuses to.
    #[error("the protected resource metadata at {url} was answered with status {status}")]
    Status {
        /// Where it was looked for.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// What was received is no metadata.
    #[error("the document at {url} is not protected resource metadata")]
    Invalid {
        /// Where it was found.
        url: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The metadata is that of something else and must not be used (RFC 9728 §3.3, CL-3).
    #[error("the protected resource metadata at {url} is about {found:?}, not about {wanted}")]
    Mismatch {
        /// Where it was found.
        url: String,
        /// The resource that it names.
        found: String,
        /// The server's URL.
        wanted: String,
    },
}

/// Metadata that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundResource {
    /// The document's URL.
    pub url: String,
    /// The document; its `resource` covers the server's URL.
    pub metadata: ProtectedResourceMetadata,
}

/// One look for the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub url: String,
    /// Whether metadata that may be used were there.
    pub is_found: bool,
    /// What was there, for people.
    pub outcome: String,
}

/// Looks for the metadata of the server at `server_url` (CL-2): where its challenge points (`named`), or else at the
/// well-known place with the path inserted, then at the host's root. The first document is taken. `None` is a server without
/// metadata, as before 2025-06-18.
///
/// # Errors
/// [`ResourceMetadataError`]; a document that was found and must not be used ends the search.
pub async fn discover(
    egress: &Client,
    server_url: &str,
    named: Option<&str>,
    allow_http: AllowHttp,
) -> Result<Option<FoundResource>, ResourceMetadataError> {
    search(egress, server_url, named, allow_http, &mut Vec::new()).await
}

/// As [`discover`], and notes every place that was looked at.
///
/// # Errors
/// As [`discover`].
pub async fn search(
    egress: &Client,
    server_url: &str,
    named: Option<&str>,
    allow_http: AllowHttp,
    places: &mut Vec<Place>,
) -> Result<Option<FoundResource>, ResourceMetadataError> {
    let server = ResourceIndicator::parse(server_url).map_err(ResourceMetadataError::Server)?;
    if let Some(url) = named {
        let looked = match check_endpoint(url, allow_http) {
            Ok(()) => look(egress, &server, url).await,
            Err(source) => Err(ResourceMetadataError::Url { url: url.to_owned(), source }),
        };
        places.push(Place::of(url, &looked));
        return match looked? {
            Looked::Found(found) => Ok(Some(*found)),
            // The server said that it is there: something is wrong, and guessing on would hide it.
            Looked::Absent(status) => Err(ResourceMetadataError::Status { url: url.to_owned(), status }),
            Looked::NotJson(source) => Err(ResourceMetadataError::Invalid { url: url.to_owned(), source }),
        };
    }
    let mut urls = vec![server.metadata_url(), server.root_metadata_url()];
    urls.dedup();
    for url in urls {
        let looked = look(egress, &server, &url).await;
        places.push(Place::of(&url, &looked));
        if let Looked::Found(found) = looked? {
            return Ok(Some(*found));
        }
    }
    Ok(None)
}

impl Place {
    fn of(url: &str, looked: &Result<Looked, ResourceMetadataError>) -> Self {
        let outcome = match looked {
            Ok(Looked::Found(_)) => "protected resource metadata".to_owned(),
            Ok(Looked::Absent(status)) => format!("status {status}"),
            Ok(Looked::NotJson(_)) => "a page for browsers".to_owned(),
            Err(error) => with_causes(error),
        };
        Self { url: url.to_owned(), is_found: matches!(looked, Ok(Looked::Found(_))), outcome }
    }
}

fn with_causes(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What is at a place.
enum Looked {
    Found(Box<FoundResource>),
    Absent(u16),
    /// Something for browsers: many sites answer every path with their start page.
    NotJson(serde_json::Error),
}

async fn look(
    egress: &Client,
    server: &ResourceIndicator,
    url: &str,
) -> Result<Looked, ResourceMetadataError> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let response = egress.get(url, headers, LIMITS).await;
    let response =
        response.map_err(|source| ResourceMetadataError::Unreachable { url: url.to_owned(), source })?;
    let status = response.status;
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Err(ResourceMetadataError::Status { url: url.to_owned(), status: status.as_u16() });
    }
    if status != StatusCode::OK {
        return Ok(Looked::Absent(status.as_u16()));
    }
    let metadata: ProtectedResourceMetadata = match serde_json::from_slice(&response.body) {
        Ok(metadata) => metadata,
        Err(error) if json::is_json(&response.headers) => {
            return Err(ResourceMetadataError::Invalid { url: url.to_owned(), source: error });
        }
        Err(error) => return Ok(Looked::NotJson(error)),
    };
    if !ResourceIndicator::parse(&metadata.resource).is_ok_and(|resource| resource.covers(server.as_str())) {
        return Err(ResourceMetadataError::Mismatch {
            url: url.to_owned(),
            found: metadata.resource,
            wanted: server.as_str().to_owned(),
        });
    }
    Ok(Looked::Found(Box::new(FoundResource { url: url.to_owned(), metadata })))
}
