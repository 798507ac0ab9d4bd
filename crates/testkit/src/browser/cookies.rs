//! A cookie jar (RFC 6265 §5, the part that tests need).

use url::Url;

#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar(Vec<Cookie>);

#[derive(Clone, Debug)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    host: String,
    path: String,
    secure: bool,
}

impl CookieJar {
    /// The cookies that go to `url`.
    pub(super) fn matching(&self, url: &Url) -> impl Iterator<Item = &Cookie> {
        let (host, path, https) =
            (url.host_str().unwrap_or_default().to_owned(), url.path().to_owned(), url.scheme() == "https");
        self.0.iter().filter(move |cookie| {
            cookie.host == host && (https || !cookie.secure) && path_matches(&path, &cookie.path)
        })
    }

    /// Takes in the value of one `Set-Cookie` header from `url`.
    pub(super) fn store(&mut self, url: &Url, set_cookie: &str) {
        let mut attributes = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = attributes.next().and_then(|pair| pair.split_once('=')) else { return };
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            path: default_path(url),
            secure: false,
        };
        let (mut deleted, mut has_domain, mut has_root_path) = (false, false, false);
        for attribute in attributes {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "domain" => has_domain = true,
                "max-age" => deleted = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                "path" if value.starts_with('/') => {
                    value.clone_into(&mut cookie.path);
                    has_root_path = value == "/";
                }
                _ => {}
            }
        }
        let forged_prefix = cookie.name.starts_with("__Host-") && !(cookie.secure && has_root_path);
        if has_domain || forged_prefix || (cookie.secure && url.scheme() != "https") {
            return;
        }
        self.0.retain(|old| (&old.name, &old.host, &old.path) != (&cookie.name, &cookie.host, &cookie.path));
        if !deleted {
            self.0.push(cookie);
        }
    }
}

/// RFC 6265 §5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    request
        .strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// RFC 6265 §5.1.4: the path up to its last slash.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.to_owned(),
        _ => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set_cookie: &str, from: &str, to: &str) -> bool {
        let mut jar = CookieJar::default();
        jar.store(&Url::parse(from).unwrap(), set_cookie);
        jar.matching(&Url::parse(to).unwrap()).next().is_some()
    }

    #[test]
    fn cookies_stay_with_their_host_path_and_scheme() {
        let here = "https://a.example/x/y";
        assert!(sent("n=v", here, "https://a.example:8443/x/z"));
        assert!(!sent("n=v", here, "https://a.example/other"));
        assert!(!sent("n=v", here, "https://a.example/xy"));
        assert!(sent("n=v; Path=/", here, "https://a.example/other"));
        assert!(!sent("n=v; Path=/", here, "https://b.example/"));
        assert!(!sent("n=v; Path=/; Secure", here, "http://a.example/"));
        assert!(!sent("n=v; Path=/; Domain=example", here, here));
    }

    #[test]
    fn host_prefixed_and_secure_cookies_need_https() {
        let (tls, plain) = ("https://a.example/", "http://a.example/");
        assert!(sent("__Host-n=v; Path=/; Secure; HttpOnly; SameSite=Lax", tls, tls));
        assert!(!sent("__Host-n=v; Path=/x; Secure", tls, "https://a.example/x"));
        assert!(!sent("__Host-n=v; Path=/", tls, tls));
        assert!(!sent("n=v; Secure", plain, tls));
    }

    #[test]
    fn a_later_cookie_replaces_and_max_age_0_deletes() {
        let url = Url::parse("https://a.example/").unwrap();
        let mut jar = CookieJar::default();
        for (set, left) in [("n=1", Some("1")), ("n=2", Some("2")), ("n=; Max-Age=0", None)] {
            jar.store(&url, set);
            assert_eq!(jar.matching(&url).map(|cookie| cookie.value.as_str()).next(), left);
        }
    }
}
