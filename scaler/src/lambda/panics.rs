//! A panic is an error with its text: it is told to the runtime API before the process ends.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    panic, process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lambda_runtime::Diagnostic;

/// How long telling may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The invocation that is served just now.
static INVOCATION: Mutex<Option<String>> = Mutex::new(None);

/// Notes which invocation a panic belongs to; without one, to the start.
pub(super) fn during(invocation: Option<&str>) {
    *INVOCATION.lock().unwrap_or_else(PoisonError::into_inner) = invocation.map(str::to_owned);
}

/// Tells each panic from now on. It works without the async runtime, in which the panic may have been, and before the process
/// ends.
pub(super) fn report_to(address: &str) {
    let (address, usual) = (address.to_owned(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        let invocation = INVOCATION.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let error = Diagnostic { error_type: "Panic".to_owned(), error_message: panic.to_string() };
        if let Err(error) = tell(&address, invocation.as_deref(), &error) {
            eprintln!("lightsout-scaler: the panic could not be told: {error}");
        }
        // As what is shipped would do anyway: nobody knows what a panic left behind.
        process::abort();
    }));
}

fn tell(address: &str, invocation: Option<&str>, error: &Diagnostic) -> io::Result<()> {
    let path = invocation.map_or("init/error".to_owned(), |id| format!("invocation/{id}/error"));
    let (kind, body) = (&error.error_type, serde_json::to_string(error)?);
    let length = body.len();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(REPORT_TIMEOUT))?;
    stream.set_write_timeout(Some(REPORT_TIMEOUT))?;
    write!(
        stream,
        "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         lambda-runtime-function-error-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    // The answer says that it was taken; the process ends then.
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    if start.starts_with(b"HTTP/1.1 2") { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&start))) }
}
