//! Files in a set's folder that `hw1 data fetch` did not write: they are never written over.

use crate::common::{Dir, Ran};
use hw1::data::fetch::fetch;
use hw1::data::sent::Archive;
use md5::Digest as _;
use std::fs;
use std::sync::atomic::AtomicBool;

const IMAGES: &str = "train-images-idx3-ubyte";

/// `hw1 data fetch` of a mirror that is asked nothing: who answered would be told of, for this one nobody can ask.
fn fetch_into(dir: &Dir, arguments: &[&str]) -> Ran {
    dir.run(&[&["data", "fetch", "--data-dir", "d", "--mirror", "http://192.0.2.1/"], arguments].concat())
}

#[test]
fn a_foreign_file_is_refused_by_name_and_set_aside_when_asked() {
    for name in [IMAGES, "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte"] {
        let dir = Dir::new();
        fs::create_dir(dir.path().join("d")).unwrap();
        let path = dir.path().join("d").join(name);
        fs::write(&path, "my own notes").unwrap();
        fetch_into(&dir, &[]).fails(1, &["hw1 replaces no file that is not its own", name, "--set-aside"]);
        assert_eq!(fs::read(&path).unwrap(), b"my own notes");
        // Nobody can be asked, but the name is free.
        let ran = fetch_into(&dir, &["--set-aside"]);
        ran.fails(1, &["cannot download", "only https is asked"]);
        assert!(ran.stderr().contains(&format!("d/{name} is now d/{name}.set-aside-1\n")), "{}", ran.stderr());
        assert!(!path.exists());
        assert_eq!(fs::read(dir.path().join(format!("d/{name}.set-aside-1"))).unwrap(), b"my own notes");
        // The name of one that was set aside earlier is taken.
        fs::write(&path, "other notes").unwrap();
        fetch_into(&dir, &["--set-aside"]).fails(1, &["cannot download"]);
        assert_eq!(fs::read(dir.path().join(format!("d/{name}.set-aside-2"))).unwrap(), b"other notes");
    }
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_refused_too() {
    let make: [&dyn Fn(&std::path::Path); 2] =
        [&|path| fs::create_dir(path).unwrap(), &|path| std::os::unix::fs::symlink("nowhere", path).unwrap()];
    for make in make {
        let dir = Dir::new();
        fs::create_dir(dir.path().join("d")).unwrap();
        let path = dir.path().join("d").join(IMAGES);
        make(&path);
        fetch_into(&dir, &[]).fails(1, &[&format!("d/{IMAGES} is no file"), "--data-dir"]);
        assert!(path.symlink_metadata().is_ok());
        fetch_into(&dir, &["--set-aside"]).fails(1, &["cannot download"]);
        assert!(dir.path().join(format!("d/{IMAGES}.set-aside-1")).symlink_metadata().is_ok());
    }
}

#[test]
fn what_an_archive_holds_replaces_no_other_file() {
    let files = &[("one.bin", 3), ("two.bin", 3)];
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [("one.bin", &[1u8, 2, 3]), ("two.bin", &[4, 5, 6])] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let sent = crate::common::tiny::gzip(&archive.into_inner().unwrap());
    let digest: String = md5::Md5::digest(&sent).iter().map(|byte| format!("{byte:02x}")).collect();
    let archive = Archive { name: "set.tar.gz", of: "CIFAR-10", md5: digest.leak(), limit: 1 << 20, files };
    let mirror = crate::network::serve(None, move |_, stream| crate::network::reply(stream, "200 OK", &sent));
    let folder = tempfile::tempdir().unwrap();
    let own = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let fetch = || {
        let (mirrors, stop) = ([mirror.url.clone()], AtomicBool::new(false));
        fetch(std::slice::from_ref(&archive), folder.path(), &mirrors, &stop, &mut |_| ())
    };
    // As long as the set's, which is all that is known of it before the archive is there.
    own("one.bin", &[9, 9, 9]);
    let error = fetch().unwrap_err().to_string();
    assert!(error.contains("one.bin stands there with other contents"), "{error}");
    assert_eq!(fs::read(folder.path().join("one.bin")).unwrap(), [9, 9, 9]);
    assert!(!folder.path().join("two.bin").exists());
    own("one.bin", &[1, 2, 3]);
    own("hw1-pinned.json", b"not hw1's");
    let error = fetch().unwrap_err().to_string();
    assert!(error.contains("hw1-pinned.json was not written by hw1"), "{error}");
    fs::remove_file(folder.path().join("hw1-pinned.json")).unwrap();
    fetch().unwrap();
    assert_eq!(fs::read(folder.path().join("two.bin")).unwrap(), [4, 5, 6]);
}
