//! The upstreams of a login, in order (U10).

use thv_oauth::scope::ScopeSet;

use crate::upstream::Upstream;

/// What asking for a scope of this prefix does: the upstream named behind it is part of the login.
const STEP_UP_PREFIX: &str = "upstream:";

/// When an upstream takes part in a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Always.
    Required,
    /// Unless the user skips it.
    Optional,
    /// Only when it is asked for, by its [scope](step_up_scope): a backend needed it.
    OnDemand,
}

/// One upstream's part in a login.
pub struct Leg {
    /// The upstream.
    pub upstream: Upstream,
    /// Its name for people.
    pub label: String,
    /// When it takes part.
    pub requirement: Requirement,
}

/// The upstreams of a login. The first one says who the user is.
pub struct LoginChain {
    identity: Leg,
    further: Vec<Leg>,
}

impl LoginChain {
    /// A login at `identity` and then at the `further` upstreams, whose names all differ.
    pub fn new(identity: Leg, further: Vec<Leg>) -> Self {
        Self { identity: Leg { requirement: Requirement::Required, ..identity }, further }
    }

    /// A login at one upstream.
    pub fn single(upstream: Upstream) -> Self {
        let label = upstream.name().to_owned();
        Self::new(Leg { upstream, label, requirement: Requirement::Required }, Vec::new())
    }

    /// The upstream that says who the user is.
    pub(crate) fn identity(&self) -> &Leg {
        &self.identity
    }

    /// The others, in order.
    pub(crate) fn further(&self) -> &[Leg] {
        &self.further
    }

    /// All of them, in order.
    pub(crate) fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.identity).chain(&self.further)
    }

    /// The one with this name.
    pub(crate) fn leg(&self, name: &str) -> Option<&Leg> {
        self.legs().find(|leg| leg.upstream.name() == name)
    }

    /// Whether the name is that of an upstream after the first.
    pub(crate) fn is_further(&self, name: &str) -> bool {
        self.further.iter().any(|leg| leg.upstream.name() == name)
    }

    /// The scopes with which an upstream is asked for. Every client may ask: it is the user who logs in there.
    pub(crate) fn step_up_scopes(&self) -> ScopeSet {
        let scopes: Vec<String> = self.further.iter().map(|leg| step_up_scope(leg.upstream.name())).collect();
        // Names of upstreams consist of scope characters (RFC 6749 §3.3); one that does not could not be asked for.
        ScopeSet::from_tokens(scopes.iter().map(String::as_str)).unwrap_or_default()
    }
}

/// The scope that makes the upstream `name` part of a login.
pub fn step_up_scope(name: &str) -> String {
    format!("{STEP_UP_PREFIX}{name}")
}

/// The upstream that a scope asks for.
pub(crate) fn asked_upstream(scope: &str) -> Option<&str> {
    scope.strip_prefix(STEP_UP_PREFIX)
}
