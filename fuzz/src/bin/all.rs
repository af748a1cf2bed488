//! Every target, each for `SECONDS`.

fn main() -> std::process::ExitCode {
    postern_fuzz::exercise_for_seconds("all")
}
