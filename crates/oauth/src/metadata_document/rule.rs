//! The rules by name.

use crate::error::ErrorCode;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident: $row:literal, $reason:literal, $title:literal;)+) => {
        /// A rule that a client ID metadata document has to follow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$doc])* $name,)+
        }

        impl Rule {
            /// All rules, in the order in which they are applied.
            pub const ALL: [Self; [$($reason),+].len()] = [$(Self::$name),+];

            /// The row of the requirements table.
            pub const fn row(self) -> &'static str {
                match self { $(Self::$name => $row,)+ }
            }

            /// The stable reason code of a refusal.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// The rule in one clause.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

rules! {
    /// RFC 8259 §8.1.
    NoByteOrderMark: "AS-58", "byte_order_mark", "the document has no byte order mark";
    /// Draft §4.
    JsonObject: "AS-58", "not_a_json_object", "the document is one JSON object";
    /// RFC 8259 §4: what a reader makes of duplicates is unpredictable.
    UniqueMembers: "AS-58", "duplicate_member", "no member appears twice";
    /// RFC 7591 §2.
    MemberTypes: "AS-58", "member_wrong_type", "members have the types of RFC 7591";
    /// Draft §4.
    ClientIdPresent: "AS-59", "client_id_missing", "client_id is present";
    /// Draft §4.
    ClientIdMatches: "AS-58", "client_id_mismatch", "client_id equals the document's URL byte for byte";
    /// Required by MCP.
    ClientName: "AS-59", "client_name_invalid", "client_name has 1 to 256 printable characters";
    /// Required by MCP.
    RedirectUrisPresent: "AS-59", "redirect_uris_missing", "redirect_uris has 1 to 32 strings";
    /// Draft §4.2, §8.6.
    RedirectUrisAllowed: "AS-40", "redirect_uri_not_allowed", "redirect_uris are https, or http on the user's own machine";
    /// Draft §4.1.
    NoClientSecret: "AS-61", "client_secret_present", "there is no client secret";
    /// Draft §4.1.
    NoSharedSecretMethod: "AS-62", "shared_secret_auth_method", "no authentication method needs a shared secret";
    /// Draft §4.1.
    NoSharedSecretInStatement: "AS-62", "software_statement_shared_secret", "software_statement implies no shared secret";
    /// Draft §4.1.
    NoPrivateKeys: "AS-63", "jwks_not_public", "jwks has public keys only";
    /// RFC 7591 §2.
    OneKeySource: "AS-104", "jwks_and_jwks_uri", "keys are in jwks or at jwks_uri, not both";
    /// Draft §6.
    AuthMethodSupported: "AS-66", "auth_method_not_supported", "an authentication method is supported here";
    /// Draft §8.2.
    ClientKeys: "AS-65", "client_keys_missing", "private_key_jwt comes with keys";
    /// RFC 7591 §2.
    GrantTypes: "AS-67", "authorization_code_missing", "grant_types include authorization_code";
    /// RFC 7591 §2.
    ResponseTypes: "AS-67", "response_type_code_missing", "response_types include code";
    /// Draft §8.6.
    HttpsUris: "AS-77", "metadata_uri_not_https", "all other URIs are https";
}

impl Rule {
    /// The OAuth error that a refusal for this rule stands for.
    pub const fn error_code(self) -> ErrorCode {
        match self {
            Self::AuthMethodSupported => ErrorCode::UnauthorizedClient,
            _ => ErrorCode::InvalidClient,
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}
