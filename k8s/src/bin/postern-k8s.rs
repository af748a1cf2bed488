//! `postern-k8s`: the command.

fn main() -> std::process::ExitCode {
    k8s::cli::main()
}
