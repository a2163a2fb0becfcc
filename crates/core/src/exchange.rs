//! Effects on the outside world as data, and the exchanges made of them.
//!
//! A codec never does I/O. It says what is to be performed ([`Effect`]), the shell performs it and hands back what came
//! of it ([`EffectResult`]), and the codec goes on until it is [`ExchangeStep::Done`]. So every codec can be tested from
//! recorded replies and fuzzed.

mod mapped;
pub(crate) mod text;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;

pub(crate) use self::mapped::map;
pub use self::text::Text;
use crate::{duration::format_about, redact};

/// How long the message of an error may be, in characters.
const MESSAGE: usize = 1_000;

/// The HTTP methods that platforms use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One HTTP request. The shell adds the user agent, time-outs and the body cap.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// The absolute URL, with its query. Never holds a secret.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, Text)>,
    /// The body; its type goes into the `content-type` header.
    pub body: Option<Text>,
    /// How long the whole exchange may take; `None`: the shell's own limit, which is the longest in any case.
    pub timeout: Option<Duration>,
    /// The longest body of the reply, in bytes; `None`: the shell's own limit, which is the longest in any case.
    pub max_body: Option<usize>,
}

impl Request {
    /// A request without headers or body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: None, timeout: None, max_body: None }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Text>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With less time than usual, for a question whose answer may be long in coming.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// With less room than usual for the reply's body.
    #[must_use]
    pub fn up_to(mut self, max_body: usize) -> Self {
        self.max_body = Some(max_body);
        self
    }

    /// With a JSON body; `secret` when any value in it is one.
    #[must_use]
    pub fn json(mut self, body: &serde_json::Value, secret: bool) -> Self {
        let text = body.to_string();
        self.body = Some(if secret { Text::secret(text) } else { Text::Plain(text) });
        self.header("content-type", "application/json")
    }
}

/// One HTTP reply, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case; a repeated header is joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Reply {
    /// One header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing came in time. Whether the other side acted is not known.
    #[error("no answer within {}", format_about(*.0))]
    Timeout(Duration),
    /// No connection: the other side did not act.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Whoever answered could not prove who they are, so nothing was sent.
    #[error("its certificate is not trusted here: {0}")]
    Untrusted(String),
    /// The reply was longer than the cap, in bytes.
    #[error("the reply is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection broke in the middle. Whether the other side acted is not known.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Unreachable {
    /// What the user can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Untrusted(why) if why.contains("UnknownIssuer") => {
                "add the CA that signed it to this machine's (update-ca-certificates), or name a file with every CA to trust in SSL_CERT_FILE"
            }
            Self::Untrusted(_) => "check the name and the dates in the certificate, and this machine's clock",
            Self::Timeout(_) | Self::Connect(_) | Self::TooLarge(_) | Self::Broken(_) => {
                "check the address and the network"
            }
        }
    }
}

/// One program to run to its end.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments; the first is looked up in `PATH` unless it holds a slash.
    pub argv: Vec<String>,
    /// Variables added to its environment.
    pub env: Vec<(String, Text)>,
    /// When it is killed.
    pub timeout: Duration,
    /// As whom it runs.
    pub run_as: RunAs,
}

impl Program {
    /// Run as whoever is asked to, with these variables besides.
    pub fn new(argv: Vec<String>, env: Vec<(String, Text)>, timeout: Duration) -> Self {
        Self { argv, env, timeout, run_as: RunAs::Caller }
    }
}

/// As whom a program runs, and in which environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunAs {
    /// As whoever is asked to run it.
    Caller,
    /// As the runner: jobs may have written to the program, so it gets no right and no secret that they have not.
    Runner,
}

/// What a program left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output, at most 1 MiB.
    pub stdout: Vec<u8>,
    /// Standard error, at most 64 KiB.
    pub stderr: Vec<u8>,
}

/// One thing to perform.
#[derive(Clone, Debug)]
pub enum Effect {
    /// An HTTP request.
    Http(Request),
    /// A program of the user's.
    Program(Program),
    /// The time of day. Only what others judge by their clocks needs it, such as the validity of a token.
    Clock,
    /// A signature: RSASSA-PKCS1-v1_5 with SHA-256 (the `RS256` of RFC 7518). The shell has the cryptography already,
    /// for TLS.
    Sign(Signing),
}

/// What to sign, and with what.
#[derive(Clone, Debug)]
pub struct Signing {
    /// An RSA private key as PEM (PKCS #1 or PKCS #8).
    pub key: SecretString,
    pub message: Vec<u8>,
}

/// What came of an [`Effect`] of the same kind.
#[derive(Clone, Debug)]
pub enum EffectResult {
    /// The reply, or why there is none.
    Http(Result<Reply, Unreachable>),
    /// The output, or why it did not run or did not end (start failure, time-out).
    Program(Result<Output, String>),
    /// The time of day.
    Clock(Timestamp),
    /// The signature, or what is wrong with the key, without showing it.
    Sign(Result<Vec<u8>, String>),
}

/// Tells the effects apart that an exchange has open at the same time; a number of its own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectId(pub u64);

/// What an exchange wants next.
#[derive(Debug)]
pub enum ExchangeStep<T> {
    /// Perform this, then call [`Exchange::resume`] with its number and what came of it.
    Perform(EffectId, Effect),
    /// Nothing, until the result of something that is open is here.
    Wait,
    /// It is over. What is still open matters no more.
    Done(Result<T, ExchangeError>),
}

impl<T> ExchangeStep<T> {
    /// Performs the one effect of an exchange that has no two open at a time.
    pub fn perform(effect: Effect) -> Self {
        Self::Perform(EffectId::default(), effect)
    }
}

/// A question that may take several requests (pages, a token first, a fallback).
///
/// `start` begins it, also a second time: what is worth keeping between two runs (entity tags, tokens) stays in the value.
/// The shell calls `resume` once for each [`ExchangeStep::Perform`], in the order in which the results come. Meanwhile it calls
/// `more` for as long as it has room for another effect and is not told to wait, so an exchange that asks one thing after
/// the other needs no `more`, and a shell that has room for one effect needs no more than that.
pub trait Exchange: Send {
    /// What it finds out.
    type Output;

    /// Begins, dropping a run that was not finished.
    fn start(&mut self) -> ExchangeStep<Self::Output>;

    /// Goes on with what came of the effect of this number.
    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Self::Output>;

    /// What can be performed while something else is open.
    fn more(&mut self) -> ExchangeStep<Self::Output> {
        ExchangeStep::Wait
    }

    /// Ends a run whose time is over: what is known by now, if that is worth anything; else the run goes on.
    fn cut(&mut self) -> Option<Self::Output> {
        None
    }
}

impl<C: Exchange + ?Sized> Exchange for Box<C> {
    type Output = C::Output;

    fn start(&mut self) -> ExchangeStep<Self::Output> {
        (**self).start()
    }

    fn resume(&mut self, id: EffectId, result: EffectResult) -> ExchangeStep<Self::Output> {
        (**self).resume(id, result)
    }

    fn more(&mut self) -> ExchangeStep<Self::Output> {
        (**self).more()
    }

    fn cut(&mut self) -> Option<Self::Output> {
        (**self).cut()
    }
}

/// A boxed exchange.
pub type Call<T> = Box<dyn Exchange<Output = T>>;

/// Why a platform could not be asked, or what is wrong with its answer. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExchangeError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What happened and what to do, in one sentence, without secrets.
    pub message: String,
}

/// Kinds of platform failures, by what the caller should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The token is missing, wrong or expired (401).
    Unauthorized,
    /// The token lacks a right (403).
    Forbidden,
    /// What was named does not exist (404), or the token may not see it.
    NotFound,
    /// The platform answers, and has no runner of this instance.
    NoRunner,
    /// Somebody else holds the only place at which it can be asked, as they should: ask again after this long.
    Occupied(Duration),
    /// Too many requests: ask again after this long (429, or 503 with `Retry-After`).
    Throttled(Option<Duration>),
    /// The platform failed (5xx).
    Server,
    /// No reply at all.
    Unreachable,
    /// The time for all its requests was over.
    TimeOver,
    /// A reply that cannot be understood; nothing is concluded from it.
    Malformed,
    /// The platform refused for another reason.
    Refused,
}

impl ExchangeError {
    /// An error of this kind. What may be a secret in the message is hidden (`redact`).
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: redact(message.as_ref(), MESSAGE) }
    }

    /// Whether the same question may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::NoRunner
            | ErrorKind::Occupied(_)
            | ErrorKind::Throttled(_)
            | ErrorKind::Server
            | ErrorKind::Unreachable
            | ErrorKind::TimeOver
            | ErrorKind::Malformed => true,
            ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Refused => false,
        }
    }
}
