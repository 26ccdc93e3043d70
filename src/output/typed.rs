//! Words of a command as they are typed: what a shell takes for itself is quoted, and what a terminal or a reader of
//! one line would take otherwise (a line's end, bytes that are no UTF-8) is written in letters.

use crate::terminal::{plain, shell_word};
use std::ffi::OsStr;

/// A word for a shell. Odd ones are written as `$'…'`, which bash, zsh and ksh know.
pub fn typed(word: &OsStr) -> String {
    if let Some(text) = word.to_str().filter(|text| plain(text) == **text) {
        return shell_word(text);
    }
    let mut quoted = String::from("$'");
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    for chunk in word.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                c if plain(&c.to_string()) == c.to_string() => quoted.push(c),
                c => quoted.push_str(&bytes(c.to_string().as_bytes())),
            }
        }
        quoted.push_str(&bytes(chunk.invalid()));
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for (word, shown) in [
            (&b"runs/report"[..], "runs/report"),
            (b"a b", "'a b'"),
            (b"it's", r"'it'\''s'"),
            (b"two\nlines", r"$'two\nlines'"),
            (b"it's\ttwo\\", r"$'it\'s\ttwo\\'"),
            (b"\x1b[31m", r"$'\x1b[31m'"),
            (b"\xff\xc3\xa9", r"$'\xffé'"),
            ("\u{202e}gnp".as_bytes(), r"$'\xe2\x80\xaegnp'"),
        ] {
            #[cfg(unix)]
            {
                use std::os::unix::ffi::OsStrExt as _;
                assert_eq!(typed(OsStr::from_bytes(word)), shown);
                // Where a bash is at hand, it agrees.
                let line = format!("printf %s {shown}");
                if let Ok(said) = std::process::Command::new("bash").args(["-c", &line]).output() {
                    assert_eq!(said.stdout, word, "{shown}");
                }
            }
        }
    }
}
