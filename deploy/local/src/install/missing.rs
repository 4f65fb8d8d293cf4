use std::path::PathBuf;

use tally_servers::find;
use tokio::process::Command;

use super::Needed;

/// What isn't there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Missing {
    pub(super) postgres: bool,
    pub(super) redis: bool,
    pub(super) python: bool,
    pub(super) promtool: bool,
    pub(super) faketime: bool,
}

impl Missing {
    pub(super) async fn find(needed: Needed) -> Missing {
        Missing {
            postgres: needed.postgres && find::postgres_bin_dir().is_err(),
            redis: needed.redis && find::redis_server().is_err(),
            python: needed.python && python().await.is_none(),
            promtool: needed.promtool && find::program(&["promtool"]).is_none(),
            faketime: needed.faketime && find::program(&["faketime"]).is_none(),
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Missing::default()
    }

    /// For each that is missing, one of five things: of Postgres, Redis, Python, promtool and faketime, in this order.
    fn each(self, things: [&str; 5]) -> Vec<&str> {
        let missing = [self.postgres, self.redis, self.python, self.promtool, self.faketime];
        missing.into_iter().zip(things).filter_map(|(missing, thing)| missing.then_some(thing)).collect()
    }

    pub(super) fn names(self) -> String {
        self.each(["Postgres", "Redis", "Python with venv", "promtool", "faketime"]).join(", ")
    }

    /// What each is for.
    pub(super) fn purposes(self) -> String {
        self.each([
            "Postgres keeps the log",
            "Redis keeps the views",
            "Python runs the tests' other clients",
            "promtool checks metrics and alerts",
            "faketime sets the services' clock",
        ])
        .join(", ")
    }

    pub(super) fn debian_packages(self) -> Vec<&'static str> {
        self.each(["postgresql", "redis-server", "python3-venv", "prometheus", "faketime"])
    }

    /// One error with the exact command for each kind of machine.
    pub(super) fn how_to(self, why: &str) -> String {
        let fedora =
            self.each(["postgresql-server", "valkey", "python3", "golang-github-prometheus", "libfaketime"]).join(" ");
        let macos = self.each(["postgresql@17", "redis", "python", "prometheus", "libfaketime"]).join(" ");
        format!(
            "not found: {}. {why}. Install it, then run this again:\n  \
             Debian, Ubuntu   sudo apt-get install -y {}\n  \
             Fedora           sudo dnf install -y {fedora}\n  \
             macOS            brew install {macos}\n\
             (Tally starts private servers of its own from these programs; a server that your system starts from them is never touched.)",
            self.names(),
            self.debian_packages().join(" "),
        )
    }
}

/// A Python that can make environments; Debian's can't without python3-venv.
pub(super) async fn python() -> Option<PathBuf> {
    let python = find::program(&["python3"])?;
    let works = Command::new(&python).args(["-c", "import ensurepip, venv"]).output().await;
    works.is_ok_and(|output| output.status.success()).then_some(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_has_the_exact_command_for_each_kind_of_machine_and_only_what_is_missing() {
        let missing = Missing { redis: true, ..Missing::default() };
        let text = missing.how_to("Why");
        for command in
            ["sudo apt-get install -y redis-server\n", "sudo dnf install -y valkey\n", "brew install redis\n"]
        {
            assert!(text.contains(command), "{text}");
        }
        assert!(text.starts_with("not found: Redis. Why. Install"));
        assert!(!text.contains("postgresql"));
    }
}
