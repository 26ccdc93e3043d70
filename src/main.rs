//! The `hw1` binary; everything is in the library.

fn main() -> std::process::ExitCode {
    hw1::run()
}
