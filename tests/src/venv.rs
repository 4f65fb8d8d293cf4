//! The other clients' programs: a Python environment with grpcio, the real grpcurl and buf.
//!
//! `make test` has made it by then. Where it hasn't, the first test that needs it does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::{root, target_dir};

/// Shows that all of it is there.
const CHECK: &str = "import grpc, grpc_status, grpc_tools, google.rpc.error_details_pb2";

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

    /// The Python stubs made from proto/.
    pub fn stubs(&self) -> &Path {
        &self.stubs
    }

    fn is_complete(&self) -> bool {
        let works = Command::new(self.program("python")).args(["-c", CHECK]).output();
        works.is_ok_and(|output| output.status.success())
            && self.program("grpcurl").exists()
            && self.program("buf").exists()
    }

    fn install(&self) -> Result<()> {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.folder))?;
        let requirements = root().join("tests/clients/requirements.txt");
        run(Command::new(self.program("python"))
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements))
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
    if !venv.is_complete() {
        venv.install()?;
        ensure!(venv.is_complete(), "packages are missing after their installation");
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
