//! The kit on the real processes: what is planted it finds, and what is not it doesn't; every fault of the world is survived.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was found, and how soon, is worth knowing")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use system_tests::{root, target_dir};
use torture::{Fault, Planted};

/// Within which a planted fault must be found: of load and faults, so that a busy machine, which starts and ends processes slower, finds it too.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// How long one try to find it runs, its start and end aside.
const TRY_SECONDS: u64 = 5;
const SEED: u64 = 1;
/// The programs under test.
const PROGRAMS: [&str; 3] = ["command-service", "projector", "query-service"];

/// The programs with the planted faults in them: built beside the others, and put where nobody takes them for those.
static PLANTED_PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = target_dir().join("planted");
    std::fs::create_dir_all(&folder).unwrap();
    let features = PROGRAMS.map(|program| format!("{program}/planted-faults"));
    build(&["--features", &features.join(",")]);
    for program in PROGRAMS {
        // Removed first: a program that runs can't be written to.
        let _ = std::fs::remove_file(folder.join(program));
        std::fs::copy(target_dir().join("debug").join(program), folder.join(program)).unwrap();
    }
    // What the others are, again.
    build(&[]);
    folder
});

/// With a test, so that every dependency has the features that it has for tests, and isn't compiled again.
fn build(features: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["build", "--quiet", "--test", "kit"]).args(features);
    for program in PROGRAMS {
        cargo.args(["--bin", program]);
    }
    assert!(cargo.status().unwrap().success(), "the programs don't build");
}

fn torture(programs: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.args(arguments).args(["--sessions", "12"]).env("TALLY_TEST_BINARIES", programs);
    command.output().unwrap()
}

fn names(faults: &[Fault]) -> String {
    let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Tries with one seed after the other until the fault is found.
fn finds(planted: Planted) -> (Duration, String) {
    let (faults, seconds) = (names(&planted.shows_under()), planted.seconds(TRY_SECONDS));
    let mut ran = Duration::ZERO;
    for seed in SEED.. {
        ran += Duration::from_secs(seconds);
        let (seed, seconds) = (seed.to_string(), seconds.to_string());
        let arguments = ["--planted", planted.name(), "--duration", &seconds, "--seed", &seed, "--faults", &faults];
        let output = torture(&PLANTED_PROGRAMS, &[&arguments[..], &PACE].concat());
        let said = said(&output);
        match output.status.code() {
            Some(1) => {
                let first = said.lines().find(|line| line.starts_with("VIOLATION")).unwrap_or_default();
                return (ran, first.to_owned());
            }
            Some(0) => assert!(ran < FOUND_WITHIN, "{} is not found:\n{said}", planted.name()),
            _ => panic!("{}: no verdict:\n{said}", planted.name()),
        }
    }
    unreachable!("a loop without end")
}

/// Short faults, soon after each other, and no long wait for what never comes.
const PACE: [&str; 8] =
    ["--fault-gap-ms-max", "1500", "--fault-hold-ms-max", "1000", "--settle-secs-max", "5", "--catch-up-secs-max", "8"];

#[test]
fn every_planted_fault_is_found_within_a_minute() {
    let programs = &*PLANTED_PROGRAMS;
    assert!(Planted::ALL.len() >= 12);
    for planted in Planted::ALL {
        let (began, (ran, how)) = (Instant::now(), finds(planted));
        let first = how.chars().take(160).collect::<String>();
        println!("{} found within {ran:?}, {:.1?} on the wall: {first}", planted.name(), began.elapsed());
    }
    // The same programs, seed and faults with nothing planted: so what was found was the planted fault.
    let mut faults: Vec<Fault> = Planted::ALL.into_iter().flat_map(Planted::shows_under).collect();
    faults.sort_unstable();
    faults.dedup();
    let arguments = ["--duration", "25", "--seed", "1", "--faults", &names(&faults)];
    let output = torture(programs, &[&arguments[..], &PACE].concat());
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_fault_of_the_world_is_survived() {
    let arguments = ["--duration", "130", "--seed", "7", "--fault-gap-ms-max", "5000", "--fault-hold-ms-max", "1500"];
    let schedule = said(&torture(Path::new("/"), &[&arguments[..], &["--schedule-only"]].concat()));
    for fault in Fault::ALL {
        assert!(schedule.contains(&format!("  {} for ", fault.name())), "{} has no place:\n{schedule}", fault.name());
    }
    let output = torture(&programs(), &arguments);
    let said = said(&output);
    println!("{said}");
    assert!(output.status.success());
}

/// The programs of this build.
fn programs() -> PathBuf {
    system_tests::binary(PROGRAMS[0]).parent().unwrap().to_owned()
}

#[test]
fn a_seed_gives_its_schedule_again_and_nothing_is_started_for_it() {
    let schedule =
        |seed: &str| said(&torture(Path::new("/"), &["--schedule-only", "--seed", seed, "--duration", "10m"]));
    assert_eq!(schedule("7"), schedule("7"));
    assert_ne!(schedule("7"), schedule("8"));
    assert!(schedule("7").lines().count() > 100);
}
