//! The `wxgate` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    wxgate::cli::main()
}
