//! Who may ask: the `Host` that a browser names (against DNS rebinding: a
//! page elsewhere whose name suddenly points to this machine) and the `Origin`
//! of a WebSocket (which browsers let any page open).

use std::net::IpAddr;

use axum::http::uri::Authority;

/// Which names are ours.
#[derive(Debug, Clone)]
pub(crate) struct HostPolicy {
    /// Configured names, lower case.
    names: Vec<String>,
    enforced: bool,
}

impl HostPolicy {
    /// Enforced on a loopback address, where nobody else could use another
    /// name, and wherever names are configured.
    pub(crate) fn new(names: Vec<String>, listens: Option<IpAddr>) -> Self {
        let loopback = listens.is_some_and(|address| address.is_loopback());
        Self {
            enforced: loopback || !names.is_empty(),
            names,
        }
    }

    /// Whether a request under this `Host` is answered.
    pub(crate) fn allows_host(&self, host: Option<&str>) -> bool {
        !self.enforced
            || host
                .and_then(host_name)
                .is_some_and(|name| self.is_ours(&name))
    }

    /// Whether a page of this origin may open the stream: one from the same
    /// place, or from a configured name (a proxy may rewrite `Host`). Programs
    /// other than browsers send no origin.
    pub(crate) fn allows_origin(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let Some((scheme, rest)) = origin.split_once("://") else {
            return false;
        };
        let port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return false,
        };
        let plain = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
        let same = host.is_some_and(|host| plain(host) == plain(rest));
        same || host_name(rest).is_some_and(|name| self.names.contains(&name))
    }

    /// An address cannot be rebound, and `localhost` never leaves the machine.
    fn is_ours(&self, name: &str) -> bool {
        let bare = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(name);
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.names.iter().any(|ours| ours == name)
    }
}

/// The name without port, lower case.
fn host_name(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    (!text.contains('@')).then(|| authority.host().trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(names: &[&str], listens: &str) -> HostPolicy {
        HostPolicy::new(
            names.iter().map(|&name| name.to_owned()).collect(),
            listens.parse().ok(),
        )
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let policy = policy(&["builds.example.org"], "127.0.0.1");
        for good in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "a.localhost:1",
            "Builds.Example.org",
            "builds.example.org.:80",
        ] {
            assert!(policy.allows_host(Some(good)), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example:8080",
            "x@localhost",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!policy.allows_host(Some(bad)), "{bad}");
        }
        assert!(!policy.allows_host(None));
    }

    #[test]
    fn elsewhere_names_are_checked_once_some_are_configured() {
        assert!(policy(&[], "0.0.0.0").allows_host(Some("anything")));
        assert!(!policy(&["a.example"], "0.0.0.0").allows_host(Some("anything")));
        assert!(policy(&["a.example"], "0.0.0.0").allows_host(Some("192.0.2.7:8080")));
    }

    #[test]
    fn the_stream_opens_for_pages_from_here_and_for_programs() {
        let policy = policy(&["builds.example.org"], "127.0.0.1");
        let allows = |origin, host| policy.allows_origin(Some(origin), Some(host));
        assert!(policy.allows_origin(None, Some("localhost:8080")));
        assert!(allows("http://localhost:8080", "LOCALHOST:8080"));
        assert!(allows("http://10.0.0.1", "10.0.0.1:80"));
        assert!(allows("https://builds.example.org", "aggregator:8080"));
        for bad in [
            "http://localhost:3000",
            "null",
            "https://evil.example",
            "file://",
            "http://localhost:8080.evil.example",
            "chrome-extension://localhost:8080",
        ] {
            assert!(!allows(bad, "localhost:8080"), "{bad}");
        }
    }
}
