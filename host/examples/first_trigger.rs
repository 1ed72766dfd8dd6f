//! How long a host takes from its start until the first webhook's job is done, in milliseconds.
//!
//! `first_trigger TRIGGERD DATA PLUGINS MANIFESTS COMMANDS PATH BODY SIGNATURE`, where DATA was
//! prepared with a trigger and holds no job yet, and PATH is the endpoint's. Prints when the host
//! was ready, when the request was answered, and when the job was done.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// After so long without a finished job the measurement has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const JOBS: &str = "/api/v1/workspaces/default/jobs?state=done";

/// Its output is held open: without a reader the host could not print.
struct Host(Child, BufReader<ChildStdout>);

impl Host {
    /// The host says where it is when it is ready.
    fn address(&mut self) -> Result<String> {
        let mut line = String::new();
        self.1.read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://");
        let (_, address) = address.ok_or_else(|| Error::other("the host did not start"))?;
        Ok(address.to_owned())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        program,
        data,
        plugins,
        manifests,
        commands,
        path,
        body,
        signature,
    ] = &arguments[..]
    else {
        return Err(Error::other("eight arguments are expected"));
    };
    let token = std::fs::read_to_string(format!("{data}/admin.token"))?;
    let body = std::fs::read(body)?;

    let started = Instant::now();
    let mut child = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0", "--data", data])
        .args(["--plugins", plugins, "--manifests", manifests])
        .args(["--command-dir", commands])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Error::other("the host's output is not there"))?;
    let mut host = Host(child, BufReader::new(output));
    let address = host.address()?;
    let ready = started.elapsed();

    let event = format!(
        "Content-Type: application/json\r\nX-GitHub-Event: push\r\n\
         X-GitHub-Delivery: first\r\nX-Hub-Signature-256: {signature}\r\n"
    );
    let answer = exchange(&address, "POST", path, &event, &body)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(Error::other(answer));
    }
    let answered = started.elapsed();

    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    while !exchange(&address, "GET", JOBS, &bearer, b"")?.contains("\"state\":\"done\"") {
        if started.elapsed() > PATIENCE {
            return Err(Error::other("the job was not done in time"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let done = started.elapsed();
    println!(
        "{:.0} {:.0} {:.0}",
        ready.as_secs_f64() * 1e3,
        answered.as_secs_f64() * 1e3,
        done.as_secs_f64() * 1e3
    );
    Ok(())
}

/// One request and its whole answer.
fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
