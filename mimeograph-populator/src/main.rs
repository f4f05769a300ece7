fn main() -> std::process::ExitCode {
    mimeograph_populator::cli::main()
}
