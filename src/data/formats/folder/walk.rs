//! Which images a folder of classes has, found by listing it: of train and test, or of the folder as a whole; their
//! classes, and their order. Follows symbolic links, but none to a folder above. Knows nothing of what images hold.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
/// Of folders inside a class.
const DEEPEST: usize = 8;
const MOST_ENTRIES: u64 = 20_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub path: PathBuf,
    /// Its number among the classes.
    pub class: usize,
}

#[derive(Debug)]
pub struct Listing {
    /// By name of the file, then of the class, then by path: bytes decide.
    pub train: Vec<Image>,
    pub test: Option<Vec<Image>>,
    /// The folders of both.
    pub train_from: PathBuf,
    pub test_from: Option<PathBuf>,
    pub class_names: Vec<String>,
    pub notes: Vec<String>,
}

/// `None` where no folder inside has images.
///
/// # Errors
/// Where only one class has some, a class of test has none in train, or a folder cannot be listed.
pub fn list(root: &Path) -> Result<Option<Listing>> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut walk = Walk::default();
    let inside = walk.entries(root)?;
    let mut notes = Vec::new();
    let train = walk.split(&inside, TRAIN)?;
    let test = walk.split(&inside, TEST)?;
    let (train, test) = match (train, test) {
        (None, Some(test)) => bail!(
            "{} has {} with classes of images, but no folder train beside it: add train/<class>/…, or name another \
             folder",
            root.display(),
            test.from.display()
        ),
        (None, None) => {
            walk = Walk::default();
            (walk.classes(root)?, None)
        }
        (Some(train), test) => {
            let used = |path: &Path| path == train.from || test.as_ref().is_some_and(|test| test.from == path);
            let left: Vec<_> = inside.iter().filter(|entry| entry.is_dir && !used(&entry.path)).collect();
            if !left.is_empty() {
                let names: Vec<_> = left.iter().take(10).map(|entry| entry.name.to_string_lossy()).collect();
                let more = if left.len() > 10 { ", …" } else { "" };
                notes.push(format!(
                    "neither train nor test with classes of images, and left out: {}{more}",
                    names.join(", ")
                ));
            }
            (train, test)
        }
    };
    let with_images = train.classes.iter().filter(|(_, images)| !images.is_empty()).count();
    if with_images == 0 {
        return Ok(None);
    }
    ensure!(
        with_images > 1,
        "{} has images of only one class, {:?}: two folders with images are the fewest, one a class",
        train.from.display(),
        train.classes.iter().find(|(_, images)| !images.is_empty()).map_or("", |(name, _)| name)
    );
    for (name, _) in train.classes.iter().filter(|(_, images)| images.is_empty()) {
        notes.push(format!("the folder {} has no image and is left out", train.from.join(name).display()));
    }
    let names = train.names();
    let order: HashMap<_, _> = names.iter().enumerate().map(|(class, name)| (name.clone(), class)).collect();
    let (train_from, test_from) = (train.from.clone(), test.as_ref().map(|test| test.from.clone()));
    let test = test.map(|test| test.images(&order)).transpose()?;
    let train = train.images(&order)?;
    for (count, what) in [
        (walk.others, "in folders of classes are no PNG or JPEG by their names and left out"),
        (walk.loose, "are images outside of folders of classes and left out"),
    ] {
        if count > 0 {
            notes.push(format!("files that {what}: {count}"));
        }
    }
    Ok(Some(Listing { train, test, train_from, test_from, class_names: names, notes }))
}

struct Split {
    from: PathBuf,
    classes: Vec<(String, Vec<PathBuf>)>,
}

impl Split {
    /// Of classes with images, in their order: that of numbers where all are some, else of bytes.
    fn names(&self) -> Vec<String> {
        let with_images = self.classes.iter().filter(|(_, images)| !images.is_empty());
        let mut names: Vec<_> = with_images.map(|(name, _)| (name.parse::<i64>(), name.clone())).collect();
        let numbers = names.iter().all(|(number, _)| number.is_ok());
        names.sort_by(|(a_number, a), (b_number, b)| match (a_number, b_number) {
            (Ok(a_number), Ok(b_number)) if numbers => a_number.cmp(b_number).then_with(|| a.cmp(b)),
            _ => a.cmp(b),
        });
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn images(self, order: &HashMap<String, usize>) -> Result<Vec<Image>> {
        let mut all = Vec::with_capacity(self.classes.iter().map(|(_, images)| images.len()).sum());
        for (name, images) in self.classes.into_iter().filter(|(_, images)| !images.is_empty()) {
            let Some(class) = order.get(&name) else {
                bail!(
                    "{} has images of the class {name:?}, and train has none: add some, or take that folder away",
                    self.from.display()
                );
            };
            all.extend(images.into_iter().map(|path| {
                let file = path.file_name().map(OsString::from).unwrap_or_default();
                (file, name.clone(), Image { path, class: *class })
            }));
        }
        all.sort_unstable_by(|(a_file, a_class, a), (b_file, b_class, b)| {
            let files = a_file.as_encoded_bytes().cmp(b_file.as_encoded_bytes());
            files.then_with(|| a_class.cmp(b_class)).then_with(|| a.path.cmp(&b.path))
        });
        Ok(all.into_iter().map(|(.., image)| image).collect())
    }
}

struct Entry {
    name: OsString,
    path: PathBuf,
    is_dir: bool,
}

#[derive(Default)]
struct Walk {
    /// Files in classes that are no images.
    others: u64,
    /// Images in no class.
    loose: u64,
    entries: u64,
}

impl Walk {
    /// The folder of one of these names, in any case, in which folders have images.
    fn split(&mut self, inside: &[Entry], names: [&str; 2]) -> Result<Option<Split>> {
        let mut found: Option<Split> = None;
        for entry in inside.iter().filter(|entry| entry.is_dir) {
            let name = entry.name.to_string_lossy().to_lowercase();
            if !names.contains(&name.as_str()) {
                continue;
            }
            let before = (self.others, self.loose);
            let split = self.classes(&entry.path)?;
            if split.classes.iter().all(|(_, images)| images.is_empty()) {
                (self.others, self.loose) = before;
                continue;
            }
            if let Some(other) = &found {
                bail!(
                    "both {} and {} could be {}: rename or remove one",
                    other.from.display(),
                    split.from.display(),
                    names[0]
                );
            }
            found = Some(split);
        }
        Ok(found)
    }

    fn classes(&mut self, from: &Path) -> Result<Split> {
        let mut classes = Vec::new();
        for entry in self.entries(from)? {
            if !entry.is_dir {
                self.loose += u64::from(is_image(&entry.path));
                continue;
            }
            if let Some(split) = self.split_inside(&entry.path)? {
                bail!(
                    "{} holds classes of its own, and is a data set rather than a class of {}: name {} instead",
                    split.display(),
                    from.display(),
                    entry.path.display()
                );
            }
            let mut images = Vec::new();
            self.images(&entry.path, 1, &mut images)?;
            let name = entry.name.into_string();
            match name {
                Ok(name) => classes.push((name, images)),
                Err(name) if images.is_empty() => drop(name),
                Err(_) => bail!("{} is named in no UTF-8: rename it", entry.path.display()),
            }
        }
        Ok(Split { from: from.to_path_buf(), classes })
    }

    /// A folder that is called like a split and holds folders, in one that would be a class.
    fn split_inside(&mut self, class: &Path) -> Result<Option<PathBuf>> {
        for entry in self.entries(class)? {
            let name = entry.name.to_string_lossy().to_lowercase();
            let is_named = TRAIN.iter().chain(&TEST).any(|split| *split == name);
            if entry.is_dir && is_named && self.entries(&entry.path)?.iter().any(|inner| inner.is_dir) {
                return Ok(Some(entry.path));
            }
        }
        Ok(None)
    }

    fn images(&mut self, folder: &Path, depth: usize, images: &mut Vec<PathBuf>) -> Result<()> {
        ensure!(
            depth <= DEEPEST,
            "{} lies more than {DEEPEST} folders deep in a class: move its images up",
            folder.display()
        );
        for entry in self.entries(folder)? {
            if entry.is_dir {
                self.images(&entry.path, depth + 1, images)?;
            } else if is_image(&entry.path) {
                images.push(entry.path);
            } else {
                self.others += 1;
            }
        }
        Ok(())
    }

    /// Visible files and folders, by name.
    fn entries(&mut self, folder: &Path) -> Result<Vec<Entry>> {
        let unreadable = || format!("{} cannot be listed: make it readable", folder.display());
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            self.entries += 1;
            ensure!(
                self.entries <= MOST_ENTRIES,
                "{} and the folders beside it have more than {MOST_ENTRIES} files: take fewer",
                folder.display()
            );
            let name = entry.file_name();
            if is_hidden(&name.to_string_lossy()) {
                continue;
            }
            let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
            let kind = if kind.is_symlink() {
                let Ok(there) = fs::metadata(&path) else { continue };
                if there.is_dir() && is_above(&path, folder) {
                    continue;
                }
                there.file_type()
            } else {
                kind
            };
            // Pipes and devices are neither: they would keep a reader waiting.
            let is_dir = kind.is_dir();
            if !is_dir && !kind.is_file() {
                continue;
            }
            entries.push(Entry { name, path, is_dir });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// Whether a link leads to the folder it is in, or one above.
fn is_above(link: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(link), fs::canonicalize(folder)) {
        (Ok(there), Ok(here)) => here.starts_with(there),
        _ => true,
    }
}

/// What systems leave in folders.
fn is_hidden(name: &str) -> bool {
    let known = ["thumbs.db", "desktop.ini", "__macosx", "@eadir"];
    name.starts_with('.') || known.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_image(path: &Path) -> bool {
    let known = ["png", "jpg", "jpeg"];
    path.extension().is_some_and(|ending| known.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of train and of test, names of classes, notes.
    type Shown = (Vec<String>, Option<Vec<String>>, String, Vec<String>);

    /// The listing of a folder with these files: paths inside it with class numbers.
    fn listing(files: &[&str]) -> Result<Option<Shown>> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            if file.ends_with('/') {
                fs::create_dir_all(path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let shown = |images: Vec<Image>| {
            let inside = |image: Image| {
                let path = image.path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_string();
                format!("{path}={}", image.class)
            };
            images.into_iter().map(inside).collect::<Vec<_>>()
        };
        let found = list(folder.path())?;
        Ok(found.map(|found| (shown(found.train), found.test.map(shown), found.class_names.join(" "), found.notes)))
    }

    #[test]
    fn layouts() {
        for (files, train, test, names) in [
            (&["cat/a.png", "dog/b.JPG"][..], "cat/a.png=0 dog/b.JPG=1", None, "cat dog"),
            (&["train/b/1.png", "train/a/2.jpeg"], "train/b/1.png=1 train/a/2.jpeg=0", None, "a b"),
            (
                &["Training/a/1.png", "Training/b/1.png", "TESTING/b/9.png"],
                "Training/a/1.png=0 Training/b/1.png=1",
                Some("TESTING/b/9.png=1"),
                "a b",
            ),
            (&["10/b.png", "9/a.png", "2/a.png"], "2/a.png=0 9/a.png=1 10/b.png=2", None, "2 9 10"),
            (&["10/a.png", "9/a.png"], "10/a.png=1 9/a.png=0", None, "9 10"),
            (&["10/a.png", "9/a.png", "x/a.png"], "10/a.png=0 9/a.png=1 x/a.png=2", None, "10 9 x"),
            (&["a/z/1.png", "a/y/1.png", "b/0.png"], "b/0.png=1 a/y/1.png=0 a/z/1.png=0", None, "a b"),
            (&["car/1.png", "train/2.png"], "car/1.png=0 train/2.png=1", None, "car train"),
            (
                &["a/.x.png", "a/._1.png", "a/1.png", "b/2.png", "__MACOSX/a/1.png", "@eaDir/1.png"],
                "a/1.png=0 b/2.png=1",
                None,
                "a b",
            ),
        ] {
            let found = listing(files).unwrap().unwrap();
            assert_eq!(found.0.join(" "), train);
            assert_eq!(found.1.map(|test| test.join(" ")).as_deref(), test);
            assert_eq!((&found.2[..], found.3.len()), (names, 0), "{:?}", found.3);
        }
    }

    #[test]
    fn what_is_none() {
        for files in [&[][..], &["a.png", "b.png"], &["a/x.txt", "b/"], &["train/1.png"], &[".a/1.png", ".b/1.png"]] {
            let found = listing(files);
            let none = matches!(found, Ok(None)) || files == ["train/1.png"] && found.is_err();
            assert!(none, "{files:?}");
        }
        assert!(list(Path::new("/nowhere")).unwrap().is_none());
        assert!(list(Path::new("/etc/passwd")).unwrap().is_none());
    }

    #[test]
    fn notes() {
        for (files, expected) in [
            (&["train/a/1.png", "train/b/1.png", "val/a/1.png", "docs/x"][..], "left out: docs, val"),
            (&["train/a/1.png", "train/b/1.png", "test/1.png"], "left out: test"),
            (&["a/1.png", "b/1.png", "b/1.gif", "a/c/x.txt", "a/Thumbs.db", "a/desktop.ini"], "left out: 2"),
            (&["a/1.png", "b/1.png", "c.png", "README"], "outside of folders of classes and left out: 1"),
            (&["a/1.png", "b/1.png", "c/"], "/c has no image and is left out"),
        ] {
            let notes = listing(files).unwrap().unwrap().3;
            assert!(notes.len() == 1 && notes[0].ends_with(expected), "{files:?}: {notes:?}");
        }
    }

    #[test]
    fn refusals() {
        let deep = format!("a/{}1.png", "x/".repeat(8));
        for (files, expected) in [
            (&["a/1.png", "b/1.gif"][..], "has images of only one class, \"a\""),
            (&["train/a/1.png", "test/a/1.png"], "has images of only one class, \"a\""),
            (&["train/a/1.png", "train/b/1.png", "test/c/1.png"], "images of the class \"c\", and train has none"),
            (&["train/a/1.png", "Train/b/1.png"], "could be train"),
            (&["test/a/1.png", "test/b/1.png"], "but no folder train beside it"),
            (&["one/train/a/1.png", "one/train/b/1.png", "two/1.png"], "a data set rather than a class"),
            (&["train/one/Test/a/1.png", "train/two/1.png"], "one/Test holds classes of its own"),
            (&["b/1.png", &deep], "more than 8 folders deep"),
        ] {
            let error = listing(files).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{files:?}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_up() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for class in ["a", "b"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            fs::write(folder.path().join(class).join("1.png"), b"").unwrap();
        }
        fs::write(other.path().join("2.png"), b"").unwrap();
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        link(folder.path(), "a/up");
        link(&folder.path().join("a"), "a/self");
        link(other.path(), "c");
        link(Path::new("/nowhere"), "a/broken.png");
        link(&other.path().join("2.png"), "a/3.png");
        let found = list(folder.path()).unwrap().unwrap();
        assert_eq!((found.train.len(), found.class_names.join(" ")), (4, "a b c".to_string()));
    }
}
