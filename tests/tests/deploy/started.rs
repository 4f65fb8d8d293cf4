//! Tally as the manifests start it: their commands, arguments and variables, the users of roles.sql and users.acl, on a private Postgres and Redis.

use std::path::PathBuf;

use system_tests::{Launch, Service, binary, root, target_dir};
use tally_servers::{Postgres, Redis, find};
use tokio::process::Command;

use super::rendered::{Overlay, Variable, Workload, list, text};
use super::users;

/// The port on which the manifests' processes listen belongs to whoever runs the tests.
const FREE_PORT: &str = "127.0.0.1:0";
/// The stores, as the Secrets call them.
const POSTGRES: &str = "@postgres:5432/";
const REDIS: &str = "@redis:6379/";

/// Makes the image's root read-only for its own mount namespace alone, with the devices that every container has, and becomes the program in it, as
/// the image's user.
const IN_IMAGE: &str = r#"
    mkdir -p "$1/dev"
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
    mount --rbind /dev "$1/dev"
    exec chroot --userspec="$2" --groups= "$1" "$3" "$4"
"#;

/// Where the programs are.
pub(super) enum Programs {
    /// Built from this tree, beside the tests.
    Built,
    /// In an image, whose root is this folder, and which names this user.
    Image { root: PathBuf, user: String },
}

/// The processes, and what they run on.
pub(super) struct Started {
    pub(super) processes: Vec<(Workload<'static>, Service)>,
    pub(super) postgres: Postgres,
    pub(super) redis: Redis,
    overlay: &'static Overlay,
    programs: Programs,
    folder: PathBuf,
}

impl Started {
    /// Makes the users of both stores, migrates, and starts every Deployment of the overlay, which holds its Secrets itself.
    pub(super) async fn new(overlay: &'static Overlay, programs: Programs) -> Self {
        let mut started = Self::with_stores(overlay, programs).await;
        assert!(started.migrates().await);
        started.start_services().await;
        started
    }

    /// The stores with their users, and nothing in them.
    pub(super) async fn with_stores(overlay: &'static Overlay, programs: Programs) -> Self {
        let (postgres, redis) = tokio::try_join!(Postgres::temporary(), Redis::temporary()).unwrap();
        postgres.create_database("tally").await.unwrap();
        let folder = target_dir().join("system-tests").join(format!("started-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let started = Self { processes: Vec::new(), postgres, redis, overlay, programs, folder };
        started.make_users().await;
        let passwords = users::of_tests().map(|(variable, _)| (variable, started.password("redis", variable)));
        users::make_users(&started.redis, passwords, "main").await;
        started
    }

    /// Starts every Deployment.
    pub(super) async fn start_services(&mut self) {
        for deployment in self.overlay.ours().into_iter().filter(Workload::is_deployment) {
            let service = self.start(deployment).await;
            self.processes.push((deployment, service));
        }
    }

    /// The process of a Deployment.
    pub(super) fn process(&self, name: &str) -> &Service {
        &self.processes.iter().find(|(workload, _)| workload.name() == name).unwrap().1
    }

    /// The URL by which a workload of this overlay knows its Postgres, as it is reached here.
    pub(super) fn database_url(&self, workload: &str) -> String {
        let workload = self.overlay.ours().into_iter().find(|ours| ours.name().starts_with(workload)).unwrap();
        let variables = self.variables(&workload);
        variables.into_iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1
    }

    /// The password of a user, of which the container of a store is told.
    fn password(&self, store: &str, variable: &str) -> String {
        let store = self.overlay.find("Deployment", store).unwrap();
        let secret = &store["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"];
        let password = self.overlay.secret(text(secret), variable);
        password.unwrap_or_else(|| panic!("there is a password {variable}"))
    }

    /// roles.sql, as Postgres's image runs it: by psql, with the passwords of a Secret as variables.
    async fn make_users(&self) {
        let password = |user: &str| {
            let variable = format!("TALLY_{user}_PASSWORD");
            (variable.clone(), self.password("postgres", &variable))
        };
        let output = Command::new(psql())
            .args(["--no-psqlrc", "--no-password", "--file"])
            .arg(root().join("deploy/postgres/roles.sql"))
            .arg(self.postgres.url("tally"))
            .envs(["OWNER", "APPEND", "TAIL", "READ"].map(password))
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs the Job, and returns whether it did well.
    #[allow(clippy::print_stderr, reason = "this is a test's output")]
    pub(super) async fn migrates(&self) -> bool {
        let mut jobs = self.overlay.ours().into_iter().filter(|workload| !workload.is_deployment());
        let job = jobs.next().unwrap();
        assert!(jobs.next().is_none(), "there is one Job");
        let (program, arguments) = self.command(&job);
        let variables = self.variables(&job);
        // Of an absolute path this leaves that path.
        let output = Command::new(binary(program)).args(arguments).envs(variables).output().await.unwrap();
        eprintln!("{}: {}", job.name(), String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    async fn start(&self, deployment: Workload<'static>) -> Service {
        let (program, arguments) = self.command(&deployment);
        let launch = Launch { program, arguments, environment: self.variables(&deployment) };
        let log = self.folder.join(deployment.name()).with_extension("log");
        Service::start(launch, log).await.unwrap_or_else(|error| panic!("{}: {error:#}", deployment.name()))
    }

    /// What its container runs.
    fn command(&self, workload: &Workload<'static>) -> (&'static str, Vec<String>) {
        let container = workload.container();
        let [program, action] = ["command", "args"].map(|field| {
            let [word] = list(&container[field]).collect::<Vec<_>>()[..] else { panic!("{container}: one {field}") };
            text(word)
        });
        match &self.programs {
            Programs::Built => (program, vec![action.to_owned()]),
            Programs::Image { root, user } => {
                let program = format!("/usr/local/bin/{program}");
                let shell = ["--mount", "--propagation", "private", "sh", "-ec", IN_IMAGE, "sh"].map(str::to_owned);
                let arguments = [root.display().to_string(), user.clone(), program, action.to_owned()];
                ("/usr/bin/unshare", shell.into_iter().chain(arguments).collect())
            }
        }
    }

    /// Its variables, with the addresses that things have here.
    fn variables(&self, workload: &Workload<'static>) -> Vec<(&'static str, String)> {
        let variables = workload.variables().into_iter().map(|(name, value)| {
            let value = match value {
                Variable::Text(_) if name.ends_with("_LISTEN") => FREE_PORT.to_owned(),
                Variable::Text(text) => text,
                Variable::Secret { name, key } => {
                    let secret = self.overlay.secret(&name, &key);
                    self.reached_here(&secret.unwrap_or_else(|| panic!("there is a Secret {name} with {key}")))
                }
            };
            (&*name.leak(), value)
        });
        variables.collect()
    }

    fn reached_here(&self, url: &str) -> String {
        if let Some((user, _)) = url.split_once(REDIS) {
            return format!("{user}@127.0.0.1:{}/", self.redis.port());
        }
        let (user, database) = url.split_once(POSTGRES).unwrap_or_else(|| panic!("{url} leads to a store"));
        format!("{user}@127.0.0.1:{}/{database}", self.postgres.port())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Beside the server, where it isn't only linked into PATH.
fn psql() -> PathBuf {
    let beside = find::postgres_bin_dir().unwrap().join("psql");
    if beside.is_file() { beside } else { find::program(&["psql"]).expect("there is a psql") }
}
