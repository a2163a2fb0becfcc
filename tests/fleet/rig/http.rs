//! A client for loopback: one request a connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// A request with a JSON body; the JSON answer, or what went wrong.
pub(crate) fn json(method: &str, url: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) =
        send(method, url, "application/json", &body).map_err(|error| format!("{url} does not answer: {error}"))?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status < 400 { Ok(answer) } else { Err(answer["error"].as_str().unwrap_or(&text).to_owned()) }
}

/// A request; the status and the body of the answer.
pub(crate) fn send(method: &str, url: &str, content_type: &str, body: &str) -> std::io::Result<(u16, String)> {
    send_with(method, url, &[("content-type", content_type)], body)
}

/// The same with these headers.
pub(crate) fn send_with(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    let rest = url.strip_prefix("http://").expect("plain HTTP");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
