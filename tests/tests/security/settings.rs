//! What a process is told, what it makes of it, and what it says about it.

use std::process::{Command, Output};

use system_tests::client::TallyClient;
use system_tests::credentials::Authority;
use system_tests::{Launch, Servers, Service, Tally, binary, operations_get};

use super::Folder;

/// `query-service serve` with these arguments, which is to end at once.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary("query-service"));
    command.arg("serve").args(arguments).envs(environment.iter().copied());
    // Were it not to end, the test would not either: it can't serve on an address that isn't this machine's.
    let Output { status, stderr, .. } = command.output().unwrap();
    assert!(!status.success());
    String::from_utf8_lossy(&stderr).into_owned()
}

const REDIS: (&str, &str) = ("REDIS_URL", "redis://localhost:1/");
/// Of the block for documentation: no machine has it, so nothing is ever served there.
const ELSEWHERE: &str = "192.0.2.1:50052";

#[test]
fn others_are_served_only_with_tls_and_tokens_or_where_somebody_says_so() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let pem = authority.server();
    let (cert, key) = (folder.write("cert.pem", &pem.certificate), folder.write("key.pem", &pem.key));
    let clients = folder.write("clients.pem", &authority.pem());
    let tokens = folder.write("tokens.json", r#"{"tokens": []}"#);
    let tls = [("TALLY_TLS_CERT", cert.as_str()), ("TALLY_TLS_KEY", key.as_str())];

    let with = |more: &[(&str, &str)]| refused(&["--listen", ELSEWHERE], &[&[REDIS], more].concat());
    assert!(with(&[]).contains("nothing would be encrypted"));
    assert!(with(&[("TALLY_TOKENS", &tokens)]).contains("nothing would be encrypted"));
    assert!(with(&tls).contains("nobody would be asked"));
    // These come as far as the address.
    for enough in [
        with(&[("TALLY_INSECURE", "true")]),
        with(&[&tls[..], &[("TALLY_TOKENS", &tokens)]].concat()),
        with(&[&tls[..], &[("TALLY_TLS_CLIENT_CA", &clients)]].concat()),
    ] {
        assert!(enough.contains("can't listen on 192.0.2.1:50052"), "{enough}");
    }
}

#[test]
fn what_is_wrong_is_said_before_a_port_is_bound() {
    let folder = Folder::new();
    let nothing = folder.write("nothing.pem", "");
    let here = ["--listen", "127.0.0.1:0"];
    let half = [REDIS, ("TALLY_TLS_CERT", nothing.as_str())];
    assert!(refused(&here, &half).contains("--tls-key"));
    let empty = [REDIS, ("TALLY_TLS_CERT", nothing.as_str()), ("TALLY_TLS_KEY", nothing.as_str())];
    assert!(refused(&here, &empty).contains("there is no certificate"));
    assert!(refused(&here, &[REDIS, ("TALLY_JWT_ISSUER", "https://issuer.example")]).contains("--jwt-audience"));
    let keys = |keys: &str| {
        let of_issuer = [("TALLY_JWT_ISSUER", "i"), ("TALLY_JWT_AUDIENCE", "a"), ("TALLY_JWT_KEYS", keys)];
        refused(&here, &[&[REDIS][..], &of_issuer].concat())
    };
    assert!(keys("/there/is/none").contains("can't read /there/is/none"));
    assert!(keys("http://issuer.example/keys").contains("must be https"));
    assert!(keys(&nothing).contains("not the JSON"));
    let both = [REDIS, ("REDIS_URL_FILE", nothing.as_str())];
    assert!(refused(&here, &both).contains("both REDIS_URL and REDIS_URL_FILE are set"));
    assert!(refused(&here, &[("REDIS_URL_FILE", "/there/is/none")]).contains("REDIS_URL_FILE"));
}

#[tokio::test]
async fn secrets_come_from_files_and_settings_are_logged_without_them() {
    let folder = Folder::new();
    let servers = Servers::shared().await;
    let password = "a-password-nobody-else-has";
    // Whether Redis lets it in is not what this is about.
    let url = servers.redis().url().replace("redis://", &format!("redis://default:{password}@"));
    let file = folder.write("redis-url", &format!("{url}\n"));
    let environment = vec![
        ("REDIS_URL_FILE", file),
        ("QUERY_LISTEN", "127.0.0.1:0".to_owned()),
        ("TALLY_LOG_FORMAT", "json".to_owned()),
        ("WAITERS_MAX", "77".to_owned()),
    ];
    let launch = Launch { program: "query-service", arguments: vec!["serve".to_owned()], environment };
    let service = Service::start(launch, folder.path("query.log").into()).await.unwrap();
    let log = std::fs::read_to_string(service.log()).unwrap();
    assert!(!log.contains(password), "{log}");
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let settings = line["fields"]["settings"].as_str().unwrap();
    for expected in [
        "redis_url=redis://default:***@127.0.0.1",
        "(file)",
        "waiters_max=77 (environment)",
        "reads_in_flight_max=4096,",
        "insecure=false",
        "log_format=json (environment)",
    ] {
        assert!(settings.contains(expected), "{expected} in {settings}");
    }
}

/// The port for operators asks nobody who they are: docs/decisions.md says why, and the log says it where others than this machine reach it.
#[tokio::test]
async fn metrics_are_open_to_whoever_reaches_them_and_the_log_says_so() {
    let (folder, authority, servers) = (Folder::new(), Authority::new(), Servers::shared().await);
    let pem = authority.server();
    for (address, is_said) in [("127.0.0.1:0", false), ("0.0.0.0:0", true)] {
        let environment = vec![
            ("REDIS_URL", servers.redis().url().to_owned()),
            ("QUERY_LISTEN", "127.0.0.1:0".to_owned()),
            ("TALLY_TLS_CERT", folder.write("cert.pem", &pem.certificate)),
            ("TALLY_TLS_KEY", folder.write("key.pem", &pem.key)),
            ("TALLY_METRICS_LISTEN", address.to_owned()),
            ("TALLY_LOG_FORMAT", "text".to_owned()),
        ];
        let launch = Launch { program: "query-service", arguments: vec!["serve".to_owned()], environment };
        let service = Service::start(launch, folder.path(&format!("{is_said}.log")).into()).await.unwrap();
        assert_eq!(operations_get(&service, "/metrics").await.0, 200, "in the open, whatever the other port has");
        let log = std::fs::read_to_string(service.log()).unwrap();
        assert_eq!(log.contains("it has neither TLS nor tokens"), is_said, "{address}: {log}");
    }
}

#[tokio::test]
async fn no_log_line_of_a_whole_run_shows_a_password() {
    let tally = Tally::start_with_environment(&[("RUST_LOG", "debug")]).await;
    tally.stocked("b1", "LAMP", 10).await;
    tally.client().allocate("o1", "LAMP", 1).await.unwrap();
    for service in tally.services() {
        let log = std::fs::read_to_string(service.log()).unwrap();
        for (name, value) in &service.launched().environment {
            let password = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
            if let Some((_, password)) = password.filter(|(_, password)| !password.is_empty()) {
                assert!(!log.contains(&format!(":{password}@")), "{name} in the log of {}", service.name());
            }
        }
    }
}
