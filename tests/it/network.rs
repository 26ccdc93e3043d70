//! Networks as they are at work: an authority of the house, proxies, pages to log in, downloads that break off. All
//! servers are this test's own, on this machine.

use crate::common::tiny::{gzip, tiny};
use crate::common::{Dir, Ran};
use hw1::data::fetch::{Event, fetch};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on loopback, and the heads of the requests that it got, in small letters.
pub struct Server {
    pub url: String,
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// `answer` gets a request's head and the connection to write to.
pub fn serve(tls: Option<Arc<ServerConfig>>, answer: impl Fn(&str, &mut dyn Write) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = match tls {
        Some(_) => format!("https://localhost:{port}/"),
        None => format!("http://127.0.0.1:{port}/"),
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answer, log) = (Arc::new(answer), asked.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, log, tls) = (answer.clone(), log.clone(), tls.clone());
            thread::spawn(move || {
                let stream: TcpStream = stream.unwrap();
                let Some(tls) = tls else { return converse(stream, &log, &*answer) };
                let connection = rustls::ServerConnection::new(tls).unwrap();
                converse(rustls::StreamOwned::new(connection, stream), &log, &*answer);
            });
        }
    });
    Server { url, port, asked }
}

fn converse(mut stream: impl Read + Write, log: &Mutex<Vec<String>>, answer: &dyn Fn(&str, &mut dyn Write)) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            // A client that speaks TLS to a server that does not: what it says has no end of its own.
            Ok(1) if head.is_empty() && byte[0] == 0x16 => {
                answer("", &mut stream);
                return drop(stream.read_to_end(&mut head));
            }
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    log.lock().unwrap().push(head.clone());
    answer(&head, &mut stream);
    let _ = stream.flush();
}

pub fn reply(stream: &mut (impl Write + ?Sized), head: &str, body: &[u8]) {
    let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(body);
}

fn not_found() -> impl Fn(&str, &mut dyn Write) + Send + Sync + 'static {
    |_, stream| reply(stream, "404 Not Found", b"")
}

/// An authority that nobody else knows, and what servers with its certificates show.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut about = CertificateParams::new(Vec::new()).unwrap();
        about.distinguished_name.push(DnType::CommonName, "Authority of the House");
        about.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(about, KeyPair::generate().unwrap()).unwrap())
    }

    /// Of a server that this machine calls localhost, valid until a year.
    fn server(&self, until: i32) -> Arc<ServerConfig> {
        let mut about = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        about.distinguished_name.push(DnType::CommonName, "mirror of the house");
        about.not_before = rcgen::date_time_ymd(2001, 1, 1);
        about.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = about.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

/// `hw1 data fetch` with these variables and no others that count.
fn fetch_with(dir: &Dir, mirror: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = dir.command(&["data", "fetch", "--data-dir", "d", "--mirror", mirror]);
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(variables.iter().copied());
    Ran::new(command.output().unwrap())
}

#[test]
fn an_authority_of_the_house_is_trusted_where_it_is_named() {
    let (dir, authority) = (Dir::new(), Authority::new());
    let server = serve(Some(authority.server(4000)), not_found());
    fs::create_dir(dir.path().join("trusted")).unwrap();
    fs::write(dir.path().join("trusted/house.pem"), authority.0.pem()).unwrap();
    let issuer = "issued by CN=Authority of the House";
    fetch_with(&dir, &server.url, &[]).fails(
        1,
        &["the certificate that localhost showed is refused", "CN=mirror of the house", issuer, "SSL_CERT_FILE"],
    );
    assert_eq!(server.asked().len(), 0);
    for (name, value) in [("SSL_CERT_FILE", "trusted/house.pem"), ("SSL_CERT_DIR", "nowhere:trusted")] {
        fetch_with(&dir, &server.url, &[(name, value)]).fails(1, &["HTTP 404 Not Found"]);
    }
    assert_eq!(server.asked().len(), 2);
    // Where it names nothing, nothing else is trusted in its place.
    fs::write(dir.path().join("empty.pem"), "").unwrap();
    for file in ["nowhere.pem", "empty.pem"] {
        let wanted = format!("SSL_CERT_FILE, {file}, has no certificate that can be read");
        fetch_with(&dir, &server.url, &[("SSL_CERT_FILE", file)]).fails(1, &[&wanted]);
    }
    // It is not asked for where there is no TLS.
    let plain = serve(None, not_found());
    fetch_with(&dir, &plain.url, &[("SSL_CERT_FILE", "nowhere.pem")]).fails(1, &["HTTP 404"]);
}

#[test]
fn a_certificate_of_another_time_or_name_is_refused_with_the_reason() {
    let (dir, authority) = (Dir::new(), Authority::new());
    fs::write(dir.path().join("house.pem"), authority.0.pem()).unwrap();
    let trusted = [("SSL_CERT_FILE", "house.pem")];
    let old = serve(Some(authority.server(2002)), not_found());
    fetch_with(&dir, &old.url, &trusted).fails(1, &["refused", "expired", "look at this machine's clock"]);
    let other = serve(Some(authority.server(4000)), not_found());
    let by_number = other.url.replace("localhost", "127.0.0.1");
    fetch_with(&dir, &by_number, &trusted).fails(1, &["that 127.0.0.1 showed is refused", "localhost", "--mirror"]);
    // No TLS at all.
    let plain = serve(None, not_found());
    fetch_with(&dir, &plain.url.replace("http:", "https:"), &trusted).fails(1, &["speaks no TLS"]);
}

#[test]
fn the_proxy_for_https_goes_before_the_one_for_all_and_some_hosts_need_none() {
    let dir = Dir::new();
    let refuse = || serve(None, |_, stream| reply(stream, "403 Forbidden", b"<html>no</html>"));
    let (https, all) = (refuse(), refuse());
    let [address, other] = [&https, &all].map(|proxy| format!("127.0.0.1:{}", proxy.port));
    let mirror = "https://mirror.invalid/";
    let both = [("HTTPS_PROXY", address.as_str()), ("ALL_PROXY", other.as_str())];
    let shown = format!("the proxy 127.0.0.1:{} (HTTPS_PROXY) lets nobody through", https.port);
    fetch_with(&dir, mirror, &both).fails(1, &[&shown, "403"]);
    assert_eq!((https.asked().len(), all.asked().len()), (1, 0));
    assert!(https.asked()[0].starts_with("connect mirror.invalid:443 "));
    fetch_with(&dir, mirror, &both[1..]).fails(1, &["(ALL_PROXY)"]);
    assert_eq!((https.asked().len(), all.asked().len()), (1, 1));
    for except in ["invalid", "a.b, .invalid", "*", "mirror.invalid:443"] {
        fetch_with(&dir, mirror, &[both[0], ("NO_PROXY", except)]).fails(1, &["cannot download"]);
    }
    assert_eq!(https.asked().len(), 1);
    // What a variable holds may be a password: it is not told.
    let ran = fetch_with(&dir, mirror, &[("https_proxy", "se cret")]);
    ran.fails(1, &["https_proxy is no proxy's address, such as http://proxy.example:3128"]);
    assert!(!ran.stderr().contains("cret"));
}

#[test]
fn a_proxy_that_wants_a_password_or_answers_otherwise_is_told_of() {
    let dir = Dir::new();
    let through = |proxy: &Server, name: &str| {
        let address = format!("http://{name}127.0.0.1:{}", proxy.port);
        fetch_with(&dir, "https://mirror.invalid/", &[("HTTPS_PROXY", &address)])
    };
    let asks = serve(None, |_, stream| reply(stream, "407 Proxy Authentication Required", b"<html>who?</html>"));
    let wanted = format!("write them into HTTPS_PROXY=http://NAME:PASSWORD@127.0.0.1:{}", asks.port);
    through(&asks, "").fails(1, &["asks for a name and a password (HTTP 407)", &wanted]);
    let ran = through(&asks, "me:secret@");
    ran.fails(1, &["it does not take the ones in HTTPS_PROXY"]);
    assert!(!ran.stderr().contains("secret") && asks.asked()[1].contains("proxy-authorization: basic "));
    // A page in place of a tunnel.
    let page = serve(None, |_, stream| reply(stream, "200 OK", b"<html>log in first</html>"));
    through(&page, "").fails(1, &["(HTTPS_PROXY)", "speaks no TLS", "a page to log in to the network"]);
    // No HTTP at all.
    let other = serve(None, |_, stream| drop(stream.write_all(b"<html>log in first</html>")));
    through(&other, "").fails(1, &["(HTTPS_PROXY)", "no HTTP"]);
}

#[test]
fn a_page_in_place_of_a_file_and_a_circle_of_redirects_are_told_of() {
    let dir = Dir::new();
    let page = serve(None, |_, stream| reply(stream, "200 OK", b"\n<!DOCTYPE html><title>Log in</title>"));
    fetch_with(&dir, &page.url, &[]).fails(1, &["a page of HTML, not MNIST's", "a page to log in to the network"]);
    let circle = serve(None, |_, stream| reply(stream, "302 Found\r\nLocation: /again", b""));
    fetch_with(&dir, &circle.url, &[]).fails(1, &["redirected more than 5 times"]);
}

/// The tiny set's file that a request's head asks for, as it is sent.
fn asked_for(head: &str) -> Vec<u8> {
    let (file, raw) = tiny().into_iter().find(|(file, _)| head.contains(file.name)).unwrap();
    let _ = file;
    gzip(&raw)
}

fn from(head: &str) -> Option<usize> {
    Some(head.split_once("range: bytes=")?.1.split_once('-')?.0.parse().unwrap())
}

/// Sends the rest that is asked for, at most so many bytes of it.
fn rest(head: &str, most: usize, stream: &mut dyn Write) {
    let all = asked_for(head);
    let (at, end) = (from(head).unwrap_or(0), all.len());
    let status =
        if at == 0 { "200 OK".into() } else { format!("206 Partial\r\nContent-Range: bytes {at}-{}/{end}", end - 1) };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", end - at);
    let _ = stream.write_all(&all[at..end.min(at.saturating_add(most))]);
}

fn fetch_tiny(into: &Path, mirror: &Server, stop_at_first: bool) -> anyhow::Result<()> {
    let (stop, files) = (AtomicBool::new(false), tiny().map(|(file, _)| file));
    let mut progress = |event: Event| {
        if stop_at_first && matches!(event, Event::Received { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    fetch(&files, into, std::slice::from_ref(&mirror.url), &stop, &mut progress)
}

fn assert_whole(folder: &Path) {
    for (file, raw) in tiny() {
        assert_eq!(fs::read(folder.join(file.name)).unwrap(), raw);
    }
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".part-")), "{left:?}");
}

#[test]
fn a_download_that_breaks_off_is_asked_for_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let size = asked_for("tiny-images").len();
    // A third at a time.
    let server = serve(None, move |head, stream| rest(head, size / 3 + 1, stream));
    fetch_tiny(folder.path(), &server, false).unwrap();
    assert_whole(folder.path());
    let images: Vec<_> = server.asked().iter().filter(|head| head.contains("images")).map(|head| from(head)).collect();
    assert_eq!(images, [None, Some(size / 3 + 1), Some(2 * (size / 3 + 1))]);
}

#[test]
fn an_interrupted_download_goes_on_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(None, |head, stream| {
        // The first request is left hanging after ten bytes.
        rest(head, if from(head).is_none() && head.contains("images") { 10 } else { usize::MAX }, stream);
        if from(head).is_none() && head.contains("images") {
            thread::park();
        }
    });
    assert!(fetch_tiny(folder.path(), &server, true).unwrap_err().is::<hw1::error::Interrupted>());
    fetch_tiny(folder.path(), &server, false).unwrap();
    assert_whole(folder.path());
    assert_eq!(server.asked().iter().map(|head| from(head)).collect::<Vec<_>>(), [None, Some(10), None]);
}

#[test]
fn halves_of_different_files_are_told_by_the_digest_and_fetched_anew() {
    // What is left is another file's, or more than there is: the server refuses, or sends what does not fit.
    for left in [vec![b'x'; 20], vec![b'x'; 5000]] {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(None, |head, stream| {
            if from(head).is_some_and(|at| at >= asked_for(head).len()) {
                return reply(stream, "416 Range Not Satisfiable", b"");
            }
            rest(head, usize::MAX, stream);
        });
        let hash = hw1::files::sha256(format!("{}tiny-images.gz", server.url).as_bytes());
        fs::write(folder.path().join(format!(".part-tiny-images-{}", &hash[..16])), &left).unwrap();
        fetch_tiny(folder.path(), &server, false).unwrap();
        assert_whole(folder.path());
        let images: Vec<_> =
            server.asked().iter().filter(|head| head.contains("images")).map(|head| from(head)).collect();
        assert_eq!(images, [Some(left.len()), None]);
    }
}
