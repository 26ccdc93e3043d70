//! The download of a data set: from several mirrors in turn, checked before anything is put in place, by one process
//! at a time. What sets there are stands in named.rs, what is sent of them in sent.rs, and how one file is asked for in
//! client.rs.

mod client;
mod foreign;
mod part;
mod proxy;
mod tls;

use super::sent::{self, Sent};
use crate::error::{Interrupted, one_line};
use crate::files;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
pub use foreign::set_aside;

use client::{Client, HangUp, Message, NoRest, TIMEOUTS, Timeouts, download};
use part::Part;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How often the stop flag is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What happens during [`fetch`]; sizes are bytes as sent (gzipped).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Another process fetches into the folder; once.
    Waiting,
    /// The file is there and is the set's: nothing to do.
    Present { file: &'a str },
    /// A mirror is asked for the file.
    Started { file: &'a str, url: &'a str },
    /// `total` is `None` where the mirror does not say.
    Received { file: &'a str, bytes: u64, total: Option<u64> },
    /// A mirror failed; the next one is tried, or this one is asked for the rest, as the reason says.
    Failed { file: &'a str, reason: &'a str },
    /// The file is in place; `pinned` where no digest of it is published, so that later it is held against what was
    /// seen now.
    Finished { file: &'a str, pinned: bool },
}

/// Where a set is fetched from, in turn: `HW1_MIRRORS` (addresses with blanks between), else the `usual` places.
pub fn mirrors(usual: &[&str]) -> Vec<String> {
    match std::env::var("HW1_MIRRORS").ok().filter(|text| !text.trim().is_empty()) {
        Some(named) => named.split_whitespace().map(str::to_owned).collect(),
        None => usual.iter().map(|&mirror| mirror.to_owned()).collect(),
    }
}

/// Downloads those of a data set's files that `into` does not hold, as plain files: of MNIST 11 MB to fetch and 55 MB
/// on disk, since unpacking would cost every later run more than reading. A file appears whole and with the right digest, or
/// not at all; what stands under its name with other contents is somebody's own, and is refused: see [`set_aside`].
/// Waits where another process fetches into the folder, and leaves all to it. What came of a file before its download broke off is kept,
/// and the rest is asked for. HTTPS, except from this very machine; the proxy and what else is trusted are taken from the
/// environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`; `SSL_CERT_FILE`, `SSL_CERT_DIR`).
///
/// # Errors
/// Where a foreign file is in the way, the folder cannot be written or no mirror gives a file, with what each of them
/// said;
/// [`Interrupted`] once `stop` is set.
pub fn fetch<S: Sent>(
    files: &[S],
    into: &Path,
    mirrors: &[String],
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Event),
) -> Result<()> {
    Fetch { mirrors, timeouts: TIMEOUTS, stop, progress }.files(files, into)
}

/// What all steps of a fetch share.
struct Fetch<'a> {
    mirrors: &'a [String],
    timeouts: Timeouts,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(Event),
}

impl Fetch<'_> {
    fn check_stop(&self) -> Result<()> {
        ensure!(!self.stop.load(Ordering::Relaxed), Interrupted);
        Ok(())
    }

    fn files<S: Sent>(&mut self, files: &[S], into: &Path) -> Result<()> {
        let is_valid = |file: &S| file.verify(into).iter().all(|check| check.problem.is_none());
        // Before the lock: a folder that holds all need not be writable.
        if files.iter().all(is_valid) {
            files.iter().for_each(|file| (self.progress)(Event::Present { file: file.name() }));
            return Ok(());
        }
        fs::create_dir_all(into)
            .with_context(|| format!("cannot create the folder {}; name another with --data-dir", into.display()))?;
        let lock = self.lock(into)?;
        if lock.is_some() {
            let _ = files::remove_leftovers(into);
        }
        foreign::refuse(files, into)?;
        for file in files {
            if is_valid(file) {
                (self.progress)(Event::Present { file: file.name() });
                continue;
            }
            let received = self.ask_mirrors(file, into)?;
            self.check_stop()?;
            foreign::refuse_others_than(&received, into)?;
            let write = |name: &str, bytes: &[u8]| {
                let path = into.join(name);
                files::write_atomically(&path, bytes)
                    .with_context(|| format!("cannot write {}; name another folder with --data-dir", path.display()))
            };
            for (name, bytes) in received {
                write(&name, &bytes)?;
                if !file.is_known() {
                    let (name, bytes) = sent::pinned(into, file.of(), &name, &bytes)?;
                    write(name, &bytes)?;
                }
            }
            Part::remove(into, file.name());
            (self.progress)(Event::Finished { file: file.name(), pinned: !file.is_known() });
        }
        Ok(())
    }

    /// Waits for the folder's lock; the system lets go of it when a process ends. `None` where the file
    /// system has no locks: two processes then download twice, and put the same bytes in place.
    fn lock(&mut self, folder: &Path) -> Result<Option<File>> {
        let path = folder.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot write {}; name another folder with --data-dir", path.display()))?;
        let mut is_waiting = false;
        loop {
            self.check_stop()?;
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    if !is_waiting {
                        (self.progress)(Event::Waiting);
                        is_waiting = true;
                    }
                    thread::sleep(POLL);
                }
            }
        }
    }

    /// The plain files in what the first mirror sends that has it, checked.
    fn ask_mirrors(&mut self, file: &dyn Sent, into: &Path) -> Result<Vec<(String, Vec<u8>)>> {
        let mut reasons = Vec::new();
        for mirror in self.mirrors {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), file.address());
            (self.progress)(Event::Started { file: file.name(), url: &url });
            match self.ask(file, &url, into) {
                Ok(files) => return Ok(files),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    let reason = format!("{url}: {}", one_line(&error));
                    (self.progress)(Event::Failed { file: file.name(), reason: &reason });
                    reasons.push(reason);
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("there is no mirror to ask".to_owned());
        }
        bail!(
            "cannot download {}: {}; look at the network and HTTPS_PROXY, or name a folder that has {} with --data-dir",
            file.name(),
            reasons.join("; "),
            file.of()
        )
    }

    /// Asks one mirror until it has sent all, as long as it sends more each time.
    fn ask(&mut self, file: &dyn Sent, url: &str, into: &Path) -> Result<Vec<(String, Vec<u8>)>> {
        let mut part = Part::open(into, file.name(), url, file.limit());
        let mut left = MAX_RESUMED;
        loop {
            let came = self.receive(file, url, &mut part);
            match came.end {
                Err(error) if error.is::<Interrupted>() => return Err(error),
                // What was there is none of it, or was all of it and is not the file.
                Err(error) if error.is::<NoRest>() && !part.bytes.is_empty() => part.clear(),
                Err(error) if came.is_worth_more && left > 0 => {
                    left -= 1;
                    part.is_resumed = true;
                    let (error, bytes) = (one_line(&error), part.bytes.len());
                    let reason = format!("{url}: {error}; {bytes} bytes are here, and the rest is asked for");
                    (self.progress)(Event::Failed { file: file.name(), reason: &reason });
                }
                Err(error) => return Err(error),
                Ok(()) => match file.files(&part.bytes) {
                    Ok(files) => return Ok(files),
                    // Two halves of different files.
                    Err(_) if part.is_resumed => part.clear(),
                    Err(what) => {
                        let is_page = is_page(&part.bytes);
                        part.clear();
                        ensure!(
                            !is_page,
                            "what was sent is a page of HTML, not {}'s: a proxy, or a page to log in to the network, may \
                             have answered",
                            file.of()
                        );
                        bail!("what was sent is not {}'s: {what}", file.of());
                    }
                },
            }
        }
    }

    /// Receives what a part lacks.
    fn receive(&mut self, file: &dyn Sent, url: &str, part: &mut Part) -> Came {
        let mut came = Came { end: Ok(()), is_worth_more: false };
        came.end = self.receive_into(file, url, part, &mut came.is_worth_more);
        came
    }

    fn receive_into(&mut self, file: &dyn Sent, url: &str, part: &mut Part, is_worth_more: &mut bool) -> Result<()> {
        let limit = file.limit();
        let oversized = || anyhow!("more than {limit} bytes were sent");
        // The network blocks, so it has a thread of its own: here the stop flag is looked at, whatever the server
        // does. The thread is not joined: it ends by itself, within the time a name or a connection may take.
        let client = Client::new(self.timeouts)?;
        let _hang_up = HangUp(client.clone());
        let (sender, receiver) = sync_channel(16);
        let from = part.bytes.len() as u64;
        let work = {
            let url = url.to_owned();
            move || {
                let end = download(&client, &url, from, &sender);
                let _ = sender.send(Message::End(end));
            }
        };
        thread::Builder::new().spawn(work).context("cannot start a thread (see `ulimit -u` and `ulimit -v`)")?;

        let (mut total, mut goes_on) = (None, true);
        loop {
            self.check_stop()?;
            match receiver.recv_timeout(POLL) {
                Ok(Message::Begins { at, total: size }) => {
                    if at != from {
                        // It sends all or nothing: asking it for a rest gives no more than this.
                        part.clear();
                        goes_on = false;
                    }
                    ensure!(size.is_none_or(|size| size <= limit as u64), oversized());
                    total = size;
                }
                Ok(Message::Chunk(chunk)) => {
                    if part.bytes.len() + chunk.len() > limit {
                        part.clear();
                        *is_worth_more = false;
                        return Err(oversized());
                    }
                    part.push(&chunk);
                    *is_worth_more = goes_on;
                    let bytes = part.bytes.len() as u64;
                    (self.progress)(Event::Received { file: file.name(), bytes, total });
                }
                Ok(Message::End(end)) => return end,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the download broke off"),
            }
        }
    }
}

/// How one request ended.
struct Came {
    end: Result<()>,
    /// Whether it brought something, so that the next may bring the rest.
    is_worth_more: bool,
}

/// How often a mirror is asked for the rest of a file.
const MAX_RESUMED: u32 = 5;

fn is_page(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let begins = |with: &[u8]| start.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::mnist::{FILES, IdxFile, Items};
    use crate::files::sha256;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    /// What else a server can do is in tests/it/fetch.rs: it needs no other time limits.
    #[test]
    fn silence_is_a_failure() {
        for said in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n1f"] {
            let folder = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (mirrors, stop) = ([format!("http://{}/", listener.local_addr().unwrap())], AtomicBool::new(false));
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(said.as_bytes()).unwrap();
                thread::sleep(Duration::from_secs(20));
            });
            let timeouts = Timeouts { idle: Duration::from_millis(300), ..TIMEOUTS };
            let mut fetch = Fetch { mirrors: &mirrors, timeouts, stop: &stop, progress: &mut |_| () };
            let error = fetch.files(&FILES, folder.path()).unwrap_err().to_string();
            assert!(error.contains("timeout"), "{error}");
        }
    }

    #[test]
    fn what_stalls_near_its_end_is_asked_for_the_rest() {
        let raw = [&[0, 0, 8, 1, 0, 0, 0, 100][..], &[3; 100]].concat();
        let file = IdxFile { name: "labels", items: Items::Labels, count: 100, sha256: sha256(&raw).leak() };
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mirrors, stop) = ([format!("http://{}/", listener.local_addr().unwrap())], AtomicBool::new(false));
        let asked = thread::spawn(move || {
            let ask = |answer: &[&[u8]]| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let request: Vec<String> = request.take_while(|line| !line.is_empty()).collect();
                answer.iter().for_each(|piece| stream.write_all(piece).unwrap());
                (stream, request.join("\n").to_lowercase())
            };
            // It stays open, and nothing more comes.
            let (_silent, first) = ask(&[b"HTTP/1.1 200 OK\r\nContent-Length: 108\r\n\r\n", &raw[..107]]);
            let rest = b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 107-107/108\r\nContent-Length: 1\r\n\r\n";
            let (_, second) = ask(&[rest, &raw[107..]]);
            [first, second]
        });
        let mut said = Vec::new();
        let timeouts = Timeouts { idle: Duration::from_millis(300), ..TIMEOUTS };
        let progress = &mut |event: Event| said.push(format!("{event:?}"));
        Fetch { mirrors: &mirrors, timeouts, stop: &stop, progress }.files(&[file], folder.path()).unwrap();
        assert!(said.iter().any(|said| said.contains("timeout") && said.contains("107 bytes are here")), "{said:?}");
        let [first, second] = asked.join().unwrap();
        assert!(!first.contains("range:") && second.contains("range: bytes=107-"), "{first} {second}");
    }
}
