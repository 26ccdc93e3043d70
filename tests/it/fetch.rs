//! The download of a data set, against servers on this machine: what they do wrong, mirrors, proxy, waiting, stops.

use crate::common::tiny::{gzip, tiny};
use anyhow::Result;
use hw1::data::fetch::{Event, fetch, set_aside};
use hw1::data::mnist::IdxFile;
use hw1::data::sent::Archive;
use hw1::error::Interrupted;
use md5::Digest as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A server on loopback: `answer` gets the path asked for and the connection to write to.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mnist/", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = Arc::new(answer);
    thread::spawn({
        let asked = asked.clone();
        move || {
            for stream in listener.incoming() {
                let (asked, answer) = (asked.clone(), answer.clone());
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
                    let Some(Ok(first)) = request.next() else { return };
                    while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    asked.fetch_add(1, Ordering::Relaxed);
                    answer(first.split(' ').nth(1).unwrap(), &mut stream);
                });
            }
        }
    });
    Server { url, asked }
}

fn reply(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(body);
}

/// The tiny file behind a path, gzipped.
fn packed(path: &str) -> Vec<u8> {
    let name = path.strip_prefix("/mnist/").unwrap().strip_suffix(".gz").unwrap();
    gzip(&tiny().into_iter().find(|(file, _)| file.name == name).unwrap().1)
}

fn good() -> Server {
    serve(|path, stream| reply(stream, "200 OK", &packed(path)))
}

fn files() -> [IdxFile; 2] {
    tiny().map(|(file, _)| file)
}

fn try_fetch(into: &Path, mirrors: &[&str]) -> (Result<()>, Vec<String>) {
    let mirrors: Vec<String> = mirrors.iter().map(ToString::to_string).collect();
    let mut events = Vec::new();
    let mut progress = |event: Event| events.push(format!("{event:?}"));
    let result = fetch(&files(), into, &mirrors, &AtomicBool::new(false), &mut progress);
    (result, events)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a server did that is no good: the reason, and that nothing stays behind.
fn reason(server: &Server) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (result, _) = try_fetch(folder.path(), &[&server.url]);
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("cannot download tiny-images: http://127.0.0.1:"), "{error}");
    assert!(error.contains("--data-dir") && !error.contains('\n'), "{error}");
    let kept = |name: &String| !name.starts_with(".part-");
    assert_eq!(names(folder.path()).into_iter().filter(kept).collect::<Vec<_>>(), [".lock"]);

    // The next mirror is asked.
    let second = good();
    let (result, events) = try_fetch(folder.path(), &[&server.url, &second.url]);
    result.unwrap();
    assert_eq!(names(folder.path()), [".lock", "tiny-images", "tiny-labels"]);
    let failed = |event: &&String| event.starts_with("Failed") && !event.contains("the rest is asked for");
    assert_eq!(events.iter().filter(failed).count(), 2);
    error
}

#[test]
fn files_are_fetched_once() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(".hw1-killed"), "half").unwrap();
    let server = good();
    let (result, events) = try_fetch(&folder, &[server.url.trim_end_matches('/')]);
    result.unwrap();
    assert!(events[0].starts_with("Started") && events.last().unwrap().starts_with("Finished"), "{events:?}");
    assert!(events.iter().any(|event| event.starts_with("Received") && event.contains("total: Some(")));
    assert_eq!(names(&folder), [".lock", "tiny-images", "tiny-labels"]);
    for (file, raw) in tiny() {
        assert_eq!(fs::read(folder.join(file.name)).unwrap(), raw);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |name| fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("tiny-images"), mode(".lock"));
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), 2);

    // All there: nobody is asked, nothing written, not even the lock.
    fs::remove_file(folder.join(".lock")).unwrap();
    let (result, events) = try_fetch(&folder, &[]);
    result.unwrap();
    assert!(events.iter().all(|event| event.starts_with("Present")) && events.len() == 2, "{events:?}");
    assert_eq!(names(&folder), ["tiny-images", "tiny-labels"]);

    // One missing, the other gzipped: one is fetched.
    fs::remove_file(folder.join("tiny-images")).unwrap();
    fs::rename(folder.join("tiny-labels"), folder.join("tiny-labels.gz")).unwrap();
    try_fetch(&folder, &[&server.url]).0.unwrap();
    assert_eq!(server.asked.load(Ordering::Relaxed), 3);
    assert_eq!(names(&folder), [".lock", "tiny-images", "tiny-labels.gz"]);
}

#[test]
fn wrong_contents_are_refused() {
    let wrong_checksum = serve(|path, stream| {
        let (_, mut raw) = tiny().into_iter().next().unwrap();
        if path.contains("labels") {
            raw = tiny().into_iter().nth(1).unwrap().1;
        }
        let last = raw.last_mut().unwrap();
        *last = if *last == 1 { 2 } else { 1 };
        reply(stream, "200 OK", &gzip(&raw));
    });
    assert!(reason(&wrong_checksum).contains("the SHA-256 of its contents is"));
    let page = serve(|_, stream| reply(stream, "200 OK", b"<html>log in first</html>"));
    assert!(reason(&page).contains("a page of HTML, not MNIST's: a proxy"));
    let other = serve(|_, stream| reply(stream, "200 OK", b"something else"));
    assert!(reason(&other).contains("neither gzip nor"));
    let bomb = serve(|_, stream| reply(stream, "200 OK", &gzip(&vec![0; 1 << 20])));
    assert!(reason(&bomb).contains("starts with [00, 00, 00, 00]"));
}

#[test]
fn a_cut_connection_is_noticed() {
    let cut = |head: &'static str| {
        serve(move |path, stream| {
            let body = packed(path);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{}", head.replace("LEN", &body.len().to_string()));
            let _ = stream.write_all(&body[..body.len() / 2]);
        })
    };
    let error = reason(&cut("Content-Length: LEN\r\n\r\n"));
    assert!(error.contains("disconnect") || error.contains("EOF") || error.contains("eof"), "{error}");
    // Where the server names no length, gzip tells.
    let error = reason(&cut("Connection: close\r\n\r\n"));
    assert!(error.contains("its gzip is damaged"), "{error}");
}

#[test]
fn http_errors_are_failures() {
    for status in ["404 Not Found", "500 Internal Server Error", "204 No Content"] {
        let server = serve(move |_, stream| reply(stream, status, b""));
        let error = reason(&server);
        assert!(error.contains(&format!("tiny-images.gz: HTTP {status};")), "{error}");
    }
}

#[test]
fn oversized_bodies_are_cut_off() {
    let announced = serve(|_, stream| reply(stream, "200 OK", &[0; 100_000]));
    assert!(reason(&announced).contains("bytes were sent"));
    let endless = serve(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[0; 1000]).is_ok() {}
    });
    assert!(reason(&endless).contains("bytes were sent"));
}

#[test]
fn redirects_lead_to_https_or_stay_here() {
    let target = good();
    let to = |location: String| {
        serve(move |path, stream| {
            reply(stream, &format!("302 Found\r\nLocation: {}", location.replace("PATH", path)), b"");
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let here = to(target.url.replace("/mnist/", "PATH"));
    try_fetch(folder.path(), &[&here.url]).0.unwrap();
    assert_eq!(target.asked.load(Ordering::Relaxed), 2);

    assert!(
        reason(&to("http://192.0.2.1PATH".to_owned()))
            .contains("http://192.0.2.1/mnist/tiny-images.gz, which is refused")
    );
    assert!(reason(&to("ftp://localhost/".to_owned())).contains("which is refused"));
    assert!(reason(&to("nowhere".to_owned())).contains("which is refused"));
    assert!(reason(&to("PATH".to_owned())).contains("redirected more than 5 times"));
}

#[test]
fn mirrors_that_may_not_be_asked_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let (result, _) = try_fetch(folder.path(), &["http://192.0.2.1/", "no address"]);
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("only https is asked, or this machine; no address/tiny-images.gz: not an address"),
        "{error}"
    );
    assert!(try_fetch(folder.path(), &[]).0.unwrap_err().to_string().contains("no mirror to ask"));
}

#[test]
fn two_at_once_download_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(|path, stream| {
        thread::sleep(Duration::from_millis(200));
        reply(stream, "200 OK", &packed(path));
    });
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (result, events) = try_fetch(folder.path(), &[&server.url]);
                result.unwrap();
                seen.lock().unwrap().push(events);
            });
        }
    });
    assert_eq!(server.asked.load(Ordering::Relaxed), 2);
    let second = seen.into_inner().unwrap().pop().unwrap();
    assert_eq!(second.len(), 3, "{second:?}");
    assert!(second[0] == "Waiting" && second[2].starts_with("Present"), "{second:?}");
}

#[test]
fn a_stop_ends_it_at_once_and_leaves_what_came() {
    let server = serve(|path, stream| {
        let body = packed(path);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(&body[..10]);
        thread::sleep(Duration::from_secs(60));
    });
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let mirrors = [server.url];
    let try_fetch = || {
        let mut progress = |event: Event| {
            if let Event::Received { .. } | Event::Waiting = event {
                stop.store(true, Ordering::Relaxed);
            }
        };
        fetch(&files(), folder.path(), &mirrors, &stop, &mut progress)
    };
    assert!(try_fetch().unwrap_err().is::<Interrupted>());
    let left = names(folder.path());
    assert!(left.len() == 2 && left[0] == ".lock" && left[1].starts_with(".part-tiny-images-"), "{left:?}");

    // While waiting for another process, too.
    stop.store(false, Ordering::Relaxed);
    let other = OpenOptions::new().write(true).open(folder.path().join(".lock")).unwrap();
    other.lock().unwrap();
    assert!(try_fetch().unwrap_err().is::<Interrupted>());
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// The child of the next test.
#[test]
#[ignore = "needs the environment that its parent sets"]
fn child_that_asks_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let (result, _) = try_fetch(folder.path(), &["https://mirror.invalid/mnist/"]);
    println!("said: {}", result.unwrap_err());
    try_fetch(folder.path(), &[&good().url]).0.unwrap(); // No proxy for loopback.
}

#[test]
fn the_proxy_is_the_environments() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let proxy = serve({
        let seen = seen.clone();
        move |target, stream| {
            seen.lock().unwrap().push(target.to_owned());
            reply(stream, "403 Forbidden", b"");
        }
    });
    let child = |no_proxy: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--nocapture", "child_that_asks_a_mirror"]);
        for name in ["ALL_PROXY", "all_proxy", "https_proxy", "HTTP_PROXY", "http_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        let output = command
            .env("HTTPS_PROXY", proxy.url.trim_end_matches("/mnist/"))
            .env("NO_PROXY", no_proxy)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("said: cannot download"), "{text}");
        text
    };
    assert!(child("other.invalid").contains("proxy"));
    assert_eq!(*seen.lock().unwrap(), ["mirror.invalid:443"]);
    child("mirror.invalid");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_set_with_a_name_is_fetched_where_it_is_missing_and_refused_unless_it_is_that() {
    // Everything is asked of this machine; nothing here is what CIFAR's page says of its archive.
    let server = serve(|_, stream| reply(stream, "200 OK", b"an archive of something else"));
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hw1"));
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        command.env_remove("XDG_CACHE_HOME").env_remove("HW1_DATA_DIR").env("HW1_MIRRORS", &server.url);
        command.output().unwrap()
    };
    for (arguments, code) in [
        (&["data", "fetch", "cifar-10"][..], 1),
        (&["random-labels", "--preset", "smoke", "--data", "cifar-100"], 1),
        (&["random-labels", "--preset", "smoke", "--data", "kmnist"], 1),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("its MD5 is") && stderr.contains("is not"), "{stderr}");
    }
    assert_eq!(server.asked.load(Ordering::Relaxed), 3);
    for name in ["cifar-10", "cifar-100", "kmnist"] {
        assert_eq!(names(&folder.path().join(".cache/hw1").join(name)), [".lock"], "each in its own folder");
    }
    assert!(!folder.path().join("runs").exists(), "no study has begun");
}

#[test]
fn an_archive_is_unpacked_and_what_was_seen_is_pinned() {
    let files = &[("one.bin", 3), ("names.txt", 0)];
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [("set/one.bin", &[1u8, 2, 3][..]), ("set/names.txt", b"a\nb\n"), ("set/other", b"x")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    let sent = gzip(&archive.into_inner().unwrap());
    let digest: String = md5::Md5::digest(&sent).iter().map(|byte| format!("{byte:02x}")).collect();
    let set = Archive { name: "set.tar.gz", of: "SET", md5: digest.leak(), limit: 1 << 20, files };
    let server = serve(move |path, stream| {
        assert_eq!(path, "/mnist/set.tar.gz");
        reply(stream, "200 OK", &sent);
    });
    let folder = tempfile::tempdir().unwrap();
    let (stop, mirrors) = (AtomicBool::new(false), [server.url.clone()]);
    let mut events = Vec::new();
    let mut run = || {
        fetch(std::slice::from_ref(&set), folder.path(), &mirrors, &stop, &mut |event| {
            events.push(format!("{event:?}"))
        })
    };
    run().unwrap();
    assert_eq!(names(folder.path()), [".lock", "hw1-pinned.json", "names.txt", "one.bin"]);
    assert_eq!(fs::read(folder.path().join("one.bin")).unwrap(), [1, 2, 3]);
    // All there, and as it was.
    run().unwrap();
    assert_eq!(server.asked.load(Ordering::Relaxed), 1);
    // Of the right length, and changed since: fetched again once its name is free.
    fs::write(folder.path().join("one.bin"), [1, 2, 4]).unwrap();
    assert!(run().unwrap_err().to_string().contains("one.bin: it changed since it was fetched"));
    set_aside(std::slice::from_ref(&set), folder.path()).unwrap();
    run().unwrap();
    assert_eq!(server.asked.load(Ordering::Relaxed), 2);
    assert_eq!(fs::read(folder.path().join("one.bin")).unwrap(), [1, 2, 3]);
    assert_eq!(events.iter().filter(|event| event.contains("pinned: true")).count(), 2, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("Present")).count(), 1, "{events:?}");
}
