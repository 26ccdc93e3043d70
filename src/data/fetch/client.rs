//! One file over HTTP, or the rest of it: which addresses may be asked, redirects, time limits, and what is said where it
//! fails. The only file that knows HTTP.

use super::proxy::Environment;
use super::tls::{self, Tls};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use ureq::http::Uri;
use ureq::http::header::{CONTENT_RANGE, LOCATION, RANGE};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, SocksConnector, TcpConnector};
use ureq::{Agent, Error, Proxy};

const MAX_REDIRECTS: usize = 5;

#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    /// For the name, and again for the connection.
    pub(super) connect: Duration,
    /// Without a byte.
    pub(super) idle: Duration,
    /// For one file: who sends a byte now and then is not waited for.
    pub(super) total: Duration,
}

pub(super) const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(30), total: Duration::from_secs(30 * 60) };

pub(super) enum Message {
    /// The byte that the next piece begins with, and what the server says the size is.
    Begins {
        at: u64,
        total: Option<u64>,
    },
    Chunk(Vec<u8>),
    End(Result<()>),
}

/// The server has no rest of the file to send: there is no more than we have, or it is another one by now.
#[derive(Debug)]
pub(super) struct NoRest;

impl std::fmt::Display for NoRest {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("the server has no rest of it")
    }
}

impl std::error::Error for NoRest {}

/// Sends the contents behind an address, piece by piece, from a byte on; from the first where a server knows no other.
pub(super) fn download(client: &Client, url: &str, from: u64, sender: &SyncSender<Message>) -> Result<()> {
    let mut at: Uri = url.parse().context("not an address")?;
    for _ in 0..=MAX_REDIRECTS {
        let (agent, proxy) = client.agent_for(&at)?;
        let failed = |error: Error| explained(error, proxy);
        let mut request = agent.get(at.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.call().map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            at = redirect(&at, location.context("redirected to nowhere")?)?;
            continue;
        }
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let begins_there = range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
        ensure!(from == 0 || status.as_u16() != 416, NoRest);
        ensure!(status.as_u16() != 206 || (from > 0 && begins_there), NoRest);
        ensure!(matches!(status.as_u16(), 200 | 206), "HTTP {status}");
        let begin = if status.as_u16() == 206 { from } else { 0 };
        let mut body = response.into_body();
        let total = body.content_length().and_then(|rest| rest.checked_add(begin));
        if sender.send(Message::Begins { at: begin, total }).is_err() {
            return Ok(());
        }
        let mut reader = body.as_reader();
        loop {
            let mut chunk = vec![0; 1 << 16];
            let n = reader.read(&mut chunk).map_err(|error| failed(error.into()))?;
            chunk.truncate(n);
            // Where nobody listens any more, nobody wants to know how it ends.
            if n == 0 || sender.send(Message::Chunk(chunk)).is_err() {
                return Ok(());
            }
        }
    }
    bail!("redirected more than {MAX_REDIRECTS} times")
}

/// What went wrong, in words of people who set up networks.
fn explained(error: Error, proxy: Option<&Environment>) -> anyhow::Error {
    let by = || proxy.map(|proxy| format!("by {}: ", proxy.shown())).unwrap_or_default();
    match error {
        Error::Io(error) => match tls::problem(&error) {
            Some(problem) => anyhow!("{}{problem}", by()),
            None => anyhow!("{}{error}", by()),
        },
        Error::ConnectProxyFailed(said) => match proxy {
            Some(proxy) if said.contains(" 407") => anyhow!("{}: {}", proxy.shown(), proxy.password_advice()),
            Some(proxy) => anyhow!("{} lets nobody through: {said}", proxy.shown()),
            None => anyhow!("{said}"),
        },
        Error::Timeout(of) => anyhow!("{}nothing came in time (timeout: {of})", by()),
        Error::HostNotFound => anyhow!("{}no such host is known here", by()),
        Error::Protocol(error) => anyhow!("{}what answers speaks no HTTP ({error})", by()),
        other => anyhow!("{}{other}", by()),
    }
}

/// Where a redirect leads. Only this machine may send a client to this machine: what a stranger
/// says is no reason to ask a local service.
fn redirect(from: &Uri, location: &str) -> Result<Uri> {
    let (scheme, authority) =
        (from.scheme_str().unwrap_or_default(), from.authority().map_or("", |authority| authority.as_str()));
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    let to: Uri = absolute.parse().with_context(|| format!("redirected to {location}, which is no address"))?;
    ensure!(is_allowed(&to) && (!is_loopback(&to) || is_loopback(from)), "redirected to {location}, which is refused");
    Ok(to)
}

/// What comes unencrypted may have been changed on the way, except on this very machine.
fn is_allowed(uri: &Uri) -> bool {
    match uri.scheme_str() {
        Some("https") => uri.host().is_some(),
        Some("http") => is_loopback(uri),
        _ => false,
    }
}

fn is_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}

#[derive(Clone)]
pub(super) struct Client {
    /// Through the environment's proxy, where it names one.
    by_proxy: Option<(Agent, Environment)>,
    /// To this machine, which no proxy can reach, and to whom the proxy is not for.
    direct: Agent,
}

/// Cuts whatever connections are left, so that the thread on them ends.
pub(super) struct HangUp(pub(super) Client);

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Some((agent, _)) = &self.0.by_proxy {
            agent.clone().shutdown();
        }
        self.0.direct.clone().shutdown();
    }
}

impl Client {
    /// # Errors
    /// Where the environment names a proxy that is none.
    pub(super) fn new(timeouts: Timeouts) -> Result<Self> {
        let agent = |proxy: Option<Proxy>| {
            let config = Agent::config_builder()
                .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
                // Redirects and statuses are judged here.
                .max_redirects(0)
                .http_status_as_error(false)
                .proxy(proxy)
                .timeout_resolve(Some(timeouts.connect))
                .timeout_connect(Some(timeouts.connect))
                .timeout_per_read(Some(timeouts.idle))
                .timeout_per_write(Some(timeouts.idle))
                .timeout_global(Some(timeouts.total))
                .build();
            let connector = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
            let connector = connector.chain(TcpConnector::default()).chain(Tls);
            Agent::with_parts(config, connector, DefaultResolver::default())
        };
        let by_proxy = Environment::read()?.map(|proxy| (agent(Some(proxy.proxy.clone())), proxy));
        Ok(Self { by_proxy, direct: agent(None) })
    }

    fn agent_for(&self, uri: &Uri) -> Result<(&Agent, Option<&Environment>)> {
        ensure!(is_allowed(uri), "only https is asked, or this machine");
        Ok(match &self.by_proxy {
            Some((agent, proxy)) if !is_loopback(uri) && proxy.is_for(uri) => (agent, Some(proxy)),
            _ => (&self.direct, None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        for allowed in
            ["https://a.b/c", "http://127.0.0.1:8/", "http://LOCALHOST/", "http://[::1]:80/", "http://127.9.9.9/"]
        {
            assert!(is_allowed(&uri(allowed)), "{allowed}");
        }
        for refused in [
            "http://a.b/c",
            "http://127.0.0.1@a.b/",
            "http://127.0.0.1.a.b/",
            "http://localhost.a.b/",
            "http://[::2]/",
            "ftp://localhost/",
            "/path",
        ] {
            assert!(!is_allowed(&uri(refused)), "{refused}");
        }
        let redirect = |from, to| redirect(&uri(from), to).map(|uri| uri.to_string()).ok();
        assert_eq!(redirect("https://a/b", "//c/d").as_deref(), Some("https://c/d"));
        assert_eq!(redirect("https://a:9/b", "/d?e").as_deref(), Some("https://a:9/d?e"));
        assert_eq!(redirect("https://a/b", "http://a/b"), None);
        assert_eq!(redirect("https://a/b", "https://localhost/b"), None);
        assert_eq!(redirect("http://localhost/b", "https://a/b").as_deref(), Some("https://a/b"));
    }
}
