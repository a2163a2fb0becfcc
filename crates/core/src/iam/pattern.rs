//! Resources as IAM writes them, with its wildcards, and what covers what.

use std::fmt::{self, Write};

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any one character: `?`.
    One,
    /// Any characters: `*`.
    Any,
    /// One certain character of an identifier, which the settings do not tell; written as `?`.
    UnknownOne,
    /// A certain identifier that the settings do not tell; written as `*`.
    Unknown,
}

/// What a statement's `Resource` says (IAM User Guide, "IAM JSON policy elements: Resource").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

impl Pattern {
    pub fn everything() -> Self {
        Self(vec![Token::Any])
    }

    /// This text and nothing else: a name may have characters that IAM would take for wildcards.
    pub fn literal(text: &str) -> Self {
        Self::default().then(text)
    }

    /// What a policy says: `*`, `?`, and `${*}`, `${?}` and `${$}` for the characters themselves. Other variables stand as they are.
    pub fn parse(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let escaped = ["${*}", "${?}", "${$}"].into_iter().find(|escape| rest.starts_with(escape));
            let (token, length) = match (escaped.and_then(|escape| escape.chars().nth(2)), c) {
                (Some(own), _) => (Token::Literal(own), 4),
                (None, '*') => (Token::Any, 1),
                (None, '?') => (Token::One, 1),
                (None, c) => (Token::Literal(c), c.len_utf8()),
            };
            tokens.push(token);
            rest = &rest[length..];
        }
        Self(tokens)
    }

    /// A resource that fits, and whether it is the only one: a simulation asks about one.
    pub fn sample(&self) -> (String, bool) {
        let letter = |token: &Token| match token {
            Token::Literal(c) => *c,
            Token::One | Token::UnknownOne | Token::Any | Token::Unknown => 'x',
        };
        (self.0.iter().map(letter).collect(), self.0.iter().all(|token| matches!(token, Token::Literal(_))))
    }

    pub(super) fn then(mut self, text: &str) -> Self {
        self.0.extend(text.chars().map(Token::Literal));
        self
    }

    pub(super) fn then_any(mut self) -> Self {
        self.0.push(Token::Any);
        self
    }

    /// An identifier that is not known, such as the one that Auto Scaling gives a group.
    pub(super) fn then_unknown(mut self) -> Self {
        self.0.push(Token::Unknown);
        self
    }

    /// So many characters that are not known, such as those that Secrets Manager puts behind a name.
    pub(super) fn then_unknown_characters(mut self, count: usize) -> Self {
        self.0.extend(std::iter::repeat_n(Token::UnknownOne, count));
        self
    }

    /// Whether this allows all of what the other means. What the other does not know is taken for what fits.
    pub fn covers(&self, other: &Self) -> bool {
        relation(&self.0, &other.0, |own, its| match (own, its) {
            (Token::Literal(a), Token::Literal(b)) => a == b,
            (Token::Literal(c), Token::UnknownOne | Token::Unknown) => of_identifier(c),
            (Token::One | Token::UnknownOne, Token::Any) | (Token::Literal(_), Token::One | Token::Any) => false,
            (Token::One | Token::UnknownOne | Token::Any | Token::Unknown, _) => true,
        })
    }

    /// Whether there is anything that both allow.
    pub fn meets(&self, other: &Self) -> bool {
        let many = |token: Token| matches!(token, Token::Any | Token::Unknown);
        // Of each row: whether what is left of the first meets what is left of the second from there on.
        let mut below = vec![false; other.0.len() + 1];
        for mine in self.0.iter().copied().map(Some).chain([None]).rev() {
            let mut row = vec![false; other.0.len() + 1];
            for from in (0..row.len()).rev() {
                let its = other.0.get(from).copied();
                row[from] = match (mine, its) {
                    (None, None) => true,
                    (Some(mine), _) if many(mine) && below[from] => true,
                    (Some(mine), Some(_)) if many(mine) && row[from + 1] => true,
                    (_, Some(its)) if many(its) && (row[from + 1] || (mine.is_some() && below[from])) => true,
                    (Some(Token::Literal(a)), Some(Token::Literal(b))) => a == b && below[from + 1],
                    (Some(mine), Some(its)) => !many(mine) && !many(its) && below[from + 1],
                    (None, Some(_)) | (Some(_), None) => false,
                };
            }
            below = row;
        }
        below[0]
    }
}

/// Whether the pieces of both can be paired; those that stand for many may stand for none.
fn relation(own: &[Token], other: &[Token], pairs: impl Fn(Token, Token) -> bool) -> bool {
    let many = |token: Token| matches!(token, Token::Any | Token::Unknown);
    // fits[j]: whether what is left of the first fits what is left of the second from j on.
    let mut fits: Vec<bool> =
        (0..=other.len()).map(|from| other[from..].iter().all(|it| *it == Token::Unknown)).collect();
    for &mine in own.iter().rev() {
        let after = fits.clone();
        for from in (0..=other.len()).rev() {
            let its = other.get(from).copied();
            fits[from] = (many(mine) && after[from])
                || its.is_some_and(|its| {
                    let paired = pairs(mine, its);
                    (paired && after[from + 1])
                        || (paired && many(mine) && fits[from + 1])
                        || (paired && its == Token::Unknown && after[from])
                        || (its == Token::Unknown && fits[from + 1])
                });
        }
    }
    fits[0]
}

fn of_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

impl fmt::Display for Pattern {
    /// As a policy writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            match token {
                Token::Literal(c @ ('*' | '?' | '$')) => write!(f, "${{{c}}}")?,
                Token::Literal(c) => f.write_char(*c)?,
                Token::One | Token::UnknownOne => f.write_char('?')?,
                Token::Any | Token::Unknown => f.write_char('*')?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Pattern {
        Pattern::literal("arn:aws:autoscaling:r:1:autoScalingGroup:")
            .then_unknown()
            .then(":autoScalingGroupName/")
            .then(name)
    }

    #[test]
    fn wildcards_cover_and_names_that_look_like_them_do_not() {
        let covers = |own: &str, other: &str| Pattern::parse(own).covers(&Pattern::parse(other));
        for (own, other) in [
            ("*", "*"),
            ("a*", "ab*"),
            ("a*c", "abc"),
            ("a?c", "abc"),
            ("a?", "a?"),
            ("**", "?"),
            ("a*b*", "a*b*"),
            ("", ""),
        ] {
            assert!(covers(own, other), "{own} {other}");
        }
        for (own, other) in
            [("a", "*"), ("ab*", "a*"), ("a?c", "a*c"), ("a", "a?"), ("a*c", "ab"), ("", "*"), ("?", ""), ("${*}", "*")]
        {
            assert!(!covers(own, other), "{own} {other}");
        }
        assert!(Pattern::parse("x${*}").covers(&Pattern::literal("x*")));
        assert!(!Pattern::parse("x${*}").covers(&Pattern::literal("xy")));
        assert_eq!(Pattern::literal("a*?$b").to_string(), "a${*}${?}${$}b");
        assert_eq!(Pattern::parse("a${*}${?}${$}b*?"), Pattern::literal("a*?$b").then_any().then_one());
    }

    #[test]
    fn what_is_not_known_is_taken_for_what_fits() {
        let covers = |own: &str| Pattern::parse(own).covers(&group("ci"));
        assert!(covers("arn:aws:autoscaling:r:1:autoScalingGroup:*:autoScalingGroupName/ci"));
        assert!(covers("arn:aws:autoscaling:r:1:autoScalingGroup:1f-2e:autoScalingGroupName/ci"));
        assert!(covers("arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/c*"));
        assert!(!covers("arn:aws:autoscaling:r:1:autoScalingGroup:1f:autoScalingGroupName/ci2"));
        assert!(!covers("arn:aws:autoscaling:r:1:autoScalingGroup:a:b:autoScalingGroupName/ci"));
        assert!(!covers("arn:aws:autoscaling:r:2:autoScalingGroup:*:autoScalingGroupName/ci"));
        assert!(
            group("ci").covers(&Pattern::parse("arn:aws:autoscaling:r:1:autoScalingGroup:1f:autoScalingGroupName/ci"))
        );
        assert!(
            !group("ci").covers(&Pattern::parse("arn:aws:autoscaling:r:1:autoScalingGroup:*:autoScalingGroupName/c*"))
        );
        let secret = Pattern::literal("s:ci-").then_unknown_characters(6);
        assert!(Pattern::parse("s:ci-AbC123").covers(&secret) && Pattern::parse("s:ci-*").covers(&secret));
        assert!(!Pattern::parse("s:ci-AbC1234").covers(&secret) && !Pattern::parse("s:ci").covers(&secret));
        assert_eq!(secret.to_string(), "s:ci-??????");
    }

    #[test]
    fn two_meet_where_both_allow_something() {
        let meets = |own: &str, other: &str| Pattern::parse(own).meets(&Pattern::parse(other));
        assert!(
            meets("a*", "*b") && meets("a*c", "abc") && meets("*", "x") && meets("ab*", "a*") && meets("a*", "ab*")
        );
        assert!(!meets("a*", "b*") && !meets("a?", "a") && !meets("abc", "abd"));
    }

    impl Pattern {
        fn then_one(mut self) -> Self {
            self.0.push(Token::One);
            self
        }
    }
}
