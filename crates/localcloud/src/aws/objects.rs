//! S3, as far as records are stored in it and read back: buckets by path, whole objects, and their list.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::query::xml::Xml;
use crate::http::{Request, Response};

/// The bucket that is there from the start.
const BUCKET: &str = "lightsout-records";
/// How many objects a bucket keeps, so that a long run does not fill the memory.
const KEPT: usize = 10_000;

/// Buckets of objects.
pub(crate) struct Objects {
    buckets: BTreeMap<String, BTreeMap<String, Bytes>>,
}

/// Whether a request is signed for S3: its paths could be anybody's.
pub(crate) fn is_for(request: &Request) -> bool {
    request.header("authorization").is_some_and(|signature| signature.contains("/s3/aws4_request"))
}

/// The name of what a request asks for, such as `PutObject`.
pub(crate) fn action(request: &Request) -> &'static str {
    match (request.method.as_str(), request.segments().len()) {
        ("PUT", 1) => "CreateBucket",
        ("PUT", _) => "PutObject",
        ("GET", 1) => "ListObjectsV2",
        ("GET", 2..) => "GetObject",
        _ => "UnknownOperation",
    }
}

impl Objects {
    pub(crate) fn new() -> Self {
        Self { buckets: BTreeMap::from([(BUCKET.to_owned(), BTreeMap::new())]) }
    }

    pub(crate) fn handle(&mut self, request: &Request) -> Response {
        let mut segments = request.segments();
        if segments.is_empty() {
            return refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource.");
        }
        let bucket = segments.remove(0);
        let key = segments.join("/");
        match action(request) {
            "CreateBucket" => {
                self.buckets.entry(bucket).or_default();
                Response::empty(200)
            }
            "PutObject" => self.put(&bucket, key, request),
            "GetObject" => match self.buckets.get(&bucket).map(|objects| objects.get(&key)) {
                Some(Some(body)) => Response::new(200, "application/json", body.clone()),
                Some(None) => refuse(404, "NoSuchKey", "The specified key does not exist."),
                None => no_bucket(),
            },
            "ListObjectsV2" => self.list(&bucket, request.query("prefix").unwrap_or_default()),
            _ => refuse(405, "MethodNotAllowed", "The specified method is not allowed against this resource."),
        }
    }

    fn put(&mut self, bucket: &str, key: String, request: &Request) -> Response {
        let Some(objects) = self.buckets.get_mut(bucket) else { return no_bucket() };
        objects.insert(key, unchunked(request));
        while objects.len() > KEPT {
            objects.pop_first();
        }
        Response::empty(200).header("etag", "\"0\"")
    }

    fn list(&self, bucket: &str, prefix: &str) -> Response {
        let Some(objects) = self.buckets.get(bucket) else { return no_bucket() };
        let found: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        let mut xml = Xml::default();
        xml.node("ListBucketResult", |xml| {
            xml.text("Name", bucket);
            xml.text("Prefix", prefix);
            xml.text("KeyCount", found.len());
            xml.text("IsTruncated", false);
            for (key, body) in &found {
                xml.node("Contents", |xml| {
                    xml.text("Key", key);
                    xml.text("Size", body.len());
                });
            }
        });
        Response::new(200, "application/xml", xml.into_document())
    }
}

/// The object itself: newer clients send it in chunks of their own kind, with a checksum behind it (S3 API reference, "aws-chunked").
fn unchunked(request: &Request) -> Bytes {
    let streams = request.header("x-amz-content-sha256").is_some_and(|kind| kind.starts_with("STREAMING-"));
    if !streams {
        return request.body.clone();
    }
    let mut rest: &[u8] = &request.body;
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = head.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).unwrap_or(0);
        let (from, to) = (end + 2, end + 2 + size);
        if size == 0 || to > rest.len() {
            break;
        }
        whole.extend_from_slice(&rest[from..to]);
        rest = rest.get(to + 2..).unwrap_or_default();
    }
    whole.into()
}

fn no_bucket() -> Response {
    refuse(404, "NoSuchBucket", "The specified bucket does not exist")
}

/// An error as S3 sends it.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Response {
    let mut xml = Xml::default();
    xml.node("Error", |xml| {
        xml.text("Code", code);
        xml.text("Message", message);
    });
    Response::new(status, "application/xml", xml.into_document())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str, body: &str) -> Request {
        Request { method: method.into(), path: path.into(), body: body.to_owned().into(), ..Request::default() }
    }

    #[test]
    fn objects_are_put_listed_and_read_and_a_bucket_must_be_there() {
        let mut objects = Objects::new();
        let path = format!("/{BUCKET}/ci%20fleet/i-1/a.json");
        assert_eq!(objects.handle(&request("PUT", &path, "{}\n")).status, 200);
        assert_eq!(objects.handle(&request("GET", &path, "")).text(), "{}\n");
        let list = objects.handle(&request("GET", &format!("/{BUCKET}"), ""));
        assert!(list.text().contains("<Key>ci fleet/i-1/a.json</Key><Size>3</Size>"), "{}", list.text());
        let none = objects.handle(&request("PUT", "/other/a", "{}"));
        assert!(none.status == 404 && none.text().contains("<Code>NoSuchBucket</Code>"), "{}", none.text());
        assert_eq!(objects.handle(&request("PUT", "/other", "")).status, 200);
        assert_eq!(objects.handle(&request("PUT", "/other/a", "{}")).status, 200);
        assert!(objects.handle(&request("GET", "/other/b", "")).text().contains("<Code>NoSuchKey</Code>"));
    }

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let mut objects = Objects::new();
        let path = format!("/{BUCKET}/a");
        let mut chunked = request("PUT", &path, "3\r\n{}\n\r\n2\r\nab\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
        chunked.headers.insert("x-amz-content-sha256".into(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER".into());
        objects.handle(&chunked);
        assert_eq!(objects.handle(&request("GET", &path, "")).text(), "{}\nab");
    }
}
