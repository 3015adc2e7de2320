//! The format's table of programming languages, and which of them the judge has.

/// A language of the format.
#[derive(Debug)]
pub struct Language {
    /// Its code.
    pub code: &'static str,
    /// The judge's id of it, where the judge has it.
    pub judge: Option<&'static str>,
    /// The endings of its files. Those that belong to several languages tell the first one.
    pub extensions: &'static [&'static str],
}

/// The language of a code.
pub fn of_code(code: &str) -> Option<&'static Language> {
    TABLE.iter().find(|language| language.code == code)
}

/// The language that files of an ending are in.
pub fn of_extension(extension: &str) -> Option<&'static Language> {
    TABLE.iter().find(|language| language.extensions.contains(&extension))
}

/// Whether the format knows the code.
pub fn is_known(code: &str) -> bool {
    of_code(code).is_some()
}

const fn with(
    code: &'static str,
    judge: &'static str,
    extensions: &'static [&'static str],
) -> Language {
    Language { code, judge: Some(judge), extensions }
}

const fn without(code: &'static str, extensions: &'static [&'static str]) -> Language {
    Language { code, judge: None, extensions }
}

/// Variants of a language, whose endings decide nothing, have none here.
const TABLE: [Language; 52] = [
    with("c", "c17", &["c"]),
    with("cpp", "cpp20", &["cc", "cpp", "cxx", "c++", "C"]),
    with("java", "java", &["java"]),
    with("python3", "python3", &["py", "py3"]),
    without("ada", &["adb", "ads"]),
    without("algol68", &["a68"]),
    without("apl", &["apl"]),
    without("bash", &["sh"]),
    without("cgmp", &[]),
    without("cobol", &["cob"]),
    without("cppgmp", &[]),
    without("crystal", &["cr"]),
    without("csharp", &["cs"]),
    without("d", &["d"]),
    without("dart", &["dart"]),
    without("elixir", &["ex"]),
    without("erlang", &["erl"]),
    without("forth", &["fth", "4th", "forth", "frt"]),
    without("fortran", &["f90"]),
    without("fsharp", &["fs"]),
    without("gerbil", &["ss"]),
    without("go", &["go"]),
    without("haskell", &["hs"]),
    without("javaalgs4", &[]),
    without("javascript", &["js"]),
    without("julia", &["jl"]),
    without("kotlin", &["kt"]),
    without("lisp", &["lisp", "cl"]),
    without("lua", &["lua"]),
    without("modula2", &["mod", "def"]),
    without("nim", &["nim"]),
    without("objectivec", &["m"]),
    without("ocaml", &["ml"]),
    without("octave", &[]),
    without("odin", &["odin"]),
    without("pascal", &["pas"]),
    without("perl", &["pm"]),
    without("php", &["php"]),
    without("prolog", &["pl"]),
    without("python2", &["py2"]),
    without("python3numpy", &[]),
    without("racket", &["rkt"]),
    without("ruby", &["rb"]),
    without("rust", &["rs"]),
    without("scala", &["scala"]),
    without("simula", &["sim"]),
    without("smalltalk", &["st"]),
    without("snobol", &["sno"]),
    without("swift", &["swift"]),
    without("typescript", &["ts"]),
    without("visualbasic", &["vb"]),
    without("zig", &["zig"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_ending_is_there_once() {
        let mut codes: Vec<&str> = TABLE.iter().map(|language| language.code).collect();
        let mut endings: Vec<&str> =
            TABLE.iter().flat_map(|language| language.extensions).copied().collect();
        let (had_codes, had_endings) = (codes.len(), endings.len());
        codes.sort_unstable();
        codes.dedup();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!((codes.len(), endings.len()), (had_codes, had_endings));
    }

    #[test]
    fn languages_of_files() {
        assert_eq!(of_extension("C").map(|language| language.code), Some("cpp"));
        assert_eq!(of_extension("kt").and_then(|language| language.judge), None);
        assert!(of_extension("h").is_none());
        assert!(is_known("cppgmp") && !is_known("all") && !is_known("c++"));
    }
}
