//! Finds the route of a path: a trie in which a literal takes precedence over `*` and `*` over
//! `**`.
//!
//! The search backtracks, so `/a/{x}/c` is found although `/a/b` exists. A lookup visits every node
//! at most once.

use std::collections::{BTreeSet, HashMap};

use crate::percent::{self, Keep};
use crate::template::{Segment, Template};

/// Matches every HTTP method (`custom { kind: "*" }`).
const ANY_METHOD: &str = "*";

/// Route indices by method and path. The indices are the caller's.
#[derive(Debug, Default)]
pub struct Router {
    root: Node,
    /// The registered custom verbs, longest first.
    verbs: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    star: Option<Box<Node>>,
    /// The routes with `**`, by the literals after it; longest first.
    deep: Vec<(Vec<String>, Vec<Leaf>)>,
    leaves: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    method: String,
    verb: String,
    route: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// The route index, and the raw segments of the path without its verb.
    Route(usize, Vec<&'p str>),
    /// The path matches only with these methods.
    OtherMethods(BTreeSet<String>),
    /// The path has a malformed percent-encoding or does not start with `/`.
    Malformed,
    /// No route matches.
    Nothing,
}

impl Router {
    /// Adds a route. `Err` is the index of the route that already matches the same requests.
    pub fn add(&mut self, method: &str, template: &Template, route: usize) -> Result<(), usize> {
        let mut node = &mut self.root;
        let mut segments = template.segments.iter();
        let mut leaves = None;
        for segment in segments.by_ref() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Star => node.star.get_or_insert_default(),
                Segment::DeepStar => {
                    leaves = Some(node.deep_leaves(template));
                    break;
                }
            };
        }
        let leaves = match leaves {
            Some(leaves) => leaves,
            None => &mut node.leaves,
        };
        let same = |leaf: &&Leaf| leaf.verb == template.verb && leaf.method == method;
        if let Some(leaf) = leaves.iter().find(same) {
            return Err(leaf.route);
        }
        leaves.push(Leaf { method: method.to_owned(), verb: template.verb.clone(), route });
        if !template.verb.is_empty() && !self.verbs.contains(&template.verb) {
            self.verbs.push(template.verb.clone());
            self.verbs.sort_by_key(|verb| std::cmp::Reverse(verb.len()));
        }
        Ok(())
    }

    /// Finds the route for a method and a raw (percent-encoded) path without query.
    pub fn find<'p>(&self, method: &str, path: &'p str) -> Found<'p> {
        let Some(path) = path.strip_prefix('/') else { return Found::Malformed };
        let segments: Vec<&str> =
            if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        let decoded: Option<Vec<String>> =
            segments.iter().map(|segment| percent::decode(segment, Keep::Nothing)).collect();
        let Some(mut decoded) = decoded else { return Found::Malformed };

        let mut methods = BTreeSet::new();
        let last = segments.last().copied().unwrap_or_default();
        for verb in &self.verbs {
            let Some(stem) = last.strip_suffix(verb.as_str()).and_then(|s| s.strip_suffix(':'))
            else {
                continue;
            };
            let Some(stem_decoded) = percent::decode(stem, Keep::Nothing) else { continue };
            let whole = std::mem::replace(&mut decoded[segments.len() - 1], stem_decoded);
            let mut search = Search { method, verb, methods: &mut methods };
            if let Some(route) = search.walk(&self.root, &decoded) {
                let mut raw = segments;
                *raw.last_mut().expect("a verb was split off the last segment") = stem;
                return Found::Route(route, raw);
            }
            *decoded.last_mut().expect("a verb was split off the last segment") = whole;
            // The verb belongs to this path, and is not part of an id.
            if !methods.is_empty() {
                return Found::OtherMethods(methods);
            }
        }
        let mut search = Search { method, verb: "", methods: &mut methods };
        match search.walk(&self.root, &decoded) {
            Some(route) => Found::Route(route, segments),
            None if methods.is_empty() => Found::Nothing,
            None => Found::OtherMethods(methods),
        }
    }
}

impl Node {
    fn deep_leaves(&mut self, template: &Template) -> &mut Vec<Leaf> {
        let start = template.deep_star().map_or(template.segments.len(), |deep| deep + 1);
        let suffix: Vec<String> = template.segments[start..]
            .iter()
            .filter_map(|segment| match segment {
                Segment::Literal(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let index = match self.deep.iter().position(|(known, _)| *known == suffix) {
            Some(index) => index,
            None => {
                let at = self.deep.partition_point(|(known, _)| known.len() >= suffix.len());
                self.deep.insert(at, (suffix, Vec::new()));
                at
            }
        };
        &mut self.deep[index].1
    }
}

struct Search<'s> {
    method: &'s str,
    verb: &'s str,
    methods: &'s mut BTreeSet<String>,
}

impl Search<'_> {
    fn walk(&mut self, node: &Node, path: &[String]) -> Option<usize> {
        if let Some((first, rest)) = path.split_first() {
            if let Some(child) = node.literals.get(first)
                && let Some(route) = self.walk(child, rest)
            {
                return Some(route);
            }
            if let Some(child) = &node.star
                && !first.is_empty()
                && let Some(route) = self.walk(child, rest)
            {
                return Some(route);
            }
        } else if let Some(route) = self.leaf(&node.leaves) {
            return Some(route);
        }
        node.deep
            .iter()
            .filter(|(suffix, _)| path.ends_with(suffix))
            .find_map(|(_, leaves)| self.leaf(leaves))
    }

    fn leaf(&mut self, leaves: &[Leaf]) -> Option<usize> {
        let mut any = None;
        for leaf in leaves.iter().filter(|leaf| leaf.verb == self.verb) {
            if leaf.method == self.method {
                return Some(leaf.route);
            }
            if leaf.method == ANY_METHOD {
                any = Some(leaf.route);
            } else {
                self.methods.insert(leaf.method.clone());
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        router: Router,
        templates: Vec<Template>,
    }

    fn routes(list: &[(&str, &str)]) -> Fixture {
        let mut fixture = Fixture { router: Router::default(), templates: Vec::new() };
        for (index, (method, text)) in list.iter().enumerate() {
            let template: Template = text.parse().unwrap();
            fixture.router.add(method, &template, index).unwrap();
            fixture.templates.push(template);
        }
        fixture
    }

    fn gets(templates: &[&str]) -> Fixture {
        routes(&templates.iter().map(|text| ("GET", *text)).collect::<Vec<_>>())
    }

    impl Fixture {
        /// `expected` is the template of the route, or empty if no route matches; `bindings` are
        /// `name=value`.
        #[track_caller]
        fn check(&self, path: &str, expected: &str, bindings: &[&str]) {
            let found = self.router.find("GET", path);
            let Found::Route(index, raw) = found else {
                assert_eq!("", expected, "{path} was not found");
                return;
            };
            let template = &self.templates[index];
            assert_eq!(template.to_string(), expected, "{path}");
            let bound: Vec<String> = template
                .variables
                .iter()
                .map(|v| format!("{}={}", v.field_path.join("."), template.value(v, &raw).unwrap()))
                .collect();
            assert_eq!(bound, bindings, "{path}");
        }
    }

    #[test]
    fn most_specific_route_wins() {
        let fixture = gets(&["/a/**", "/b/*", "/c/*/d/**", "/c/*/d/e", "/c/f/d/e", "/"]);
        fixture.check("/a/b", "/a/**", &[]);
        fixture.check("/a/b/c", "/a/**", &[]);
        fixture.check("/a", "/a/**", &[]);
        fixture.check("/b/c", "/b/*", &[]);
        fixture.check("b/c/d", "", &[]);
        fixture.check("/b/", "", &[]);
        fixture.check("/c/u/d/v", "/c/*/d/**", &[]);
        fixture.check("/c/v/d/w/x", "/c/*/d/**", &[]);
        fixture.check("/c/x/y/d/z", "", &[]);
        fixture.check("/c//d/w/x", "", &[]);
        fixture.check("/c/x/d/e", "/c/*/d/e", &[]);
        fixture.check("/c/f/d/e", "/c/f/d/e", &[]);
        fixture.check("/", "/", &[]);
        gets(&["/**"]).check("/a/", "/**", &[]);
        gets(&["/**"]).check("/", "/**", &[]);
        gets(&[]).check("/a", "", &[]);
    }

    #[test]
    fn variables_capture_segments() {
        let fixture = gets(&[
            "/a/{x}/c/d/e",
            "/{x=a/*}/b/{y=*}/c",
            "/a/{x=b/*}/{y=d/**}",
            "/alpha/{x=*}/beta/{y=**}/gamma",
            "/{x=*}/a",
            "/{x=**}/a/b",
            "/a/b/{x=*}",
            "/a/b/c/{x=**}",
            "/{x=*}/d/e/f/{y=**}",
        ]);
        fixture.check("/a/book/c/d/e", "/a/{x}/c/d/e", &["x=book"]);
        fixture.check("/a/hello/b/world/c", "/{x=a/*}/b/{y=*}/c", &["x=a/hello", "y=world"]);
        fixture.check(
            "/a/b/zoo/d/animal/tiger",
            "/a/{x=b/*}/{y=d/**}",
            &["x=b/zoo", "y=d/animal/tiger"],
        );
        fixture.check(
            "/alpha/dog/beta/eat/bones/gamma",
            "/alpha/{x=*}/beta/{y=**}/gamma",
            &["x=dog", "y=eat/bones"],
        );
        fixture.check("/foo/a", "/{x=*}/a", &["x=foo"]);
        fixture.check("/foo/bar/a/b", "/{x=**}/a/b", &["x=foo/bar"]);
        fixture.check("/a/b/foo", "/a/b/{x=*}", &["x=foo"]);
        fixture.check("/a/b/c/foo/bar/baz", "/a/b/c/{x=**}", &["x=foo/bar/baz"]);
        fixture.check("/foo/d/e/f/bar/baz", "/{x=*}/d/e/f/{y=**}", &["x=foo", "y=bar/baz"]);
    }

    #[test]
    fn literals_may_follow_the_double_wildcard() {
        let fixture = gets(&[
            "/a/{x=b/**}",
            "/a/{x=b/**}/z",
            "/a/{x=b/**}/y/z",
            "/a/{x=b/**}:verb",
            "/a/{x=**}",
            "/c/{x=*}/{y=d/**}/e",
            "/c/{x=*}/{y=d/**}/e:verb",
            "/f/{x=*}/{y=**}/g",
            "/f/{x=*}/{y=**}/g:verb",
            "/a/{x=b/*/y/z/**}/foo",
            "/a/{x=b/*/**/y/z}/foo",
        ]);
        fixture.check("/a/b/hello/world/c", "/a/{x=b/**}", &["x=b/hello/world/c"]);
        fixture.check("/a/b/world/c/z", "/a/{x=b/**}/z", &["x=b/world/c"]);
        fixture.check("/a/b/world/c/y/z", "/a/{x=b/**}/y/z", &["x=b/world/c"]);
        fixture.check("/a/b/world/c:verb", "/a/{x=b/**}:verb", &["x=b/world/c"]);
        fixture.check("/a/hello/b/world/c", "/a/{x=**}", &["x=hello/b/world/c"]);
        fixture.check(
            "/c/hello/d/esp/world/e",
            "/c/{x=*}/{y=d/**}/e",
            &["x=hello", "y=d/esp/world"],
        );
        fixture.check(
            "/c/hola/d/esp/mundo/e:verb",
            "/c/{x=*}/{y=d/**}/e:verb",
            &["x=hola", "y=d/esp/mundo"],
        );
        fixture.check("/f/foo/bar/baz/g", "/f/{x=*}/{y=**}/g", &["x=foo", "y=bar/baz"]);
        fixture.check("/f/foo/bar/baz/g:verb", "/f/{x=*}/{y=**}/g:verb", &["x=foo", "y=bar/baz"]);
        fixture.check(
            "/a/b/foo/y/z/bar/baz/foo",
            "/a/{x=b/*/y/z/**}/foo",
            &["x=b/foo/y/z/bar/baz"],
        );
        fixture.check(
            "/a/b/foo/bar/baz/y/z/foo",
            "/a/{x=b/*/**/y/z}/foo",
            &["x=b/foo/bar/baz/y/z"],
        );
    }

    #[test]
    fn only_registered_verbs_are_split_off() {
        let fixture = gets(&["/person", "/person/{id=*}", "/{x=**}:verb"]);
        fixture.check("/person:verb", "/{x=**}:verb", &["x=person"]);
        fixture.check("/person/jason:verb", "/{x=**}:verb", &["x=person/jason"]);
        fixture.check("/person/jason:other", "/person/{id=*}", &["id=jason:other"]);
        fixture.check("/person:other", "", &[]);
        fixture.check("/animal/cat", "", &[]);
        let two = gets(&["/{a=*}/{b=*}:verb", "/foo/*/hello"]);
        two.check("/some:verb/const:verb", "/{a=*}/{b=*}:verb", &["a=some:verb", "b=const"]);
        two.check("/foo/other:verb/hello", "/foo/*/hello", &[]);
        let fallback = gets(&["/x/{id}", "/y/{id}:cancel"]);
        fallback.check("/x/1:cancel", "/x/{id}", &["id=1:cancel"]);
        fallback.check("/y/1%3Acancel", "", &[]);
        fallback.check("/y/:cancel", "", &[]);
        let long = gets(&["/x/{id}:b:c", "/x/{id}:c"]);
        long.check("/x/1:b:c", "/x/{id}:b:c", &["id=1"]);
        long.check("/x/1:c", "/x/{id}:c", &["id=1"]);
        gets(&["/some/*:verb"]).check("/some/other:verb/", "", &[]);
    }

    #[test]
    fn paths_are_percent_decoded() {
        let fixture = gets(&["/a/{x=*}/{y=**}/c", "/%e7%ac%ac", "/v1/{x}"]);
        let reserved = "%21%23%24%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D";
        fixture.check(
            &format!("/a/{reserved}/{reserved}/c"),
            "/a/{x=*}/{y=**}/c",
            &["x=!#$&'()*+,/:;=?@[]", "y=!#$&'()*+,%2F:;=?@[]"],
        );
        let around = gets(&["/a/{x=b/**/c}/d"]);
        around.check("/a/b/c/d", "/a/{x=b/**/c}/d", &["x=b/c"]);
        around.check("/a/b/1%202/3%2F4/c/d", "/a/{x=b/**/c}/d", &["x=b/1 2/3%2F4/c"]);
        fixture.check("/%E7%AC%AC", "/%e7%ac%ac", &[]);
        fixture.check("/%761/p%20q", "/v1/{x}", &["x=p q"]);
        for path in ["/v1/%", "/v1/%2", "/v1/%zz", "/v1/%ff", "*"] {
            assert_eq!(fixture.router.find("GET", path), Found::Malformed, "{path}");
        }
    }

    #[test]
    fn other_methods_of_a_path_are_listed() {
        let fixture =
            routes(&[("GET", "/v1/{x}"), ("POST", "/v1/me"), ("DELETE", "/v1/{x}"), ("*", "/any")]);
        assert!(matches!(fixture.router.find("GET", "/v1/me"), Found::Route(0, _)));
        assert!(matches!(fixture.router.find("POST", "/v1/me"), Found::Route(1, _)));
        assert!(matches!(fixture.router.find("PURGE", "/any"), Found::Route(3, _)));
        let Found::OtherMethods(methods) = fixture.router.find("PATCH", "/v1/me") else { panic!() };
        assert_eq!(methods.into_iter().collect::<Vec<_>>(), ["DELETE", "GET", "POST"]);
        assert_eq!(fixture.router.find("GET", "/v2"), Found::Nothing);
    }

    #[test]
    fn a_path_with_a_verb_has_the_methods_of_the_verb_only() {
        let fixture = routes(&[
            ("GET", "/v1/books/{id}"),
            ("POST", "/v1/books/{id}:publish"),
            ("GET", "/v1/books/{id}:watch"),
            ("POST", "/v1/books:merge"),
        ]);
        let methods = |path| match fixture.router.find("DELETE", path) {
            Found::OtherMethods(methods) => methods.into_iter().collect::<Vec<_>>().join(" "),
            _ => String::new(),
        };
        assert_eq!(methods("/v1/books/1:publish"), "POST");
        assert_eq!(methods("/v1/books/1:watch"), "GET");
        assert_eq!(methods("/v1/books:merge"), "POST");
        assert_eq!(methods("/v1/books/1:other"), "GET");
        assert!(matches!(
            fixture.router.find("GET", "/v1/books/1:publish"),
            Found::OtherMethods(_)
        ));
        assert!(matches!(fixture.router.find("GET", "/v1/books/1:other"), Found::Route(0, _)));
    }

    #[test]
    fn ambiguous_routes_are_refused() {
        let mut router = Router::default();
        let mut add = |method, text: &str, n| router.add(method, &text.parse().unwrap(), n);
        assert_eq!(add("GET", "/a/{x}", 0), Ok(()));
        assert_eq!(add("GET", "/a/{y}", 1), Err(0));
        assert_eq!(add("GET", "/a/{y}:verb", 1), Ok(()));
        assert_eq!(add("POST", "/a/{y}", 2), Ok(()));
        assert_eq!(add("GET", "/{x=b/**}/c", 3), Ok(()));
        assert_eq!(add("GET", "/b/{y=**}/c", 4), Err(3));
    }
}
