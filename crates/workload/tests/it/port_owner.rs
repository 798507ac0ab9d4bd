use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use thv_workload::port_owner::{Owner, who_listens};

use crate::home::until;

#[test]
fn whoever_listens_on_a_port_is_named() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let owner = who_listens(port).unwrap();
        assert_eq!(owner.pid, std::process::id(), "{address}");
        let program = std::env::current_exe().unwrap();
        assert_eq!(owner.command, program.file_name().unwrap().to_string_lossy());
    }
}

#[test]
fn a_port_of_another_process_is_told_without_its_arguments() {
    let script = "import socket,sys\ns=socket.create_server(('127.0.0.1',0))\n\
                  print(s.getsockname()[1],flush=True)\nsys.stdin.read()";
    let mut child = Command::new("/usr/bin/env")
        .args(["python3", "-c", script, "--token=s3cret"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let Owner { pid, command } = who_listens(port.trim().parse().unwrap()).unwrap();
    assert_eq!(pid, child.id());
    assert!(command.starts_with("python3"), "{command}");
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn nobody_listens_on_a_port_that_is_free_or_only_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let outgoing = client.local_addr().unwrap().port();
    assert_eq!(who_listens(outgoing), None);
    drop(listener);
    // A process that another test is just starting has the socket until it executes its program.
    until("the end of the listener", || who_listens(port).is_none().then_some(()));
}
