use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A label whose values are known when the program is built.
pub(crate) trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// All values, each at the position that [`Self::position`] says.
    const ALL: &'static [Self];
    /// Where this value stands in [`Self::ALL`].
    fn position(self) -> usize;
    /// The value as it reads on `/metrics`.
    fn text(self) -> &'static str;
}

macro_rules! label {
    ($(#[$doc:meta])* $type:ident as $name:literal { $($(#[$value_doc:meta])* $value:ident => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$value_doc])* $value,)+ }

        impl Label for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value,)+];
            fn position(self) -> usize {
                self as usize
            }
            fn text(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }
    };
}

label! {
    /// Which part of the gateway answered a request.
    Route as "route" {
        /// The protected MCP endpoint.
        Mcp => "mcp",
        /// Discovery documents and keys.
        Discovery => "discovery",
        /// The authorization endpoint.
        Authorize => "authorize",
        /// The token endpoint.
        Token => "token",
        /// The registration endpoint.
        Register => "register",
        /// Every other path of the authorization server: login, consent, callback, revocation and so on.
        AuthorizationServer => "oauth",
        /// `/health` and `/readyz`.
        Health => "health",
        /// No such path.
        Unknown => "unknown",
    }
}

label! {
    /// The first digit of a status code.
    StatusClass as "status" {
        /// 100 to 199.
        Informational => "1xx",
        /// 200 to 299.
        Success => "2xx",
        /// 300 to 399.
        Redirection => "3xx",
        /// 400 to 499.
        ClientError => "4xx",
        /// 500 and above.
        ServerError => "5xx",
    }
}

impl StatusClass {
    /// The class of a status code.
    pub fn of(status: u16) -> Self {
        match status {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

label! {
    /// How something ended that has no finer reason.
    Outcome as "result" {
        /// Well.
        Success => "success",
        /// The other side said no.
        Refused => "refused",
        /// The other side could not be asked, or its answer not be used; the log says why.
        Failed => "failed",
    }
}

label! {
    /// What a cache answered.
    Cache as "result" {
        /// The value was there.
        Hit => "hit",
        /// The value had to be made.
        Miss => "miss",
    }
}

label! {
    /// The grant type of a token request (RFC 6749 §4).
    GrantType as "grant_type" {
        /// `authorization_code`.
        AuthorizationCode => "authorization_code",
        /// `refresh_token`.
        RefreshToken => "refresh_token",
        /// Any other word, or none.
        Other => "other",
    }
}

/// One counter for each value of a label, all resolved.
#[derive(Debug)]
pub(crate) struct PerLabel<L> {
    counters: Vec<Counter>,
    label: PhantomData<L>,
}

impl<L: Label> PerLabel<L> {
    pub(crate) fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register(name, help, family.clone());
        let counters =
            L::ALL.iter().map(|value| family.get_or_create_owned(&[(L::NAME, value.text())])).collect();
        Self { counters, label: PhantomData }
    }

    pub(crate) fn inc(&self, value: L) {
        if let Some(counter) = self.counters.get(value.position()) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions_match<L: Label>() {
        for (at, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.position(), at, "{}", value.text());
        }
    }

    #[test]
    fn every_value_stands_at_its_position() {
        positions_match::<Route>();
        positions_match::<StatusClass>();
        positions_match::<Outcome>();
        positions_match::<Cache>();
        positions_match::<GrantType>();
    }

    #[test]
    fn a_status_belongs_to_the_class_of_its_first_digit() {
        let classes = [101, 204, 302, 404, 503].map(|status| StatusClass::of(status).text());
        assert_eq!(classes, ["1xx", "2xx", "3xx", "4xx", "5xx"]);
    }
}
