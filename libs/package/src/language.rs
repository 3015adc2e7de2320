//! The programming languages of the format, and which of them the judge supports.

#[derive(Debug)]
pub struct Language {
    /// Code in the format.
    pub code: &'static str,
    /// Id in the judge; `None` = not supported.
    pub judge_id: Option<&'static str>,
    /// An extension that several languages share is listed for the first one only.
    pub extensions: &'static [&'static str],
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

const fn supported(
    code: &'static str,
    judge_id: &'static str,
    extensions: &'static [&'static str],
) -> Language {
    Language { code, judge_id: Some(judge_id), extensions }
}

const fn unsupported(code: &'static str, extensions: &'static [&'static str]) -> Language {
    Language { code, judge_id: None, extensions }
}

/// Variants of a language have no extensions, as extensions cannot select them.
const TABLE: [Language; 52] = [
    supported("c", "c17", &["c"]),
    supported("cpp", "cpp20", &["cc", "cpp", "cxx", "c++", "C"]),
    supported("java", "java", &["java"]),
    supported("python3", "python3", &["py", "py3"]),
    unsupported("ada", &["adb", "ads"]),
    unsupported("algol68", &["a68"]),
    unsupported("apl", &["apl"]),
    unsupported("bash", &["sh"]),
    unsupported("cgmp", &[]),
    unsupported("cobol", &["cob"]),
    unsupported("cppgmp", &[]),
    unsupported("crystal", &["cr"]),
    unsupported("csharp", &["cs"]),
    unsupported("d", &["d"]),
    unsupported("dart", &["dart"]),
    unsupported("elixir", &["ex"]),
    unsupported("erlang", &["erl"]),
    unsupported("forth", &["fth", "4th", "forth", "frt"]),
    unsupported("fortran", &["f90"]),
    unsupported("fsharp", &["fs"]),
    unsupported("gerbil", &["ss"]),
    unsupported("go", &["go"]),
    unsupported("haskell", &["hs"]),
    unsupported("javaalgs4", &[]),
    unsupported("javascript", &["js"]),
    unsupported("julia", &["jl"]),
    unsupported("kotlin", &["kt"]),
    unsupported("lisp", &["lisp", "cl"]),
    unsupported("lua", &["lua"]),
    unsupported("modula2", &["mod", "def"]),
    unsupported("nim", &["nim"]),
    unsupported("objectivec", &["m"]),
    unsupported("ocaml", &["ml"]),
    unsupported("octave", &[]),
    unsupported("odin", &["odin"]),
    unsupported("pascal", &["pas"]),
    unsupported("perl", &["pm"]),
    unsupported("php", &["php"]),
    unsupported("prolog", &["pl"]),
    unsupported("python2", &["py2"]),
    unsupported("python3numpy", &[]),
    unsupported("racket", &["rkt"]),
    unsupported("ruby", &["rb"]),
    unsupported("rust", &["rs"]),
    unsupported("scala", &["scala"]),
    unsupported("simula", &["sim"]),
    unsupported("smalltalk", &["st"]),
    unsupported("snobol", &["sno"]),
    unsupported("swift", &["swift"]),
    unsupported("typescript", &["ts"]),
    unsupported("visualbasic", &["vb"]),
    unsupported("zig", &["zig"]),
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
        assert_eq!(by_extension("kt").and_then(|language| language.judge_id), None);
        assert!(by_extension("h").is_none());
        assert!(is_known("cppgmp") && !is_known("all") && !is_known("c++"));
    }
}
