//! The image: what is in it, and that Tally runs from it as the manifests say. `make image-test` builds the static programs and runs these;
//! the release build takes minutes, so `make test` doesn't.

use std::collections::BTreeMap;
use std::fs;
use std::future::ready;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::{StreamExt, stream};
use serde_json::Value;
use system_tests::client::{RustClient, TallyClient};
use system_tests::health::{READINESS, is_serving};
use system_tests::{eventually, root, target_dir};

use super::rendered::{overlay, text};
use super::started::{Programs, Started};

/// The folder of the static programs.
const PROGRAMS_VARIABLE: &str = "TALLY_IMAGE_PROGRAMS";
const PROGRAMS: [&str; 3] = ["command-service", "projector", "query-service"];
/// Bytes of all three programs.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Commands, and as many queries, from which memory and processor time are measured.
const CALLS: usize = 20_000;
const IN_FLIGHT: usize = 256;

/// An image with a container from it, in a storage of its own, gone when dropped.
struct Image {
    storage: PathBuf,
    configuration: Value,
    root: PathBuf,
}

impl Image {
    fn build() -> Self {
        let programs = std::env::var(PROGRAMS_VARIABLE).expect("`make image-test` says where the programs are");
        let storage = target_dir().join("image-test").join(uuid::Uuid::new_v4().simple().to_string());
        let mut image = Self { storage, configuration: Value::Null, root: PathBuf::new() };
        let dockerfile = root().join("deploy/Dockerfile");
        let context = format!("programs={programs}");
        image.buildah(&[
            "build",
            "--build-context",
            &context,
            "--target=image",
            "--build-arg=VERSION=1.2.3",
            "--build-arg=REVISION=abc",
            "--file",
            dockerfile.to_str().unwrap(),
            "--tag=localhost/tally:test",
            root().to_str().unwrap(),
        ]);
        let inspected: Value = serde_json::from_str(&image.buildah(&["inspect", "localhost/tally:test"])).unwrap();
        image.configuration = inspected["OCIv1"]["config"].clone();
        let container = image.buildah(&["from", "localhost/tally:test"]);
        image.root = image.buildah(&["mount", container.trim()]).trim().into();
        image
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        let storage = |name: &str| self.storage.join(name).display().to_string();
        let mut command = Command::new("buildah");
        // vfs and chroot work everywhere, in a container, too.
        command.args(["--storage-driver=vfs", "--root", &storage("root"), "--runroot", &storage("run")]);
        let output = command.args(arguments).env("BUILDAH_ISOLATION", "chroot").output().expect("there is a buildah");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// All files: their paths and sizes.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path().strip_prefix(&self.root).unwrap().to_owned();
                    files.insert(path, entry.metadata().unwrap().len());
                }
            }
        }
        files
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.buildah(&["umount", "--all"]);
        let _ = fs::remove_dir_all(&self.storage);
    }
}

/// Peak memory of a process, in bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Processor time that a process has used, in milliseconds.
fn processor_ms(pid: u32) -> u64 {
    const MS_PER_TICK: u64 = 10;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = after_name[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks * MS_PER_TICK
}

/// A quantity such as `96Mi`.
fn bytes(quantity: &Value) -> u64 {
    let mebibytes: u64 = text(quantity).strip_suffix("Mi").expect("in Mi").parse().unwrap();
    mebibytes * 1024 * 1024
}

/// The Dockerfile keeps some files in the place of the code, so that cargo finds what the manifests name.
#[test]
fn the_dockerfile_keeps_every_file_that_a_manifest_names() {
    let dockerfile = fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let kept = |member: &str, path: &str| {
        matches!(path, "src/lib.rs" | "src/main.rs" | "build.rs")
            || dockerfile.contains(&format!("! -path ./{member}/{path}"))
    };
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = workspace.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let mut named = 0;
    for member in members.split(',').map(|member| member.trim().trim_matches('"')).filter(|member| !member.is_empty()) {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = ")).map(|path| path.trim_matches('"'));
        for path in paths {
            assert!(kept(member, path), "{member}/{path}");
            named += 1;
        }
    }
    assert!(named > 0);
}

#[test]
#[ignore = "takes a release build: make image-test"]
fn the_image_is_three_programs_for_nobody_and_nothing_else() {
    let image = Image::build();
    let expected: Vec<PathBuf> = PROGRAMS.iter().map(|program| Path::new("usr/local/bin").join(program)).collect();
    let files = image.files();
    assert_eq!(files.keys().cloned().collect::<Vec<_>>(), expected, "no shell, no library");
    for file in &expected {
        assert_eq!(fs::metadata(image.root.join(file)).unwrap().permissions().mode() & 0o7777, 0o555);
    }
    assert!(files.values().sum::<u64>() < BYTES_MAX, "{files:?}");

    assert_eq!(image.configuration["User"], "65532:65532");
    let labels = &image.configuration["Labels"];
    let label = |name: &str| text(&labels[format!("org.opencontainers.image.{name}")]);
    assert_eq!((label("title"), label("licenses")), ("Tally", "Apache-2.0"));
    assert_eq!((label("version"), label("revision")), ("1.2.3", "abc"));
    assert!(!label("description").is_empty());
}

#[tokio::test]
#[ignore = "takes a release build: make image-test"]
#[allow(clippy::print_stderr, reason = "the measured figures are this test's output")]
async fn tally_runs_from_the_image_on_a_read_only_root_within_the_memory_that_it_requests() {
    let overlay = overlay("dev").expect("there is a kubectl");
    let image = Image::build();
    let before = image.files();
    let user = text(&image.configuration["User"]).to_owned();
    let started = Started::new(overlay, Programs::Image { root: image.root.clone(), user }).await;
    for (_, process) in &started.processes {
        eventually(process.name(), async || is_serving(process, READINESS).await.then_some(())).await;
        let status = fs::read_to_string(format!("/proc/{}/status", process.process().pid())).unwrap();
        assert!(status.contains("\nUid:\t65532\t65532\t65532\t65532\n"), "{status}");
    }

    let client =
        RustClient::new(started.process("command-service").address(), started.process("query-service").address());
    client.create_batch("b1", "LAMP", 1_000_000, None).await.unwrap();
    let commands = stream::iter(0..CALLS).map(|order| {
        let client = client.clone();
        async move { client.allocate(&format!("o{order}"), "LAMP", 1).await.unwrap() }
    });
    let last = commands.buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await.pop().unwrap();
    let queries = stream::iter(0..CALLS).map(|order| {
        let (client, seen) = (client.clone(), last.seen());
        async move { client.get_allocations(&format!("o{order}"), &seen).await.unwrap().freshness }
    });
    let stale = queries.buffer_unordered(IN_FLIGHT).filter(|freshness| ready(freshness.may_be_stale)).count().await;
    assert_eq!(stale, 0);

    for (deployment, process) in &started.processes {
        let pid = process.process().pid();
        let (peak, per_call) = (peak_memory(pid), processor_ms(pid) * 1_000 / CALLS as u64);
        eprintln!("{}: {} MiB at the most, {per_call} µs of a processor for each call", deployment.name(), peak >> 20);
        let requested = bytes(&deployment.container()["resources"]["requests"]["memory"]);
        assert!(peak < requested, "{}: {peak} of {requested}", deployment.name());
        assert!(process.stop().await.success(), "{}", process.name());
    }
    assert_eq!(image.files(), before, "nothing is written");
}
