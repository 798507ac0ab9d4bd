//! The two conditional steps, which Redis does atomically.
//!
//! Both look at no more than the head of the present value (see [`super::codec`]): its version, and until when it counts.
//! Numbers are compared as numbers, because a locale may order bytes differently.

use std::sync::LazyLock;

/// A Lua script and its name at the server.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(rest: &str) -> Self {
        let text = format!("{VERSION}{rest}");
        let hash = ::redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    /// Its SHA-1, for `EVALSHA`.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Its text, for `EVAL`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// `version` of the row that counts: empty when there is none. A value that is no row is its own version, so that no condition
/// on it holds.
const VERSION: &str = "
local head = redis.call('GETRANGE', KEYS[1], 0, 23)
local version = head
if #head == 24 then
  local kept_until = 0
  for i = 17, 24 do kept_until = kept_until * 256 + string.byte(head, i) end
  version = ''
  if kept_until > tonumber(ARGV[2]) then version = string.sub(head, 1, 16) end
end
";

/// KEYS: the row. ARGV: expected version (empty: none), now in ms, new value, its TTL in ms (empty: none).
///
/// A row that has the new version already was written by the same request, whose answer was lost. It is written again, so that
/// `WAIT` on the new connection waits for it.
pub(super) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
if version ~= ARGV[1] and version ~= string.sub(ARGV[3], 1, 16) then return 0 end
if ARGV[4] == '' then redis.call('SET', KEYS[1], ARGV[3])
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return 1
",
    )
});

/// KEYS: the row. ARGV: expected version (empty: any), now in ms.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
if version == '' then return 0 end
if ARGV[1] ~= '' and version ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
",
    )
});
