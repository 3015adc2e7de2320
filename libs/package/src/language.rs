//! The programming languages of the format, and which of them the judge offers.

use std::collections::BTreeSet;

#[derive(Debug)]
pub struct Language {
    /// Code in the format.
    pub code: &'static str,
    /// Id in the judge.
    pub judge_id: &'static str,
    /// Whether the judge has it without configuration.
    built_in: bool,
    /// An extension that several languages share is listed for the first one only.
    pub extensions: &'static [&'static str],
}

/// The languages that the judge offers.
#[derive(Clone, Debug, Default)]
pub struct Languages(Option<BTreeSet<String>>);

impl Languages {
    /// The languages that the judge has without configuration.
    pub fn built_in() -> Self {
        Self(None)
    }

    /// Languages by their ids in the judge.
    pub fn offered(ids: impl IntoIterator<Item = String>) -> Self {
        Self(Some(ids.into_iter().collect()))
    }

    pub(crate) fn offers(&self, language: &Language) -> bool {
        match &self.0 {
            Some(ids) => ids.contains(language.judge_id),
            None => language.built_in,
        }
    }

    /// The codes of the offered languages, with other ids in parentheses, for messages.
    pub(crate) fn codes(&self) -> String {
        let name = |language: &Language| match (language.code, language.judge_id) {
            (code, id) if code == id => code.to_owned(),
            (code, id) => format!("{code} ({id})"),
        };
        let offered = TABLE.iter().filter(|language| self.offers(language));
        offered.map(name).collect::<Vec<_>>().join(", ")
    }
}

pub fn by_code(code: &str) -> Option<&'static Language> {
    TABLE.iter().find(|language| language.code == code)
}

pub fn by_extension(extension: &str) -> Option<&'static Language> {
    TABLE.iter().find(|language| language.extensions.contains(&extension))
}

pub fn is_known(code: &str) -> bool {
    by_code(code).is_some()
}

const fn built_in(
    code: &'static str,
    judge_id: &'static str,
    extensions: &'static [&'static str],
) -> Language {
    Language { code, judge_id, built_in: true, extensions }
}

/// A language that an operator may add to the judge under its code.
const fn other(code: &'static str, extensions: &'static [&'static str]) -> Language {
    Language { code, judge_id: code, built_in: false, extensions }
}

/// Variants of a language have no extensions, as extensions cannot select them.
const TABLE: [Language; 52] = [
    built_in("c", "c17", &["c"]),
    built_in("cpp", "cpp20", &["cc", "cpp", "cxx", "c++", "C"]),
    built_in("java", "java", &["java"]),
    built_in("javascript", "javascript", &["js"]),
    built_in("python3", "python3", &["py", "py3"]),
    built_in("rust", "rust", &["rs"]),
    other("ada", &["adb", "ads"]),
    other("algol68", &["a68"]),
    other("apl", &["apl"]),
    other("bash", &["sh"]),
    other("cgmp", &[]),
    other("cobol", &["cob"]),
    other("cppgmp", &[]),
    other("crystal", &["cr"]),
    other("csharp", &["cs"]),
    other("d", &["d"]),
    other("dart", &["dart"]),
    other("elixir", &["ex"]),
    other("erlang", &["erl"]),
    other("forth", &["fth", "4th", "forth", "frt"]),
    other("fortran", &["f90"]),
    other("fsharp", &["fs"]),
    other("gerbil", &["ss"]),
    other("go", &["go"]),
    other("haskell", &["hs"]),
    other("javaalgs4", &[]),
    other("julia", &["jl"]),
    other("kotlin", &["kt"]),
    other("lisp", &["lisp", "cl"]),
    other("lua", &["lua"]),
    other("modula2", &["mod", "def"]),
    other("nim", &["nim"]),
    other("objectivec", &["m"]),
    other("ocaml", &["ml"]),
    other("octave", &[]),
    other("odin", &["odin"]),
    other("pascal", &["pas"]),
    other("perl", &["pm"]),
    other("php", &["php"]),
    other("prolog", &["pl"]),
    other("python2", &["py2"]),
    other("python3numpy", &[]),
    other("racket", &["rkt"]),
    other("ruby", &["rb"]),
    other("scala", &["scala"]),
    other("simula", &["sim"]),
    other("smalltalk", &["st"]),
    other("snobol", &["sno"]),
    other("swift", &["swift"]),
    other("typescript", &["ts"]),
    other("visualbasic", &["vb"]),
    other("zig", &["zig"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_extensions_are_unique() {
        let mut codes: Vec<&str> = TABLE.iter().map(|language| language.code).collect();
        let mut extensions: Vec<&str> =
            TABLE.iter().flat_map(|language| language.extensions).copied().collect();
        let (had_codes, had_extensions) = (codes.len(), extensions.len());
        codes.sort_unstable();
        codes.dedup();
        extensions.sort_unstable();
        extensions.dedup();
        assert_eq!((codes.len(), extensions.len()), (had_codes, had_extensions));
    }

    #[test]
    fn languages_are_found_by_code_and_extension() {
        assert_eq!(by_extension("C").map(|language| language.code), Some("cpp"));
        assert!(by_extension("h").is_none());
        assert!(is_known("cppgmp") && !is_known("all") && !is_known("c++"));
    }

    #[test]
    fn offered_languages_are_built_in_or_listed() {
        let (python, kotlin) = (by_code("python3").unwrap(), by_code("kotlin").unwrap());
        assert!(Languages::built_in().offers(python) && !Languages::built_in().offers(kotlin));
        let offered = Languages::offered(["c17", "kotlin"].map(str::to_owned));
        assert!(!offered.offers(python) && offered.offers(kotlin));
        assert_eq!(offered.codes(), "c (c17), kotlin");
    }
}
