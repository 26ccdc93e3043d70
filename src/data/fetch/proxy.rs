//! The environment's proxy, as curl has it: `https_proxy` before `all_proxy`, in small letters or large, and `no_proxy`
//! with the hosts that are asked without one.

use anyhow::{Context as _, Result};
use std::env;
use std::net::IpAddr;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// In their order; curl asks the last for http only, and here it is for who names no other.
const NAMES: [&str; 6] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"];

/// A proxy, and whom it is not for.
#[derive(Clone)]
pub(super) struct Environment {
    pub proxy: Proxy,
    /// The variable that names it.
    name: &'static str,
    except: Vec<String>,
}

impl Environment {
    /// `None` where it names no proxy.
    ///
    /// # Errors
    /// Where what it names is none. What stands in the variable is not told: it may hold a password.
    pub(super) fn read() -> Result<Option<Self>> {
        let value = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().trim().to_owned());
        let set = |name: &'static str| Some((name, value(name).filter(|value| !value.is_empty())?));
        let Some((name, address)) = NAMES.into_iter().find_map(set) else { return Ok(None) };
        let proxy = Proxy::new(&address).ok().with_context(|| {
            format!("{name} is no proxy's address, such as http://proxy.example:3128 or socks5h://proxy.example:1080")
        })?;
        let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(set).map(|(_, hosts)| hosts).unwrap_or_default();
        let except = except.split([',', ' ']).filter(|host| !host.is_empty()).map(str::to_lowercase).collect();
        Ok(Some(Self { proxy, name, except }))
    }

    /// Whether it is for this address.
    pub(super) fn is_for(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().to_lowercase();
        let port = uri.port_u16().unwrap_or(443).to_string();
        !self.except.iter().any(|except| matches(except, &host, &port))
    }

    /// "the proxy proxy.example:3128 (HTTPS_PROXY)": for people, without the password.
    pub(super) fn shown(&self) -> String {
        format!("the proxy {}:{} ({})", self.proxy.host(), self.proxy.port(), self.name)
    }

    /// What to do where it asks for a password.
    pub(super) fn password_advice(&self) -> String {
        let Self { proxy, name, .. } = self;
        let scheme = if proxy.protocol() == ProxyProtocol::Https { "https" } else { "http" };
        let given = if proxy.username().is_some() { "it does not take the ones in" } else { "write them into" };
        format!(
            "it asks for a name and a password (HTTP 407): {given} {name}={scheme}://NAME:PASSWORD@{}:{}",
            proxy.host(),
            proxy.port()
        )
    }
}

/// `*` is for all; a name is for the host and for those below it; an address for itself or, with a length, for all that
/// begin so; a port behind it is for that port alone.
fn matches(except: &str, host: &str, port: &str) -> bool {
    let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_owned();
    let (except, of_port) = match except.rsplit_once(':') {
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => (before, Some(port)),
        _ => (except, None),
    };
    if of_port.is_some_and(|of_port| of_port != port) {
        return false;
    }
    let (except, host) = (bare(except.trim_start_matches('*').trim_start_matches('.')), bare(host));
    if except.is_empty() {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let (network, length) = except.split_once('/').map_or((except.as_str(), None), |(n, l)| (n, Some(l)));
        let Ok(network) = network.parse::<IpAddr>() else { return false };
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((network, most), (address, of)) = (bits(network), bits(address));
        let length = length.map_or(Some(most), |length| length.parse().ok().filter(|length| *length <= most));
        // Nothing is left of a number that is shifted by all of its bits.
        let first = |address: u128, length: u32| address.checked_shr(128 - length).unwrap_or(0);
        return length.is_some_and(|length| most == of && first(network, length) == first(address, length));
    }
    host == except || host.strip_suffix(&except).is_some_and(|before| before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_without_a_proxy() {
        for (except, host, is) in [
            ("*", "a.b", true),
            ("a.b", "a.b", true),
            ("a.b", "c.a.b", true),
            (".a.b", "c.a.b", true),
            (".a.b", "a.b", true),
            ("*.a.b", "c.a.b", true),
            ("a.b.", "a.b", true),
            ("a.b", "ca.b", false),
            ("a.b", "b", false),
            ("a.b:443", "a.b", true),
            ("a.b:80", "a.b", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/99", "10.0.0.0", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.0.0.0/8", "fd00::1", false),
            ("fd00::/8", "[fd00::1]", true),
            ("[fd00::1]:443", "[fd00::1]", true),
            ("fd00::1", "[fd00::2]", false),
        ] {
            assert_eq!(matches(except, host, "443"), is, "{except} {host}");
        }
    }
}
