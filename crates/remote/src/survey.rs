//! What a login at a server would go by, found out without one: nothing is registered, no browser is opened, nothing is kept.

mod documents;

use std::fmt;

use thv_client::authorization_response;
use thv_client::preflight::{ErrorPage, Preflight, preflight};
use thv_client::protected_resource::{self, Place};
use thv_clock::SharedClock;
use thv_egress::EgressError;
use thv_jose::random;
use thv_oauth::received_challenge::ReceivedChallenge;
use thv_oauth::resource::ResourceIndicator;

use crate::callback::redirect_uri;
use crate::credentials::Credentials;
use crate::discovery::{Discovery, Found, realm_of};
use crate::error::{DiscoveryError, LoginError};
use crate::identity::{Identity, Ladder, Rung};
use crate::login::request::Asked;
use crate::probe::{Probed, probe};
use crate::reach::Reach;
use crate::settings::AuthSettings;

/// Everything that was found out about a server.
#[derive(Debug)]
pub struct Survey {
    /// What the server says to a stranger.
    pub answer: Result<Answer, EgressError>,
    /// Where something was looked for, in order.
    pub lookups: Vec<Lookup>,
    /// What a login would be like.
    pub outlook: Result<Outlook, DiscoveryError>,
}

/// What the server says to a stranger.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its `Bearer` challenge, if it has one.
    pub challenge: Option<ReceivedChallenge>,
    /// Whether it wants a login.
    pub wants_login: bool,
}

/// One look for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Where.
    pub url: String,
    /// Whether there was something of use.
    pub is_found: bool,
    /// What was there, for people.
    pub outcome: String,
}

/// A login that would be possible, or would not.
#[derive(Debug)]
pub struct Outlook {
    /// The authorization server with its metadata, and where its name comes from.
    pub found: Found,
    /// The scope that would be asked for; empty for none.
    pub scope: String,
    /// All ways of being known at the server, the preferred one first.
    pub ways: Vec<Way>,
    /// What the authorization endpoint says to the first way that is open.
    pub verdict: Verdict,
}

/// A way of being known at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Its name, for people.
    pub name: &'static str,
    /// Why it is not open, if it is not.
    pub obstacle: Option<&'static str>,
}

/// What the authorization endpoint says before any browser is opened.
#[derive(Debug)]
pub enum Verdict {
    /// It shows a login page, or leads to one.
    Accepted,
    /// It answers at once, whoever asks: with a code, which was thrown away, or with this.
    Answered(Option<LoginError>),
    /// It refuses this client: another way may do.
    ClientRefused(ErrorPage),
    /// It refuses for another reason.
    RequestRefused(ErrorPage),
    /// It does not say; a browser may fare better.
    Unknown(String),
    /// It was not asked.
    NotAsked(&'static str),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("it would let the user log in"),
            Self::Answered(None) => f.write_str("it answers at once, without a login"),
            Self::Answered(Some(error)) => write!(f, "it answers at once: {}", thv_telemetry::chain(error)),
            Self::ClientRefused(page) => write!(f, "it refuses this client: {page}"),
            Self::RequestRefused(page) => write!(f, "it refuses the request: {page}"),
            Self::Unknown(reason) => write!(f, "it does not say ({reason})"),
            Self::NotAsked(reason) => write!(f, "it was not asked: {reason}"),
        }
    }
}

/// Surveys the server at `server_url`, as a login with these settings would find it. `credentials` are what is kept of earlier
/// logins there, if anything.
pub async fn survey(
    server_url: &str,
    settings: &AuthSettings,
    credentials: &Credentials,
    reach: &Reach,
    clock: &SharedClock,
) -> Survey {
    let answer = probe(&reach.egress(), server_url, http::HeaderMap::new()).await.map(Answer::of);
    let challenge = answer.as_ref().ok().and_then(|answer| answer.challenge.clone());
    let known = credentials.known_at().collect();
    let discovery = Discovery { server_url, settings, reach, clock, logged_in: None, known };
    let outcome = discovery.run(challenge.as_ref()).await;
    let lookups = lookups(&discovery, challenge.as_ref(), outcome.as_ref().ok()).await;
    let outlook = match outcome {
        Ok(found) => Ok(outlook(found, settings, challenge.as_ref(), credentials, reach).await),
        Err(error) => Err(error),
    };
    Survey { answer, lookups, outlook }
}

impl Answer {
    fn of(probed: Probed) -> Self {
        let wants_login = probed.is_refusal();
        Self { status: probed.status.as_u16(), challenge: probed.challenge, wants_login }
    }
}

impl From<Place> for Lookup {
    fn from(place: Place) -> Self {
        Self { url: place.url, is_found: place.is_found, outcome: place.outcome }
    }
}

/// Looks once more, at each document by itself: discovery tells only what came of them together.
async fn lookups(
    discovery: &Discovery<'_>,
    challenge: Option<&ReceivedChallenge>,
    found: Option<&Found>,
) -> Vec<Lookup> {
    let Discovery { server_url, settings, reach, .. } = discovery;
    if settings.authorize_url.is_some() && settings.token_url.is_some() {
        return Vec::new();
    }
    let named = challenge.and_then(ReceivedChallenge::resource_metadata);
    let mut places = Vec::new();
    let resource =
        protected_resource::search(&reach.egress(), server_url, named, reach.allow_http, &mut places).await;
    let mut lookups: Vec<Lookup> = places.into_iter().map(Lookup::from).collect();
    let servers = resource.ok().flatten().map(|found| found.metadata.authorization_servers);
    let candidates = match (&settings.issuer, servers) {
        (Some(issuer), _) => vec![issuer.clone()],
        (None, Some(servers)) if !servers.is_empty() => servers,
        _ => {
            let origin = ResourceIndicator::parse(server_url).ok().map(|url| url.origin().to_owned());
            realm_of(challenge).map(str::to_owned).into_iter().chain(origin).collect()
        }
    };
    let chosen = found.map(|found| found.server.issuer.trim_end_matches('/').to_owned());
    for issuer in candidates {
        lookups.extend(documents::of(reach, &issuer).await);
        if chosen.as_deref() == Some(issuer.trim_end_matches('/')) {
            break;
        }
    }
    lookups
}

async fn outlook(
    found: Found,
    settings: &AuthSettings,
    challenge: Option<&ReceivedChallenge>,
    credentials: &Credentials,
    reach: &Reach,
) -> Outlook {
    let scope = found.scope(settings, challenge);
    let (ways, verdict) = {
        let ladder = Ladder::new(settings, &found.server);
        let ways = Rung::ORDER
            .map(|rung| Way { name: rung.name(), obstacle: ladder.offer(rung, credentials).err() });
        let verdict = match ladder.next(credentials) {
            Ok(rung) => ask(&ladder, rung, &found, settings, &scope, credentials, reach).await,
            Err(_) => Verdict::NotAsked("no way of being known there is open"),
        };
        (ways.to_vec(), verdict)
    };
    Outlook { found, scope, ways, verdict }
}

async fn ask(
    ladder: &Ladder<'_>,
    rung: Rung,
    found: &Found,
    settings: &AuthSettings,
    scope: &str,
    credentials: &Credentials,
    reach: &Reach,
) -> Verdict {
    let identity = match (rung, ladder.stored(credentials)) {
        (Rung::Preregistered, _) => ladder.preregistered(None),
        (Rung::MetadataDocument, _) => ladder.by_document(),
        (Rung::Stored, Some(stored)) => Identity::registered(stored),
        (Rung::Stored | Rung::Register, _) => {
            return Verdict::NotAsked("this client would have to be registered first");
        }
    };
    let uri = identity.redirect_uri.clone().unwrap_or_else(|| redirect_uri(ladder.port(rung, credentials)));
    let asked = Asked::new(identity, uri, random::token(), scope);
    let url = match asked.url(found, settings) {
        Ok(url) => url,
        Err(error) => return Verdict::Answered(Some(error)),
    };
    match preflight(&reach.egress(), &url, &asked.redirect_uri).await {
        Preflight::Open => Verdict::Accepted,
        Preflight::Answered(query) => {
            let response = authorization_response::code(&found.server, &asked.state, &query);
            Verdict::Answered(response.err().map(LoginError::Response))
        }
        Preflight::ClientRefused(page) => Verdict::ClientRefused(page),
        Preflight::RequestRefused(page) => Verdict::RequestRefused(page),
        Preflight::Unknown(reason) => Verdict::Unknown(reason),
    }
}
