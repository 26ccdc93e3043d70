//! The `hw1` binary; everything is in the library.

fn main() -> std::process::ExitCode {
    // SAFETY: first and only call; no other thread was started.
    unsafe { hw1::run() }
}
