//! The metadata service of one instance, IMDSv2, as a pure model (EC2 User Guide, instance metadata).

mod tree;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use sha2::{Digest, Sha256};

use self::tree::Node;
use crate::{
    aws::model::Instance,
    http::{Request, Response},
    time::Timestamp,
};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";
/// The longest life of a token, in seconds.
const LONGEST: u64 = 21_600;
/// How long the role's credentials live.
const CREDENTIALS_LIVE: Duration = Duration::from_secs(6 * 3600);
/// New credentials are handed out when the old ones have less than this left.
const CREDENTIALS_OVERLAP: Duration = Duration::from_secs(3600);

/// What the metadata service remembers: tokens and credentials.
pub(crate) struct Metadata {
    instance: String,
    /// Live session tokens and when they die.
    tokens: BTreeMap<String, Timestamp>,
    /// Every set of credentials that was handed out, newest last.
    credentials: Vec<Credentials>,
    issued: u64,
}

/// Credentials of the instance's role.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub key: String,
    pub secret: String,
    pub token: String,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// Where the instance is.
pub(crate) struct Location<'a> {
    pub region: &'a str,
    pub account: &'a str,
}

impl Metadata {
    pub(crate) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), tokens: BTreeMap::new(), credentials: Vec::new(), issued: 0 }
    }

    /// Answers one request of the instance's own software.
    pub(crate) fn handle(
        &mut self,
        request: &Request,
        instance: &Instance,
        location: &Location<'_>,
        now: Timestamp,
    ) -> Response {
        if !instance.metadata.enabled || request.header("x-forwarded-for").is_some() {
            return page(403, "Forbidden");
        }
        self.tokens.retain(|_, until| *until > now);
        let path = request.path.trim_start_matches('/');
        match request.method.as_str() {
            "PUT" if path == "latest/api/token" => self.grant(request, now),
            // Only `latest` hands out tokens; dated versions refuse.
            "PUT" => page(403, "Forbidden"),
            "GET" | "HEAD" => self.read(request, instance, location, now),
            _ => page(405, "Method Not Allowed"),
        }
    }

    /// Every token dies now.
    pub(crate) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// When these credentials expire, if they were ever handed out here.
    pub(crate) fn expiry_of(&self, key: &str) -> Option<Timestamp> {
        self.credentials.iter().find(|credentials| credentials.key == key).map(|credentials| credentials.until)
    }

    fn grant(&mut self, request: &Request, now: Timestamp) -> Response {
        let ttl = request.header(TTL).and_then(|text| text.trim().parse().ok());
        let Some(ttl) = ttl.filter(|ttl| (1..=LONGEST).contains(ttl)) else { return page(400, "Bad Request") };
        let token = URL_SAFE.encode(&self.random("token")[..30]) + "==";
        self.tokens.insert(token.clone(), now + Duration::from_secs(ttl));
        text(token).header(TTL, ttl.to_string())
    }

    fn read(&mut self, request: &Request, instance: &Instance, location: &Location<'_>, now: Timestamp) -> Response {
        let remaining =
            request.header(TOKEN).map(|token| self.tokens.get(token).map(|until| until.since(now).as_secs()));
        let remaining = match remaining {
            Some(Some(remaining)) => Some(remaining),
            Some(None) => return page(401, "Unauthorized"),
            None if instance.metadata.tokens_required => return page(401, "Unauthorized"),
            None => None,
        };
        let response = self.show(request, instance, location, now);
        match remaining {
            Some(remaining) => response.header(TTL, remaining.to_string()),
            None => response,
        }
    }

    fn show(&mut self, request: &Request, instance: &Instance, location: &Location<'_>, now: Timestamp) -> Response {
        let segments = request.segments();
        let Some((version, path)) = segments.split_first() else { return text(tree::VERSIONS.join("\n")) };
        if !tree::VERSIONS.contains(&version.as_str()) {
            return page(404, "Not Found");
        }
        if path == ["api", "token"] {
            return page(405, "Method Not Allowed");
        }
        let credentials = self.credentials(now);
        match tree::find(instance, location, &credentials, path) {
            // With a slash behind it, too: some clients ask so.
            Some(Node::Item(body)) => text(body),
            Some(Node::Bytes(body)) => Response::new(200, "application/octet-stream", body),
            Some(Node::Directory(entries)) => text(entries.join("\n")),
            None => page(404, "Not Found"),
        }
    }

    /// The role's credentials, new ones in time before the old ones expire.
    fn credentials(&mut self, now: Timestamp) -> Credentials {
        if let Some(last) = self.credentials.last()
            && last.until > now + CREDENTIALS_OVERLAP
        {
            return last.clone();
        }
        let random = self.random("credentials");
        let letters: String = random.iter().take(16).map(|byte| char::from(b'A' + byte % 26)).collect();
        let new = Credentials {
            key: format!("ASIA{letters}"),
            secret: URL_SAFE.encode(&random[..30]),
            token: URL_SAFE.encode(self.random("session")),
            from: now,
            until: now + CREDENTIALS_LIVE,
        };
        self.credentials.push(new.clone());
        new
    }

    fn random(&mut self, what: &str) -> [u8; 32] {
        self.issued += 1;
        Sha256::digest(format!("{}/{what}/{}", self.instance, self.issued)).into()
    }
}

fn text(body: impl Into<bytes::Bytes>) -> Response {
    Response::new(200, "text/plain", body)
}

/// An error, as the small XHTML page that the real service sends.
pub(crate) fn page(status: u16, title: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n\
         \x20<head>\n  <title>{status} - {title}</title>\n </head>\n <body>\n  <h1>{status} - {title}</h1>\n </body>\n</html>\n"
    );
    Response::new(status, "text/html", body)
}

#[cfg(test)]
mod tests;
