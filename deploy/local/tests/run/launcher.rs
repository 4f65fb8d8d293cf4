use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tally_servers::unique_log_name;

const WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// A running `tally-local run`, killed when dropped; then what it started goes with it.
pub(crate) struct Launcher {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Launcher {
    /// Starts it on free ports, with its data in `scratch`.
    pub(crate) fn start(scratch: &Scratch, env: &[(&str, &str)]) -> Launcher {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally-local"));
        command.arg("run").env_remove("DATABASE_URL").env_remove("REDIS_URL").env_remove("TALLY_LOG");
        for listen in ["COMMAND_LISTEN", "QUERY_LISTEN", "PROJECTOR_LISTEN"] {
            command.env(listen, "127.0.0.1:0");
        }
        command.env("TALLY_PROGRAMS", programs());
        command.env("TALLY_DATA", &scratch.0).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            read_lines(child.stdout.take().unwrap(), Arc::clone(&output)),
            read_lines(child.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        Launcher { child, output, readers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Waits until a line begins with this.
    pub(crate) fn wait_for(&self, start: &str) {
        let began = Instant::now();
        while !self.output().iter().any(|line| line.starts_with(start)) {
            assert!(began.elapsed() < WITHIN, "no line {start:?} in {:#?}", self.output());
            thread::sleep(POLL);
        }
    }

    /// Waits for the banner and returns it.
    pub(crate) fn wait_for_banner(&self) -> Vec<String> {
        self.wait_for("Tally runs.");
        // The last line of it.
        until("the banner is whole", || {
            self.output().iter().rev().take(2).any(|line| line.ends_with(" rebuild stock)")) || self.has_ended()
        });
        self.output()
    }

    fn has_ended(&self) -> bool {
        self.readers.iter().all(thread::JoinHandle::is_finished)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and returns its exit status; -1 for a signal.
    pub(crate) fn ended(&mut self) -> i32 {
        until("the launcher has ended", || self.child.try_wait().unwrap().is_some());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the launcher said:\n{}", self.output().join("\n"));
        }
    }
}

/// The folder of the services: the one that `make test` names, else what cargo has built.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("TALLY_TEST_BINARIES") {
        Some(folder) => folder.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut cargo = Command::new(cargo);
    cargo.current_dir(root).args(["build", "--quiet", "--workspace", "--bins"]);
    // Build scripts (ring's) take what cargo sets for a test for a change, and compile half of the dependencies once more.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH").env_remove("OUT_DIR");
    assert!(cargo.status().unwrap().success(), "the services don't build");
    Path::new(env!("CARGO_BIN_EXE_tally-local")).parent().unwrap().to_owned()
}

fn read_lines(from: impl Read + Send + 'static, to: Arc<Mutex<Vec<String>>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            to.lock().unwrap().push(line);
        }
    })
}

/// Waits for a condition, with a deadline.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        thread::sleep(POLL);
    }
}

/// Pastes a line into a shell: what it printed, or what it said in failing.
pub(crate) fn call(line: &str) -> Result<String, String> {
    let out = Command::new("sh").args(["-c", line]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stdout) + &text(&out.stderr)) }
}

/// Pastes a line until its answer is right: a read model is a moment behind.
pub(crate) fn until_ok(line: &str, right: impl Fn(&str) -> bool) -> String {
    let mut answer = call(line);
    until(&format!("the right answer to {line}"), || {
        answer = call(line);
        answer.as_ref().is_ok_and(|answer| right(answer))
    });
    answer.unwrap()
}

/// A process that a launcher started.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

impl Process {
    pub(crate) fn kill(&self) {
        kill_process(Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    }
}

/// The services and servers of the launcher whose data is in `scratch`: whoever has that variable, or works in that folder (Redis overwrites
/// its variables with its title), apart from shells, the launcher itself and Postgres's own children.
pub(crate) fn processes_of(scratch: &Scratch) -> Vec<Process> {
    let wanted = format!("TALLY_DATA={}", scratch.0.display());
    let own = ["command-service", "projector", "query-service", "postgres", "redis-server", "valkey-server"];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let environ = read("environ");
        let has_variable = environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        let is_ours =
            has_variable || fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&scratch.0));
        let name = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        let Some(name) = name.file_name().and_then(|name| name.to_str()).map(ToOwned::to_owned) else { continue };
        let name = if name == "redis-check-rdb" { "redis-server".to_owned() } else { name };
        let is_backend = name == "postgres" && !String::from_utf8_lossy(&read("cmdline")).contains("-D\0");
        if is_ours && own.contains(&name.as_str()) && !is_backend {
            found.push(Process { pid, name });
        }
    }
    found
}

/// A folder that the servers' user can reach, removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        let path = std::env::temp_dir().join(unique_log_name());
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The servers of a killed launcher stop by themselves, and their folder can be removed then.
        until("the folder is free", || fs::remove_dir_all(&self.0).is_ok());
    }
}
