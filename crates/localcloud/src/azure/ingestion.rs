//! Log Analytics, as far as records are written to it and read from it: a stream of a data collection rule behind the Logs Ingestion API, and
//! the table that it leads into behind the query API.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::identity::{Caller, Unauthenticated};
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// What tokens are made out for that write, and those that read.
pub(crate) const MONITOR: [&str; 1] = ["https://monitor.azure.com"];
pub(crate) const LOGS: [&str; 2] = ["https://api.loganalytics.io", "https://api.loganalytics.azure.com"];

/// The rule that is there from the start, its stream, and its table.
const RULE: &str = "dcr-6f1f2a3b0c4d4e5f8a9b0c1d2e3f4a5b";
const STREAM: &str = "Custom-Lightsout_CL";
const TABLE: &str = "Lightsout_CL";
/// The columns of both; what else a row has is dropped without a word.
const COLUMNS: [(&str, &str); 3] = [("TimeGenerated", "datetime"), ("Instance", "string"), ("Record", "dynamic")];

/// What one call may weigh (Azure Monitor service limits, "Logs Ingestion API").
const LARGEST: usize = 1 << 20;
/// How many rows are kept, so that a long run does not fill the memory.
const KEPT: usize = 10_000;

/// A table of rows.
#[derive(Debug, Default)]
pub(crate) struct Ingestion {
    rows: VecDeque<[Value; COLUMNS.len()]>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Upload,
    Query,
}

impl Call {
    /// What a request asks, if it is for either of the two.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if request.path.starts_with("/dataCollectionRules/") {
            Some(Self::Upload)
        } else if request.path.starts_with("/v1/workspaces/") && request.path.ends_with("/query") {
            Some(Self::Query)
        } else {
            None
        }
    }

    /// The operation's name in Azure's specification.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Upload => "Upload",
            Self::Query => "Query_Execute",
        }
    }

    /// For what a token must be made out.
    pub(crate) fn audiences(self) -> &'static [&'static str] {
        match self {
            Self::Upload => &MONITOR,
            Self::Query => &LOGS,
        }
    }
}

impl Ingestion {
    /// Answers `POST /dataCollectionRules/{rule}/streams/{stream}` and `POST /v1/workspaces/{id}/query`.
    pub(crate) fn handle(
        &mut self,
        call: Call,
        caller: &Result<Caller, Unauthenticated>,
        request: &Request,
        now: Timestamp,
    ) -> Response {
        let answer = match caller {
            Err(Unauthenticated::Audience) => {
                Err((401, "InvalidAudience", "The token is for another audience.".into()))
            }
            Err(Unauthenticated::Expired) => Err((401, "ExpiredToken", "The token has expired.".into())),
            Err(Unauthenticated::Missing) => Err((401, "MissingToken", "There is no bearer token.".into())),
            Ok(_) if request.method != "POST" => Err((405, "MethodNotAllowed", "It takes POST.".into())),
            Ok(_) => match call {
                Call::Upload => self.upload(request, now),
                Call::Query => self.query(request),
            },
        };
        answer.unwrap_or_else(|(status, code, message)| error(status, code, &message))
    }

    /// All rows of a call are taken, or none.
    fn upload(&mut self, request: &Request, now: Timestamp) -> Result<Response, Refused> {
        let segments = request.segments();
        let [_, rule, streams, stream] = &segments[..] else {
            return Err((404, "NotFound", "There is no such resource.".into()));
        };
        if request.query("api-version") != Some("2023-01-01") {
            return Err((400, "InvalidApiVersion", "The api-version 2023-01-01 is spoken here.".into()));
        }
        if request.body.len() > LARGEST {
            return Err((
                413,
                "ContentLengthLimitExceeded",
                format!("Maximum allowed content length: {LARGEST} bytes."),
            ));
        }
        if request.header("content-encoding").is_some_and(|coding| coding != "identity") {
            return Err((415, "UnsupportedMediaType", "The embedded endpoint takes no compressed body.".into()));
        }
        if !request.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            return Err((415, "UnsupportedMediaType", "The content type must be application/json.".into()));
        }
        if rule != RULE || streams != "streams" {
            return Err((404, "NotFound", format!("Data collection rule with immutable Id '{rule}' not found.")));
        }
        if stream != STREAM {
            let why =
                format!("Stream '{stream}' is not configured in the data collection rule with immutable Id '{rule}'.");
            return Err((400, "InvalidStream", why));
        }
        let rows: Vec<Map<String, Value>> = serde_json::from_slice(&request.body)
            .map_err(|why| (400, "InvalidPayload", format!("The body is no JSON array of objects: {why}")))?;
        for mut row in rows {
            let mut values = COLUMNS.map(|(name, _)| row.remove(name).unwrap_or_default());
            if values[0].as_str().is_none_or(|at| at.parse::<jiff::Timestamp>().is_err()) {
                values[0] = now.to_string().into();
            }
            self.rows.push_back(values);
        }
        self.rows.drain(..self.rows.len().saturating_sub(KEPT));
        Ok(Response::empty(204))
    }

    /// The whole table, for a query that is its name.
    fn query(&self, request: &Request) -> Result<Response, Refused> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if body["query"].as_str().map(str::trim) != Some(TABLE) {
            let why =
                format!("The embedded Log Analytics understands one query, which is the name of its table: {TABLE}.");
            return Err((400, "BadArgumentError", why));
        }
        let columns = COLUMNS.map(|(name, kind)| json!({ "name": name, "type": kind }));
        // What is dynamic comes as text.
        let rows = self.rows.iter().map(|[at, instance, record]| json!([at, instance, record.to_string()]));
        let rows: Vec<Value> = rows.collect();
        let tables = json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] });
        Ok(Response::json(200, &tables))
    }
}

type Refused = (u16, &'static str, String);

pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({ "error": { "code": code, "message": message } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    const NOW: Timestamp = Timestamp(1_795_662_000_000);

    fn post(path: &str, body: &Value) -> Request {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Request {
            method: "POST".into(),
            path: path.into(),
            query: http::pairs(query.as_bytes()),
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: body.to_string().into(),
        }
    }

    fn ask(logs: &mut Ingestion, request: &Request) -> (u16, Value) {
        let call = Call::of(request).expect("it is for it");
        let answer = logs.handle(call, &Ok(Caller::Operator), request, NOW);
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    fn path() -> String {
        format!("/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01")
    }

    #[test]
    fn what_is_written_can_be_read_column_by_column() {
        let mut logs = Ingestion::default();
        let first = json!({ "TimeGenerated": "2026-11-26T03:00:00.250Z", "Instance": "a", "Record": { "kind": "departure" }, "More": 1 });
        let rows = json!([first, { "Instance": "b" }]);
        assert_eq!(ask(&mut logs, &post(&path(), &rows)), (204, Value::Null));
        let (status, answer) = ask(&mut logs, &post("/v1/workspaces/any/query", &json!({ "query": "Lightsout_CL" })));
        assert_eq!(status, 200);
        let table = &answer["tables"][0];
        assert_eq!(table["columns"][2], json!({ "name": "Record", "type": "dynamic" }));
        let expected =
            json!([["2026-11-26T03:00:00.250Z", "a", "{\"kind\":\"departure\"}"], [NOW.to_string(), "b", "null"]]);
        assert_eq!(table["rows"], expected);
    }

    #[test]
    fn what_azure_refuses_is_refused_and_leaves_no_row() {
        let mut logs = Ingestion::default();
        let row = json!([{ "Instance": "a" }]);
        let large = json!([{ "Instance": "a".repeat(LARGEST) }]);
        let mut form = post(&path(), &row);
        form.headers.clear();
        let mut packed = post(&path(), &row);
        packed.headers.insert("content-encoding".into(), "gzip".into());
        for (request, status, code) in [
            (post(&path().replace(RULE, "dcr-0"), &row), 404, "NotFound"),
            (post(&path().replace(STREAM, "Custom-Other_CL"), &row), 400, "InvalidStream"),
            (post(path().split('?').next().unwrap(), &row), 400, "InvalidApiVersion"),
            (post(&path(), &row[0]), 400, "InvalidPayload"),
            (post(&path(), &json!(["a"])), 400, "InvalidPayload"),
            (post(&path(), &large), 413, "ContentLengthLimitExceeded"),
            (form, 415, "UnsupportedMediaType"),
            (packed, 415, "UnsupportedMediaType"),
            (Request { method: "PUT".into(), ..post(&path(), &row) }, 405, "MethodNotAllowed"),
            (post("/v1/workspaces/any/query", &json!({ "query": "Syslog" })), 400, "BadArgumentError"),
        ] {
            let (seen, body) = ask(&mut logs, &request);
            assert_eq!((seen, &body["error"]["code"]), (status, &json!(code)), "{body}");
        }
        let nobody = logs.handle(Call::Upload, &Err(Unauthenticated::Audience), &post(&path(), &row), NOW);
        assert!(nobody.status == 401 && logs.rows.is_empty());
    }
}
