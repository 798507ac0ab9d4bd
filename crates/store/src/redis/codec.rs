//! Rows as keys and values of Redis.
//!
//! Key: `<prefix><kind>:<base64url of the hash>`. Value: version (16 bytes), until (8 bytes, big-endian milliseconds), record.

use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::digest::base64url;

use crate::rows::{FOREVER, Row, RowKey};
use crate::table::Version;

/// How much longer than its row a key lives, because Redis's clock is not ours. The row says itself until when it counts.
const SLACK: Duration = Duration::from_secs(60);
/// The longest time to live in milliseconds: a century. Redis refuses what overflows when it adds the time of day.
const LONGEST_TTL: u64 = 100 * 366 * 86_400 * 1000;

/// The key of a row.
pub(super) fn key(prefix: &str, row: &RowKey) -> String {
    format!("{prefix}{}:{}", row.kind.as_str(), base64url(&row.hash))
}

/// The value of a row.
pub(super) fn encode(row: &Row) -> Vec<u8> {
    [&row.version.0[..], &row.until.as_millis().to_be_bytes(), &row.value].concat()
}

/// The row of a value; `None` when it is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Row> {
    let (version, rest) = bytes.split_first_chunk::<16>()?;
    let (until, value) = rest.split_first_chunk::<8>()?;
    let until = Timestamp::from_millis(u64::from_be_bytes(*until));
    Some(Row { version: Version(*version), until, value: value.to_vec() })
}

/// Time to live in milliseconds of a row that is kept until `until`; none for a row without end, which a server that runs out
/// of memory then spares under every `volatile-*` policy.
pub(super) fn ttl_millis(until: Timestamp, now: Timestamp) -> Option<u64> {
    if until >= FOREVER {
        return None;
    }
    let left = until.as_millis().saturating_sub(now.as_millis());
    Some(left.saturating_add((Timestamp::EPOCH + SLACK).as_millis()).clamp(1, LONGEST_TTL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Kind;

    #[test]
    fn a_row_survives_encoding() {
        let row =
            Row { version: Version([7; 16]), until: Timestamp::from_millis(1 << 41), value: vec![1, 2] };
        assert_eq!(decode(&encode(&row)), Some(row));
        assert_eq!(decode(&[0; 23]), None);
    }

    #[test]
    fn keys_have_no_hash_tag_of_their_own() {
        let key = key("thv:", &RowKey { kind: Kind::Code, hash: [255; 32] });
        assert!(key.starts_with("thv:code:") && !key.contains('{'), "{key}");
    }

    #[test]
    fn keys_outlive_their_rows_and_redis_takes_every_ttl() {
        let now = Timestamp::from_secs(1000);
        assert_eq!(ttl_millis(Timestamp::from_secs(1010), now), Some(70_000));
        assert_eq!(ttl_millis(Timestamp::EPOCH, now), Some(60_000));
        let almost = Timestamp::from_millis(FOREVER.as_millis() - 1);
        assert_eq!(ttl_millis(almost, now), Some(LONGEST_TTL));
        assert_eq!(ttl_millis(FOREVER, now), None);
        assert_eq!(ttl_millis(Timestamp::from_millis(u64::MAX), now), None);
    }
}
