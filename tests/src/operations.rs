//! What a process tells its operators: its metrics and its HTTP probes.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Service;

/// What a process logs with the address of its port for operators.
const ANNOUNCEMENT: &str = "metrics are served";

/// Samples of metrics: values by name and labels, as Prometheus reads them.
#[derive(Debug)]
pub struct Samples {
    /// As they were served.
    pub text: String,
    values: BTreeMap<String, f64>,
}

impl Samples {
    /// All that `service` tells now.
    ///
    /// # Panics
    /// When it tells nothing, or not in the form that Prometheus reads.
    pub async fn of(service: &Service) -> Self {
        let (status, text) = operations_get(service, "/metrics").await;
        assert_eq!(status, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        });
        Self { values: values.collect(), text }
    }

    /// The sum over all series of `name` that have all of these labels, such as `projection="order"`.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let sum = self.find(name, labels);
        sum.unwrap_or_else(|| panic!("there is no {name} with {labels:?} in:\n{}", self.text))
    }

    /// The same, and nothing where there is no such series.
    pub fn find(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let matching: Vec<f64> = self
            .values
            .iter()
            .filter(|(series, _)| {
                series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
            })
            .map(|(_, value)| *value)
            .collect();
        (!matching.is_empty()).then(|| matching.into_iter().sum())
    }
}

/// The address in a line of text or of JSON.
fn announced(line: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line["fields"]["address"].as_str().expect("an address").to_owned(),
        Err(_) => line.rsplit_once("address=").expect("an address").1.to_owned(),
    }
}

/// Asks the port for operators, and returns status and body.
///
/// # Panics
/// When it isn't there, or speaks no HTTP.
pub async fn operations_get(service: &Service, path: &str) -> (u16, String) {
    let log = std::fs::read_to_string(service.log()).expect("it logs");
    // The last one, where it was started again.
    let line = log.lines().rev().find(|line| line.contains(ANNOUNCEMENT)).expect("it says where metrics are");
    let mut stream = TcpStream::connect(announced(line)).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
