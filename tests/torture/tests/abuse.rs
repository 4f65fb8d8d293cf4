//! Whoever abuses connections, good clients are served. How fast is for a quiet machine and a release: `torture abuse`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are worth knowing")]

use std::process::Command;

use system_tests::binary;

#[test]
fn no_call_of_a_good_client_fails_whoever_abuses_connections() {
    let programs = binary("command-service").parent().unwrap().to_owned();
    let mut torture = Command::new(env!("CARGO_BIN_EXE_torture"));
    torture
        .args(["abuse", "--seconds", "2", "--rounds", "1", "--p99-ratio-max", "inf"])
        .env("TALLY_TEST_BINARIES", programs);
    let output = torture.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success());
}
