//! The shipped program again, so that tests of this package know where it is built.

fn main() -> std::process::ExitCode {
    mimeograph_populator::cli::main()
}
