//! The document: HTML with everything in it, which draws a [`Chart`].

use lightsout_core::chart::Chart;

const PAGE: &str = include_str!("document/page.html");
const STYLE: &str = include_str!("document/page.css");
const SCRIPT: &str = include_str!("document/page.js");

/// The document as a file, which asks nobody for anything.
pub fn page(chart: &Chart) -> String {
    document(chart, "", "")
}

/// The document that is served, and asks for what happens from then on where it comes from itself.
pub(crate) fn live_page(chart: &Chart) -> String {
    document(chart, "; connect-src 'self'", "events")
}

#[expect(clippy::expect_used, reason = "its keys are texts")]
fn document(chart: &Chart, policy: &str, events: &str) -> String {
    let data = serde_json::to_string(chart).expect("a chart has only text keys");
    // In a script nothing but `<` could end it, whatever a record says.
    let data = data.replace('<', "\\u003c");
    // The data last: what is in them is no place of the page.
    let places = [
        ("/*POLICY*/", policy),
        ("/*EVENTS*/", events),
        ("/*STYLE*/", STYLE),
        ("/*SCRIPT*/", SCRIPT),
        ("/*DATA*/", &data),
    ];
    places.iter().fold(PAGE.to_owned(), |page, (place, text)| page.replacen(place, text, 1))
}

/// A document without any script, in the same style and a little more of it.
#[expect(clippy::expect_used, reason = "the page that is built in has them, as the test below finds")]
pub fn static_page(title: &str, style: &str, body: &str) -> String {
    const POLICY: &str = "content=\"default-src 'none'; style-src 'unsafe-inline'; ";
    let (head, _) = PAGE.split_once("<body>").expect("the page has a body");
    let head = head.replacen("<title>lightsout</title>", &format!("<title>{title}</title>"), 1);
    let (before, after) = head.split_once(POLICY).expect("the page has a policy");
    let (_, after) = after.split_once('"').expect("it ends");
    let after = after.replacen("/*STYLE*/", &format!("{STYLE}{style}"), 1);
    format!("{before}{POLICY}img-src data:\"{after}<body>\n{body}</body>\n</html>\n")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lightsout_core::{
        explain::{Evidence, Said},
        record::Record,
    };

    use super::*;

    #[test]
    fn a_static_page_has_no_script_and_may_have_none() {
        let text = static_page("a title", "a {}", "<p>b</p>\n");
        assert!(text.contains("<title>a title</title>") && text.contains("a {}\n</style>"), "{text}");
        assert!(text.ends_with("<body>\n<p>b</p>\n</body>\n</html>\n") && !text.contains("script"), "{text}");
        assert!(text.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""), "{text}");
    }

    #[test]
    fn whatever_a_record_says_the_page_is_one_document_that_asks_nobody() {
        let nasty = "</script><script src=//evil></script>/*DATA*/";
        let line = format!(
            "{{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00Z\",\"instance\":\"i-1\",\"platform\":\"gitlab\",\"what\":\"held\",\"detail\":\"{nasty}\"}}"
        );
        let evidence = Evidence::record(Record::find(&line).unwrap(), "a").unwrap();
        assert!(matches!(evidence.said, Said::Incident(_)));
        let text = page(&Chart::new(&[evidence], Timestamp::from_second(1_800_000_000).unwrap(), |_, _| None));
        assert_eq!(text.matches("</script>").count(), 2);
        assert!(!text.contains("<script src") && text.contains("\\u003cscript src"));
        for place in ["/*STYLE*/", "/*SCRIPT*/", "/*POLICY*/", "/*EVENTS*/"] {
            assert!(!text.contains(place), "{place}");
        }
        let (_, data) = text.split_once("data-events=\"\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        assert!(read["lanes"][0]["marks"][0]["sentence"].as_str().unwrap().ends_with(nasty));
        assert!(!text.contains("connect-src"));
        assert!(!text.contains("https://") && !text.replace("http://www.w3.org/", "").contains("http://"));
    }
}
