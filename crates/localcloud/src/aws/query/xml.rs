//! XML, written by hand: elements, text and lists are all that the query protocol needs.

use std::fmt::Display;

/// A piece of XML under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// How EC2 says that it was done, where there is nothing more to say.
    pub(crate) fn done() -> Self {
        let mut xml = Self::default();
        xml.text("return", true);
        xml
    }

    /// `<name>value</name>`.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.open(name);
        escape(&value.to_string(), &mut self.0);
        self.close(name);
    }

    /// `<name>value</name>` when there is a value.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// `<name>…</name>`.
    pub(crate) fn node(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    /// `<name><entry>…</entry>…</name>`; Auto Scaling calls an entry `member`, EC2 calls it `item`.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        entry: &str,
        values: impl IntoIterator<Item = T>,
        mut content: impl FnMut(&mut Self, T),
    ) {
        self.node(name, |xml| {
            for value in values {
                xml.node(entry, |xml| content(xml, value));
            }
        });
    }

    /// `<name><entry>value</entry>…</name>`.
    pub(crate) fn texts<T: Display>(&mut self, name: &str, entry: &str, values: impl IntoIterator<Item = T>) {
        self.node(name, |xml| {
            for value in values {
                xml.text(entry, value);
            }
        });
    }

    /// Adds what was written elsewhere.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The whole document: `<name xmlns="…">…</name>`.
    pub(crate) fn document(name: &str, namespace: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(format!("<{name} xmlns=\"{namespace}\">"));
        content(&mut xml);
        xml.close(name);
        xml.0
    }

    /// What was written so far, as a document of its own.
    pub(crate) fn into_document(self) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{}", self.0)
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A parser turns a bare carriage return into a line feed.
            '\r' => out.push_str("&#13;"),
            // XML 1.0 has no other control characters, not even escaped ones.
            '\t' | '\n' => out.push(letter),
            control if control.is_control() => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_would_end_an_element() {
        let mut xml = Xml::default();
        xml.text("a", "<b> & \"c\" 'd' \u{1}\r\n");
        assert_eq!(xml.0, "<a>&lt;b&gt; &amp; &quot;c&quot; &apos;d&apos; \u{FFFD}&#13;\n</a>");
    }

    #[test]
    fn nests_and_lists() {
        let body = Xml::document("R", "urn:x", |xml| xml.list("Xs", "member", [1, 2], |xml, n| xml.text("N", n)));
        assert_eq!(body, "<R xmlns=\"urn:x\"><Xs><member><N>1</N></member><member><N>2</N></member></Xs></R>");
    }
}
