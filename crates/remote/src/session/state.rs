//! How a login stands, for those who show it.

/// How a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthState {
    /// The server has not asked for one.
    NotNeeded,
    /// Logged in.
    Authenticated,
    /// A login is under way, or a server that is out of reach is asked again.
    Retrying,
    /// The user has to log in.
    Unauthenticated,
}

impl AuthState {
    /// As it appears in states and statuses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Authenticated => "authenticated",
            Self::Retrying => "auth_retrying",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}
