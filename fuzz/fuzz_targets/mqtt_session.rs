//! libFuzzer around [`postern_fuzz::targets::mqtt_session`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz::targets::mqtt_session(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    postern_fuzz::exercise_for_seconds("mqtt_session")
}
