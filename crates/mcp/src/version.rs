//! Protocol revisions.

use std::fmt;
use std::str::FromStr;

/// A published revision of the protocol. Later revisions compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2024-11-05: the first; HTTP+SSE transport.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP.
    V2025_03_26,
    /// 2025-06-18: `MCP-Protocol-Version`, protected resource metadata.
    V2025_06_18,
    /// 2025-11-25: client ID metadata documents.
    V2025_11_25,
    /// 2026-07-28: stateless, `server/discover`, `Mcp-Method` and `Mcp-Name`.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The last revision whose clients open a session by `initialize`.
    pub const LATEST_WITH_SESSIONS: Self = Self::V2025_11_25;

    /// Whether each request stands alone: there is no `initialize`, and what it would say is in every request's `_meta`.
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::V2026_07_28)
    }

    /// The revision's date, as it stands in messages and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a published revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol version")]
pub struct UnknownVersion;

impl FromStr for ProtocolVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back_and_sort_by_date() {
        for version in ProtocolVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
        }
        assert!(ProtocolVersion::ALL.is_sorted());
        assert!(ProtocolVersion::ALL.map(ProtocolVersion::as_str).is_sorted());
        assert_eq!(
            ProtocolVersion::ALL.map(ProtocolVersion::is_stateless),
            [false, false, false, false, true]
        );
        assert!(!ProtocolVersion::LATEST_WITH_SESSIONS.is_stateless());
        assert_eq!("2025-6-18".parse::<ProtocolVersion>(), Err(UnknownVersion));
    }
}
