//! Tables of commands and environments with a fixed rendering.

/// The tag in which a command wraps its argument.
pub fn wrapper(name: &str) -> Option<&'static str> {
    Some(match name {
        "textbf" => "strong",
        "emph" | "textit" | "textsl" => "em",
        "texttt" | "t" => "code",
        "underline" => "u",
        "sout" => "del",
        "section" => "h2",
        "subsection" => "h3",
        "subsubsection" | "paragraph" => "h4",
        "textsuperscript" => "sup",
        "textsubscript" => "sub",
        _ => return None,
    })
}

/// The tag in which a command wraps the rest of its group.
pub fn switch(name: &str) -> Option<&'static str> {
    Some(match name {
        "bf" | "bfseries" => "strong",
        "it" | "itshape" | "em" => "em",
        "tt" | "ttfamily" => "code",
        _ => return None,
    })
}

/// Commands that are replaced by a text.
pub const TEXTS: [(&str, &str); 43] = [
    ("ldots", "…"),
    ("dots", "…"),
    ("textellipsis", "…"),
    ("textbackslash", "\\"),
    ("textasciitilde", "~"),
    ("textasciicircum", "^"),
    ("textless", "&lt;"),
    ("textgreater", "&gt;"),
    ("textbar", "|"),
    ("textquotesingle", "'"),
    ("textunderscore", "_"),
    ("textdegree", "°"),
    ("textendash", "–"),
    ("textemdash", "—"),
    ("textbraceleft", "{"),
    ("textbraceright", "}"),
    ("textdollar", "$"),
    ("LaTeX", "LaTeX"),
    ("TeX", "TeX"),
    ("S", "§"),
    ("copyright", "©"),
    ("pounds", "£"),
    ("euro", "€"),
    ("quad", " "),
    ("qquad", " "),
    ("ss", "ß"),
    ("ae", "æ"),
    ("AE", "Æ"),
    ("oe", "œ"),
    ("OE", "Œ"),
    ("o", "ø"),
    ("O", "Ø"),
    ("aa", "å"),
    ("AA", "Å"),
    ("l", "ł"),
    ("L", "Ł"),
    ("dj", "đ"),
    ("DJ", "Đ"),
    ("dh", "ð"),
    ("DH", "Ð"),
    ("th", "þ"),
    ("TH", "Þ"),
    ("i", "ı"),
];

/// Commands that put an accent on a letter, as combining character.
pub const ACCENTS: [(&str, char); 15] = [
    ("'", '\u{301}'),
    ("`", '\u{300}'),
    ("\"", '\u{308}'),
    ("^", '\u{302}'),
    ("~", '\u{303}'),
    ("=", '\u{304}'),
    (".", '\u{307}'),
    ("c", '\u{327}'),
    ("v", '\u{30c}'),
    ("k", '\u{328}'),
    ("r", '\u{30a}'),
    ("H", '\u{30b}'),
    ("u", '\u{306}'),
    ("d", '\u{323}'),
    ("b", '\u{331}'),
];

/// The number of arguments of a layout command, which is ignored with them.
pub fn layout(name: &str) -> Option<usize> {
    Some(match name {
        "noindent" | "indent" | "medskip" | "bigskip" | "smallskip" | "centering"
        | "raggedright" | "raggedleft" | "selectfont" | "clearpage" | "newpage" | "pagebreak"
        | "linebreak" | "hfill" | "vfill" | "tiny" | "scriptsize" | "footnotesize" | "small"
        | "normalsize" | "large" | "Large" | "LARGE" | "huge" | "Huge" | "hline" | "toprule"
        | "midrule" | "bottomrule" | "relax" => 0,
        "vspace" | "hspace" | "label" | "ref" | "eqref" | "pageref" | "cite" | "problemname"
        | "cline" | "cmidrule" | "sisetup" | "color" | "usepackage" | "pagestyle"
        | "thispagestyle" | "phantom" | "vskip" | "graphicspath" => 1,
        "setlength" | "addtolength" | "setcounter" | "fontsize" => 2,
        "renewenvironment" | "newenvironment" => 3,
        _ => return None,
    })
}

/// Whether an environment contains a formula.
pub fn is_formula(environment: &str) -> bool {
    matches!(
        environment,
        "equation"
            | "equation*"
            | "align"
            | "align*"
            | "eqnarray"
            | "eqnarray*"
            | "gather"
            | "gather*"
            | "displaymath"
            | "math"
    )
}

pub fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}
