//! libFuzzer around [`postern_fuzz::targets::sign_in_flow`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postern_fuzz::targets::sign_in_flow(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    postern_fuzz::exercise_for_seconds("sign_in_flow")
}
