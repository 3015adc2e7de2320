//! Path templates: the grammar of `google/api/http.proto`, plus literals after `**`.
//!
//! ```text
//! Template = "/" [ Segments [ Verb ] ] ;
//! Segments = Segment { "/" Segment } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Variable = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb     = ":" LITERAL ;
//! ```
//!
//! Must not know messages: the plan checks whether a field path exists.

use std::fmt;
use std::str::FromStr;

use crate::percent::{self, Keep};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Matches this text after percent-decoding.
    Literal(String),
    /// `*`: matches one non-empty segment.
    Star,
    /// `**`: matches zero or more segments.
    DeepStar,
}

/// A variable and the segments it captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The request field that it sets, in proto names.
    pub field_path: Vec<String>,
    /// Index of the first captured segment of the template.
    pub start: usize,
    /// Index after the last captured segment of the template.
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    /// The segments, with variables replaced by the segments that they capture.
    pub segments: Vec<Segment>,
    /// The variables, in order.
    pub variables: Vec<Variable>,
    /// The custom verb; empty if absent.
    pub verb: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path template `{template}`: {reason}")]
pub struct TemplateError {
    /// The template as written.
    pub template: String,
    pub reason: &'static str,
}

impl Template {
    /// The index of `**`, if the template has it.
    pub fn deep_star(&self) -> Option<usize> {
        self.segments.iter().position(|segment| *segment == Segment::DeepStar)
    }

    /// The range of path segments a variable captures when the path has `path_length` segments.
    fn capture(&self, variable: &Variable, path_length: usize) -> std::ops::Range<usize> {
        let shift = |index: usize| match self.deep_star() {
            Some(deep) if index > deep => index + path_length - self.segments.len(),
            _ => index,
        };
        shift(variable.start)..shift(variable.end)
    }

    /// The value a variable captures from the raw segments of a path that this template matched.
    ///
    /// A variable of one segment is decoded completely. A variable that may have several segments
    /// keeps `%2F`, to distinguish it from the separators. `None` if the encoding is malformed.
    pub fn value(&self, variable: &Variable, path: &[&str]) -> Option<String> {
        let single = variable.end - variable.start == 1
            && self.segments.get(variable.start) != Some(&Segment::DeepStar);
        let keep = if single { Keep::Nothing } else { Keep::Slash };
        let captured = path.get(self.capture(variable, path.len()))?;
        let decoded: Option<Vec<String>> =
            captured.iter().map(|part| percent::decode(part, keep)).collect();
        Some(decoded?.join("/"))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        let parser = Parser { rest: text, segments: Vec::new(), variables: Vec::new() };
        parser.template(text).map_err(|reason| TemplateError { template: text.to_owned(), reason })
    }
}

struct Parser<'t> {
    rest: &'t str,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl<'t> Parser<'t> {
    fn template(mut self, text: &str) -> Result<Template, &'static str> {
        if !self.eat('/') {
            return Err("must start with `/`");
        }
        let mut verb = String::new();
        if !self.rest.is_empty() {
            self.split_off_verb(&mut verb)?;
            self.top_level()?;
        }
        let deep = self.segments.iter().position(|segment| *segment == Segment::DeepStar);
        let after_deep = deep.map_or(&[][..], |index| &self.segments[index + 1..]);
        if !after_deep.iter().all(|segment| matches!(segment, Segment::Literal(_))) {
            return Err("only literals may follow `**`");
        }
        let Parser { segments, variables, .. } = self;
        Ok(Template { text: text.to_owned(), segments, variables, verb })
    }

    /// A verb follows the last segment. It starts at the first colon after a variable or wildcard,
    /// and at the last colon of a literal.
    fn split_off_verb(&mut self, verb: &mut String) -> Result<(), &'static str> {
        let last_brace = self.rest.rfind('}').map_or(0, |index| index + 1);
        let last = self.rest[last_brace..].rfind('/').map_or(last_brace, |i| last_brace + i + 1);
        let segment = &self.rest[last..];
        let colon = if last == last_brace && last > 0 || segment.starts_with('*') {
            segment.find(':')
        } else {
            segment.rfind(':')
        };
        let Some(colon) = colon else { return Ok(()) };
        *verb = literal(&segment[colon + 1..]).ok_or("the verb must be a literal")?;
        self.rest = &self.rest[..last + colon];
        Ok(())
    }

    fn top_level(&mut self) -> Result<(), &'static str> {
        loop {
            if self.eat('{') {
                self.variable()?;
            } else {
                self.segment(&['/'], true)?;
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            if !self.eat('/') {
                return Err("a segment must be either a literal, a wildcard or a variable");
            }
        }
    }

    fn variable(&mut self) -> Result<(), &'static str> {
        let end = self.rest.find(['=', '}']).ok_or("a variable must end with `}`")?;
        let field_path: Vec<String> = self.rest[..end].split('.').map(str::to_owned).collect();
        if !field_path.iter().all(|part| is_identifier(part)) {
            return Err("a field path must consist of identifiers and dots");
        }
        if self.variables.iter().any(|variable| variable.field_path == field_path) {
            return Err("a variable must not be repeated");
        }
        self.rest = &self.rest[end..];
        let start = self.segments.len();
        if self.eat('=') {
            loop {
                self.segment(&['/', '}'], false)?;
                if !self.eat('/') {
                    break;
                }
            }
        } else {
            self.segments.push(Segment::Star);
        }
        if !self.eat('}') {
            return Err("a variable must end with `}`");
        }
        self.variables.push(Variable { field_path, start, end: self.segments.len() });
        Ok(())
    }

    fn segment(&mut self, ends: &[char], colon: bool) -> Result<(), &'static str> {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let text: &'t str = &self.rest[..end];
        self.rest = &self.rest[end..];
        self.segments.push(match text {
            "" => return Err("a segment must not be empty"),
            "*" => Segment::Star,
            "**" => Segment::DeepStar,
            text if text.contains('{') => {
                return Err("variables must not be nested or mixed with text");
            }
            text if text.contains(':') && !colon => return Err("a verb must be at the end"),
            text => Segment::Literal(
                literal(text).ok_or("a literal has a character that is not allowed")?,
            ),
        });
        Ok(())
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Decodes a literal. It may have all RFC 3986 `pchar` characters except `*`.
fn literal(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@%".contains(&byte);
    if text.is_empty() || !text.bytes().all(allowed) {
        return None;
    }
    percent::decode(text, Keep::Nothing)
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `variables` have the form `path:start-end`.
    #[track_caller]
    fn check(text: &str, segments: &[&str], verb: &str, variables: &[&str]) {
        let template: Template = text.parse().unwrap();
        let shown: Vec<String> = template
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => text.clone(),
                Segment::Star => "*".into(),
                Segment::DeepStar => "**".into(),
            })
            .collect();
        let bound: Vec<String> = template
            .variables
            .iter()
            .map(|v| format!("{}:{}-{}", v.field_path.join("."), v.start, v.end))
            .collect();
        assert_eq!(shown, segments, "{text}");
        assert_eq!(template.verb, verb, "{text}");
        assert_eq!(bound, variables, "{text}");
    }

    #[test]
    fn literals_and_wildcards_are_parsed() {
        check("/", &[], "", &[]);
        check("/v1", &["v1"], "", &[]);
        check("/shelves/**", &["shelves", "**"], "", &[]);
        check("/**", &["**"], "", &[]);
        check("/*/a/**", &["*", "a", "**"], "", &[]);
        check("/v1/a=b&c=d;e=f:g/x.rdf", &["v1", "a=b&c=d;e=f:g", "x.rdf"], "", &[]);
        check("/%e7%ac%ac", &["第"], "", &[]);
        check("/-._~!$&'()+,;=@", &["-._~!$&'()+,;=@"], "", &[]);
    }

    #[test]
    fn verbs_are_parsed() {
        check("/a:foo", &["a"], "foo", &[]);
        check("/a/b/c:foo", &["a", "b", "c"], "foo", &[]);
        check("/*:verb", &["*"], "verb", &[]);
        check("/**:verb", &["**"], "verb", &[]);
        check("/{a}:verb", &["*"], "verb", &["a:0-1"]);
        check("/v1/a/{endpoint}:b:c", &["v1", "a", "*"], "b:c", &["endpoint:2-3"]);
        check("/a:b:c", &["a:b"], "c", &[]);
        check("/a/{b=*}/**:verb", &["a", "*", "**"], "verb", &["b:1-2"]);
        check("/{x.y.z=a/**/b}/c/d:custom", &["a", "**", "b", "c", "d"], "custom", &["x.y.z:0-3"]);
    }

    #[test]
    fn variables_are_parsed() {
        check(
            "/shelves/{shelf}/books/{book}",
            &["shelves", "*", "books", "*"],
            "",
            &["shelf:1-2", "book:3-4"],
        );
        check("/a/{a.b.c}", &["a", "*"], "", &["a.b.c:1-2"]);
        check("/a/{b=**}", &["a", "**"], "", &["b:1-2"]);
        check("/a/{b=c/*/d}", &["a", "c", "*", "d"], "", &["b:1-4"]);
        check("/a/{b=c/**}/d/e", &["a", "c", "**", "d", "e"], "", &["b:1-3"]);
        check("/a/{b=c/**/d}/e:verb", &["a", "c", "**", "d", "e"], "verb", &["b:1-4"]);
        check("/{x}/{y=p/*}", &["*", "p", "*"], "", &["x:0-1", "y:1-3"]);
    }

    #[test]
    fn invalid_templates_are_refused() {
        let refused = [
            "",
            "//",
            "/{}",
            "/a/",
            "/a//b",
            ":verb",
            "/:verb",
            "/a/:verb",
            ":",
            "/:",
            "/*:",
            "/**:",
            "/{var}:",
            "/a/b/:",
            "/a/b/*:",
            "/a/b/**:",
            "/a/b/{var}:",
            "/a/{",
            "/a/{var",
            "/a/{var.",
            "/a/{x=var:verb}",
            "a",
            "{x}",
            "{x=/a}",
            "a/b",
            "a/{x}/b:verb",
            "/a/{var=/b}",
            "/{var=a/{nested=b}}",
            "/a{x}",
            "/{x}a",
            "/a{x}b",
            "/{x}a{y}",
            "/a/b{x}c/s",
            "/a/{x}b{y}/s",
            "/a{x=b/**}/{y=*}",
            "/a/**/*",
            "/a/**/foo/*",
            "/a/**/**",
            "/a/**/foo/**",
            "/a/**/{x}",
            "/a?b",
            "/%",
            "/%2",
            "/a%2z",
            "/{name",
            "/{name=",
            "/{name=*",
            "/{name.}",
            "/{name..nested}",
            "/{field-name}",
            "/{1a}",
            "/{x}/{x}",
            "/{x={y}}",
            "/a b",
            "/a*",
            "/***",
            "/a/{x=}",
            "/ü",
        ];
        for text in refused {
            assert!(text.parse::<Template>().is_err(), "{text} was accepted");
        }
    }
}
