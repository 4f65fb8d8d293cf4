//! The client that people use: grpcurl, which learns the API from the server's reflection.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use async_trait::async_trait;
use serde_json::Value;
use tonic::Code;

use super::json::{JsonTransport, is_query};
use super::{Answer, Error, JsonClient, details};
use crate::clients_venv;

/// How long a call may take, in seconds.
const DEADLINE_SECONDS: &str = "40";

/// Runs grpcurl for each call.
#[derive(Debug)]
pub struct Grpcurl {
    command_service: SocketAddr,
    query_service: SocketAddr,
}

impl Grpcurl {
    /// A client of two processes.
    pub fn client(command_service: SocketAddr, query_service: SocketAddr) -> JsonClient<Self> {
        JsonClient::new(Self { command_service, query_service })
    }
}

/// Runs grpcurl with `arguments`, `input` on its standard input.
///
/// # Panics
/// When it can't be had.
pub fn grpcurl(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(clients_venv().program("grpcurl"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("grpcurl can be started");
    let mut stdin = process.stdin.take().expect("standard input is piped");
    // It may end without having read all of it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    process.wait_with_output().expect("grpcurl ends")
}

#[async_trait]
impl JsonTransport for Grpcurl {
    async fn call(&self, service: &str, method: &str, request: Value) -> Answer<Value> {
        let address = self.address(service);
        let name = format!("{service}/{method}");
        let run = move || {
            grpcurl(&["-plaintext", "-max-time", DEADLINE_SECONDS, "-d", "@", &address, &name], &request.to_string())
        };
        let output = tokio::task::spawn_blocking(run).await.expect("grpcurl runs");
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).expect("grpcurl prints JSON"));
        }
        Err(parse_error(&String::from_utf8_lossy(&output.stderr)))
    }

    async fn first_of_stream(&self, service: &str, method: &str, request: Value, count: usize) -> Answer<Vec<Value>> {
        let (address, name) = (self.address(service), format!("{service}/{method}"));
        let run = move || first_messages(&["-plaintext", "-d", &request.to_string(), &address, &name], count);
        tokio::task::spawn_blocking(run).await.expect("grpcurl runs")
    }
}

impl Grpcurl {
    fn address(&self, service: &str) -> String {
        if is_query(service) { self.query_service } else { self.command_service }.to_string()
    }
}

/// Runs grpcurl until it has printed `count` messages, or an error.
fn first_messages(arguments: &[&str], count: usize) -> Answer<Vec<Value>> {
    let mut process = Command::new(clients_venv().program("grpcurl"))
        .args(["-max-time", DEADLINE_SECONDS])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("grpcurl can be started");
    let output = process.stdout.take().expect("standard output is piped");
    let messages: Vec<Value> =
        serde_json::Deserializer::from_reader(output).into_iter().take(count).map_while(Result::ok).collect();
    // It would go on for as long as the service does.
    let _ = process.kill();
    let ended = process.wait_with_output().expect("grpcurl ends");
    if messages.len() == count { Ok(messages) } else { Err(parse_error(&String::from_utf8_lossy(&ended.stderr))) }
}

/// An error as grpcurl prints it:
/// ```text
/// ERROR:
///   Code: FailedPrecondition
///   Message: Invalid sku X
///   Details:
///   1)  {"@type": …}
/// ```
fn parse_error(text: &str) -> Error {
    let line = |label: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(label)).unwrap_or_default();
    let code = code(line("Code: ")).unwrap_or_else(|| panic!("grpcurl printed {text:?}"));
    let mut found = Vec::new();
    let listed = text.split_once("Details:").map(|(_, listed)| listed).unwrap_or_default();
    for number in 1.. {
        // Each detail is JSON, perhaps of several lines, behind its number.
        let Some((_, detail)) = listed.split_once(&format!("  {number})\t")) else { break };
        let mut values = serde_json::Deserializer::from_str(detail).into_iter();
        found.push(values.next().and_then(Result::ok).unwrap_or_else(|| panic!("grpcurl printed {text:?}")));
    }
    details::error(code, line("Message: "), &found)
}

/// A code by the name that grpcurl gives it.
fn code(name: &str) -> Option<Code> {
    (0..=16).map(Code::from_i32).find(|code| format!("{code:?}") == name)
}
