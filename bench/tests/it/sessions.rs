//! Sessions of the load's connections, at a server that gives each connection another one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::{Server, load, outcome, post, run};

/// Answers until the peer leaves: `initialize` with a session, whatever else has its id with a result, the rest with 400.
fn converse(stream: TcpStream, session: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut shown) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim().split_once(": ") else {
                if line == "\r\n" { break } else { continue }
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "mcp-session-id" => shown = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, opened) = match String::from_utf8_lossy(&body).contains("\"initialize\"") {
            true => ("200 OK", format!("Mcp-Session-Id: s{session}\r\n")),
            false if shown == format!("s{session}") => ("200 OK", String::new()),
            false => ("400 Bad Request", String::new()),
        };
        let body = r#"{"result":{}}"#;
        write!(&stream, "HTTP/1.1 {status}\r\n{opened}Content-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (session, stream) in listener.incoming().enumerate() {
            // It ends when the peer leaves.
            std::thread::spawn(move || converse(stream.unwrap(), session));
        }
    });
    address
}

#[test]
fn each_connection_opens_a_session_and_all_its_requests_have_its_id() {
    let mut work = post("\"result\"");
    let plan = |work: &Value| {
        json!({
            "server": serve(), "server_pid": null, "work": work, "pace": "closed", "warmup_ms": 0, "measure_ms": 100,
        })
    };
    assert!(!run(&plan(&work)).status.success(), "without a session, the server refuses");
    work["same"]["session"] = json!(true);
    assert!(outcome(&run(&plan(&work)))["requests"].as_u64().unwrap() > 0);
}

#[test]
fn a_server_that_gives_no_session_ends_the_run_that_needs_one() {
    let backend = Server::start(&["backend", "--reads"]);
    let mut work = post("\"result\"");
    work["same"]["session"] = json!(true);
    let output = load(&backend, &work, &json!("closed"));
    assert!(!output.status.success() && output.stdout.is_empty());
}
