//! libFuzzer around [`postern_fuzz::targets::kafka_session`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz::targets::kafka_session(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    postern_fuzz::exercise_for_seconds("kafka_session")
}
