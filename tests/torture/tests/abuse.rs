//! Whoever abuses connections, good clients are served as in peace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are worth knowing")]

use std::process::Command;

use system_tests::binary;

#[test]
fn good_clients_are_served_as_in_peace_whoever_abuses_connections() {
    let programs = binary("command-service").parent().unwrap().to_owned();
    let mut torture = Command::new(env!("CARGO_BIN_EXE_torture"));
    torture.args(["abuse", "--seconds", "2", "--rounds", "3"]).env("TALLY_TEST_BINARIES", programs);
    let output = torture.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success());
}
