//! One file over HTTP: which addresses may be asked, redirects, the proxy, time limits. The only file that knows HTTP.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use ureq::http::Uri;
use ureq::http::header::LOCATION;
use ureq::{Agent, Proxy};

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
    /// What the server says the size is.
    Size(Option<u64>),
    Chunk(Vec<u8>),
    End(Result<()>),
}

/// Sends the contents behind an address, piece by piece.
pub(super) fn download(client: &Client, url: &str, sender: &SyncSender<Message>) -> Result<()> {
    let mut at: Uri = url.parse().context("not an address")?;
    for _ in 0..=MAX_REDIRECTS {
        let agent = client.agent_for(&at)?;
        let response = agent.get(at.clone()).call()?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            at = redirect(&at, location.context("redirected to nowhere")?)?;
            continue;
        }
        ensure!(status.as_u16() == 200, "HTTP {status}");
        let mut body = response.into_body();
        if sender.send(Message::Size(body.content_length())).is_err() {
            return Ok(());
        }
        let mut reader = body.as_reader();
        loop {
            let mut chunk = vec![0; 1 << 16];
            let n = reader.read(&mut chunk)?;
            chunk.truncate(n);
            // Where nobody listens any more, nobody wants to know how it ends.
            if n == 0 || sender.send(Message::Chunk(chunk)).is_err() {
                return Ok(());
            }
        }
    }
    bail!("redirected more than {MAX_REDIRECTS} times")
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
    /// Through the environment's proxy, if it names one.
    outside: Agent,
    /// To this machine, which no proxy can reach.
    loopback: Agent,
}

/// Cuts whatever connections are left, so that the thread on them ends.
pub(super) struct HangUp(pub(super) Client);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.outside.clone().shutdown();
        self.0.loopback.clone().shutdown();
    }
}

impl Client {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        let agent = |proxy| {
            Agent::config_builder()
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
                .build()
                .new_agent()
        };
        Self { outside: agent(Proxy::try_from_env()), loopback: agent(None) }
    }

    fn agent_for(&self, uri: &Uri) -> Result<&Agent> {
        ensure!(is_allowed(uri), "only https is asked, or this machine");
        Ok(if is_loopback(uri) { &self.loopback } else { &self.outside })
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
