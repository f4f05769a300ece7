fn main() -> std::process::ExitCode {
    mimeograph_bundler::cli::main()
}
