//! The client that Python programs use: stubs generated from proto/, in a Python process.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tonic::Code;

use super::json::{JsonTransport, is_query};
use super::{Answer, JsonClient, details};
use crate::clients_venv;
use crate::root;

/// A Python process that carries calls; it ends with its standard input.
#[derive(Debug)]
pub struct Python {
    pipes: Arc<Mutex<Pipes>>,
}

#[derive(Debug)]
struct Pipes {
    process: Child,
    calls: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a client of two processes.
    ///
    /// # Panics
    /// When Python or its packages can't be had.
    pub fn client(command_service: SocketAddr, query_service: SocketAddr) -> JsonClient<Self> {
        let venv = clients_venv();
        let mut process = Command::new(venv.program("python"))
            .arg(root().join("tests/clients/python_client.py"))
            .args([command_service.to_string(), query_service.to_string()])
            .env("PYTHONPATH", venv.stubs())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let calls = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("standard output is piped"));
        JsonClient::new(Self { pipes: Arc::new(Mutex::new(Pipes { process, calls, answers })) })
    }
}

impl Pipes {
    fn call(&mut self, call: &Value) -> Value {
        let calls = self.calls.as_mut().expect("open until dropped");
        writeln!(calls, "{call}").expect("the Python client reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the Python client answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the Python client answered {line:?}: {error}"))
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.calls.take();
        let _ = self.process.wait();
    }
}

#[async_trait]
impl JsonTransport for Python {
    async fn call(&self, service: &str, method: &str, request: Value) -> Answer<Value> {
        let call = json!({"service": service, "method": method, "request": request, "query": is_query(service)});
        self.answer(call).await
    }

    async fn first_of_stream(&self, service: &str, method: &str, request: Value, count: usize) -> Answer<Vec<Value>> {
        let call = json!({
            "service": service,
            "method": method,
            "request": request,
            "query": is_query(service),
            "first": count,
        });
        Ok(serde_json::from_value(self.answer(call).await?).expect("a list"))
    }
}

impl Python {
    async fn answer(&self, call: Value) -> Answer<Value> {
        let mut pipes = Arc::clone(&self.pipes).lock_owned().await;
        let mut answer = tokio::task::spawn_blocking(move || pipes.call(&call)).await.expect("the Python client works");
        let error = answer["error"].take();
        if error.is_null() {
            return Ok(answer["answer"].take());
        }
        let code = error["code"].as_i64().and_then(|code| i32::try_from(code).ok()).map_or(Code::Unknown, Code::from);
        let found = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        Err(details::error(code, error["message"].as_str().unwrap_or_default(), found))
    }
}
