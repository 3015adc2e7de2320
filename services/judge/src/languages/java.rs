//! Finds the main class of a Java source file.

/// The qualified name of the public class; without one, of the first class with a `main` method, otherwise of the
/// first class.
pub(super) fn main_class(source: &[u8]) -> Option<String> {
    let tokens = tokens(&String::from_utf8_lossy(source));
    let package = match tokens.as_slice() {
        [first, name, ..] if first == "package" => Some(name.clone()),
        _ => None,
    };
    let class = top_level(&tokens)?;
    Some(package.map_or_else(|| class.clone(), |package| format!("{package}.{class}")))
}

fn top_level(tokens: &[String]) -> Option<String> {
    let (mut depth, mut public) = (0usize, false);
    let (mut first, mut with_main, mut current) = (None, None, None::<String>);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => public = false,
            "public" if depth == 0 => public = true,
            "class" | "interface" | "enum" | "record" if depth == 0 => {
                let Some(name) = tokens.get(at + 1) else { continue };
                if public {
                    return Some(name.clone());
                }
                first.get_or_insert_with(|| name.clone());
                current = Some(name.clone());
            }
            "main" if depth == 1 && at > 0 && tokens[at - 1] == "void" => {
                with_main = with_main.or_else(|| current.clone());
            }
            _ => {}
        }
    }
    with_main.or(first)
}

/// Words, braces and semicolons; without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                let _ = chars.by_ref().find(|&c| c == '\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut star = false;
                for c in chars.by_ref() {
                    if star && c == '/' {
                        break;
                    }
                    star = c == '*';
                }
            }
            '"' | '\'' => {
                let mut escaped = false;
                // An unterminated quote does not compile; stop at the end of the line.
                let _ = chars.by_ref().find(|&d| {
                    let end = !escaped && (d == c || d == '\n');
                    escaped = !escaped && d == '\\';
                    end
                });
            }
            '{' | '}' | ';' => tokens.push(c.to_string()),
            c if is_word(c) => {
                let mut word = c.to_string();
                while let Some(&next) = chars.peek().filter(|&&c| is_word(c)) {
                    word.push(next);
                    chars.next();
                }
                tokens.push(word);
            }
            _ => {}
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: impl Into<Option<&'static str>>) {
        assert_eq!(main_class(source.as_bytes()).as_deref(), expected.into(), "{source}");
    }

    #[test]
    fn main_class_is_found() {
        check("public class Main { }", "Main");
        check("import java.util.*;\npublic final class Foo extends Bar {}", "Foo");
        check("class A {} class B { public static void main(String[] a) {} }", "B");
        check("class A {} class B {}", "A");
        check("package a.b;\nclass A { static void main(String... x) {} }", "a.b.A");
        check("class Main { class Inner { void main() {} } }", "Main");
        check("/* public class No {} */ // public class No\npublic class Yes {}", "Yes");
        check(
            "class A { String s = \"} public class No {\"; char c = '{'; }\npublic class B {}",
            "B",
        );
        check("class A { char c = '\\''; }\npublic record R(int x) {}", "R");
        check(
            "class Helper { public static int x; }\nclass Main { public static void main(String[] a) {} }",
            "Main",
        );
        check("interface I { public void f(); }\nenum E {}", "I");
        check("", None);
        check("int x = 5;", None);
        check("public class Größe {}", "Größe");
        check("\" { public class", None);
    }
}
