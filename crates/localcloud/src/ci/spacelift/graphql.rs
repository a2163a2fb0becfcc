//! As much of GraphQL as queries of a few fields need: one operation, aliases, arguments, variables, nested selections.
//! Fragments and directives are refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A query or a mutation.
#[derive(Debug, PartialEq)]
pub(super) struct Operation {
    pub mutation: bool,
    pub fields: Vec<Field>,
}

/// A field with what is asked of it.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// What it is called in the answer.
    pub alias: String,
    pub name: String,
    /// Variables replaced by their values.
    pub arguments: BTreeMap<String, Value>,
    pub selection: Vec<Field>,
}

impl Field {
    /// An argument that is a text.
    pub(super) fn text(&self, argument: &str) -> Option<&str> {
        self.arguments.get(argument).and_then(Value::as_str)
    }
}

/// Nesting beyond this is nonsense.
const DEEPEST: usize = 16;

/// Reads a document.
///
/// # Errors
/// What is wrong, as a GraphQL error says it.
pub(super) fn parse(document: &str, variables: &Map<String, Value>) -> Result<Operation, String> {
    let mut parser = Parser { tokens: tokens(document)?, at: 0, variables };
    let mutation = match parser.peek() {
        Some(Token::Name(kind)) if kind == "query" || kind == "mutation" => {
            let mutation = kind == "mutation";
            parser.at += 1;
            parser.declarations()?;
            mutation
        }
        Some(_) | None => false,
    };
    let fields = parser.selection(0)?;
    match parser.peek() {
        None => Ok(Operation { mutation, fields }),
        Some(token) => Err(format!("Syntax Error: Unexpected {token:?}.")),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(i64),
    Sign(char),
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    variables: &'a Map<String, Value>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("Syntax Error: Unexpected <EOF>.")?;
        self.at += 1;
        Ok(token)
    }

    /// Whether this sign comes next; if so it is taken.
    fn took(&mut self, sign: char) -> bool {
        let here = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.took(sign) { Ok(()) } else { Err(format!("Syntax Error: Expected \"{sign}\".")) }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            other @ (Token::Text(_) | Token::Number(_) | Token::Sign(_)) => {
                Err(format!("Syntax Error: Expected a name, found {other:?}."))
            }
        }
    }

    /// The operation's name and its variables, whose types are taken on trust.
    fn declarations(&mut self) -> Result<(), String> {
        if matches!(self.peek(), Some(Token::Name(_))) {
            self.at += 1;
        }
        if self.took('(') {
            while !self.took(')') {
                self.next()?;
            }
        }
        Ok(())
    }

    fn selection(&mut self, depth: usize) -> Result<Vec<Field>, String> {
        if depth > DEEPEST {
            return Err("the query is too deep".to_owned());
        }
        self.expect('{')?;
        let mut fields = Vec::new();
        while !self.took('}') {
            let first = self.name()?;
            let (alias, name) = if self.took(':') { (first, self.name()?) } else { (first.clone(), first) };
            let arguments = self.arguments()?;
            let nested = self.peek() == Some(&Token::Sign('{'));
            let selection = if nested { self.selection(depth + 1)? } else { Vec::new() };
            fields.push(Field { alias, name, arguments, selection });
        }
        if fields.is_empty() { Err("Syntax Error: Expected a name, found \"}\".".to_owned()) } else { Ok(fields) }
    }

    fn arguments(&mut self) -> Result<BTreeMap<String, Value>, String> {
        let mut arguments = BTreeMap::new();
        if self.took('(') {
            while !self.took(')') {
                let name = self.name()?;
                self.expect(':')?;
                let value = self.value()?;
                arguments.insert(name, value);
            }
        }
        Ok(arguments)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next()? {
            Token::Text(text) => Ok(json!(text)),
            Token::Number(number) => Ok(json!(number)),
            Token::Name(name) => Ok(match name.as_str() {
                "true" => json!(true),
                "false" => json!(false),
                "null" => Value::Null,
                other => json!(other),
            }),
            Token::Sign('$') => {
                let name = self.name()?;
                let value = self.variables.get(&name).cloned();
                value.ok_or_else(|| format!("Variable \"${name}\" of required type was not provided."))
            }
            Token::Sign(sign) => Err(format!("Syntax Error: Unexpected \"{sign}\".")),
        }
    }
}

fn tokens(document: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = document;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ' ' | '\t' | '\r' | '\n' | ',' | '\u{feff}' => first.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '{' | '}' | '(' | ')' | ':' | '$' | '!' | '[' | ']' | '=' => {
                tokens.push(Token::Sign(first));
                1
            }
            '"' => {
                // A text of GraphQL without block quotes is a text of JSON.
                let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let text = texts.next().and_then(Result::ok).ok_or("Syntax Error: Unterminated string.")?;
                tokens.push(Token::Text(text));
                texts.byte_offset()
            }
            '-' | '0'..='9' => {
                let length = 1 + rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let number = rest[..length].parse().map_err(|_| "Syntax Error: Invalid number.")?;
                tokens.push(Token::Number(number));
                length
            }
            '_' | 'a'..='z' | 'A'..='Z' => {
                let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                tokens.push(Token::Name(rest[..length].to_owned()));
                length
            }
            other => return Err(format!("Syntax Error: Cannot parse the unexpected character {other:?}.")),
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn a_query_with_variables_is_understood() {
        let document = "query Pool($pool: ID!, $n: [Int!] = 3) {\n # the pool\n workerPool(id: $pool) { pendingRuns w: workers { id, busy } } }";
        let operation = parse(document, &variables(&json!({"pool": "01X"}))).expect("a query");
        assert!(!operation.mutation);
        let pool = &operation.fields[0];
        assert_eq!((pool.name.as_str(), pool.text("id")), ("workerPool", Some("01X")));
        assert_eq!(pool.selection[1].alias, "w");
        assert_eq!(pool.selection[1].selection.len(), 2);
    }

    #[test]
    fn literals_and_shorthand_are_understood() {
        let operation =
            parse(r#"mutation { workerDrainSet(id: "a\"b", drain: true) { id } }"#, &Map::new()).expect("one");
        assert!(operation.mutation);
        assert_eq!(operation.fields[0].text("id"), Some("a\"b"));
        assert_eq!(operation.fields[0].arguments["drain"], json!(true));
        assert_eq!(parse("{ a }", &Map::new()).expect("a query").fields[0].name, "a");
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for document in ["", "{", "{ }", "{ a(b: $c) { d } }", "{ ...F }", "{ a } extra", "{ a(b: \"x) }", "query Q("] {
            assert!(parse(document, &Map::new()).is_err(), "{document}");
        }
        assert!(parse(&"{a".repeat(100), &Map::new()).is_err());
    }
}
