//! Java: javac decides the names of files, and the compiled classes show which one is the main class. Sources are not
//! parsed.

use std::cmp::Reverse;

use noak::AccessFlags;
use noak::error::DecodeError;
use noak::reader::attributes::Code;
use noak::reader::{AttributeContent, Class, Method};

use super::Files;

/// The first class file version with `main` methods that are instance methods or have no parameters (Java 25).
const FLEXIBLE_MAIN: u16 = 69;

/// Renames files as the errors of javac demand: a public class must be in a file with its name. `None` if there is
/// nothing to rename.
pub fn renamed(files: &Files, errors: &str) -> Option<Files> {
    let mut renamed = files.clone();
    for (path, class) in errors.lines().filter_map(misnamed) {
        let new = match path.rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/{class}.java"),
            None => format!("{class}.java"),
        };
        if class.contains('/') || renamed.files.iter().any(|(other, _)| *other == new) {
            continue;
        }
        let Some((name, _)) = renamed.files.iter_mut().find(|(name, _)| name == path) else {
            continue;
        };
        if renamed.main == *name {
            renamed.main.clone_from(&new);
        }
        *name = new;
    }
    renamed.files.sort();
    (renamed != *files).then_some(renamed)
}

/// The path and the class in an error such as
/// `a/B.java:3: error: class C is public, should be declared in a file named C.java`.
fn misnamed(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_suffix(".java")?;
    let (start, class) = line.split_once(" is public, should be declared in a file named ")?;
    let (path, _) = start.split_once(": error: ")?.0.rsplit_once(':')?;
    Some((path.strip_prefix("./").unwrap_or(path), class))
}

/// The qualified name of the class to run: one with a `main` method, if possible from the file `main` and with its name;
/// otherwise the one whose `main` method comes first.
pub fn main_class<'a>(
    classes: impl IntoIterator<Item = &'a [u8]>,
    main: &str,
) -> Result<Option<String>, DecodeError> {
    let file = main.rsplit('/').next().unwrap_or(main);
    let stem = file.strip_suffix(".java").unwrap_or(file);
    let mut best = None;
    for bytes in classes {
        let class = Class::new(bytes)?;
        let name = class.pool().retrieve(class.this_class())?.name.display().to_string();
        let line = main_line(&class)?;
        let rank = (
            Reverse(line.is_some()),
            Reverse(source_file(&class)?.as_deref() == Some(file)),
            Reverse(name.rsplit('/').next() == Some(stem)),
            // Nested classes last.
            name.contains('$'),
            line,
            name,
        );
        if best.as_ref().is_none_or(|best| rank < *best) {
            best = Some(rank);
        }
    }
    Ok(best.map(|(.., name)| name.replace('/', ".")))
}

fn source_file(class: &Class<'_>) -> Result<Option<String>, DecodeError> {
    for attribute in class.attributes() {
        if let Ok(AttributeContent::SourceFile(file)) = attribute?.read_content(class.pool()) {
            return Ok(Some(class.pool().retrieve(file.source_file())?.display().to_string()));
        }
    }
    Ok(None)
}

/// The first line of the `main` method, if the class has one; 0 if the line is unknown.
fn main_line(class: &Class<'_>) -> Result<Option<u16>, DecodeError> {
    for method in class.methods() {
        let method = method?;
        if is_main(class, &method)? {
            for attribute in method.attributes() {
                if let Ok(AttributeContent::Code(code)) = attribute?.read_content(class.pool()) {
                    return first_line(class, &code).map(Some);
                }
            }
        }
    }
    Ok(None)
}

fn is_main(class: &Class<'_>, method: &Method<'_>) -> Result<bool, DecodeError> {
    let retrieve = |index| class.pool().retrieve(index);
    let (name, descriptor) = (retrieve(method.name())?, retrieve(method.descriptor())?);
    let flags = method.access_flags();
    let has_arguments = descriptor == "([Ljava/lang/String;)V";
    let is_classic = has_arguments && flags.contains(AccessFlags::PUBLIC | AccessFlags::STATIC);
    let is_flexible = class.version().major >= FLEXIBLE_MAIN
        && (has_arguments || descriptor == "()V")
        && !flags.contains(AccessFlags::PRIVATE);
    Ok(name == "main" && (is_classic || is_flexible))
}

fn first_line(class: &Class<'_>, code: &Code<'_>) -> Result<u16, DecodeError> {
    for attribute in code.attributes() {
        let attribute = attribute?;
        if class.pool().retrieve(attribute.name())? == "LineNumberTable"
            // The number of entries, then the offset and the line of the first one. The crate reads offsets as 32 bits.
            && let Some([.., high, low]) = attribute.content().first_chunk::<6>()
        {
            return Ok(u16::from_be_bytes([*high, *low]));
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str], main: &str) -> Files {
        let file = |name: &&str| ((*name).to_owned(), Vec::new());
        Files { files: names.iter().map(file).collect(), main: main.into() }
    }

    #[test]
    fn files_are_renamed_as_javac_demands() {
        let errors = "Main.java:3: error: class Größe is public, should be declared in a file named Größe.java\n\
            public class Größe {\n       ^\n\
            a/b.java:1: error: interface C is public, should be declared in a file named C.java\n\
            x.java:1: error: enum Y is public, should be declared in a file named Y.java\n\
            3 errors\n";
        let before = files(&["Main.java", "Y.java", "a/b.java", "x.java"], "Main.java");
        let after = files(&["Größe.java", "Y.java", "a/C.java", "x.java"], "Größe.java");
        assert_eq!(renamed(&before, errors), Some(after.clone()));
        assert_eq!(renamed(&after, errors), None);
        for other in [
            "Main.java:1: error: ';' expected",
            "Main.java:1: error: class a/../b is public, should be declared in a file named a/../b.java",
            " is public, should be declared in a file named X.java",
        ] {
            assert_eq!(renamed(&before, other), None, "{other}");
        }
    }

    #[test]
    fn malformed_class_is_an_error() {
        assert!(main_class([b"\xca\xfe\xba\xbe\0\0".as_slice()], "Main.java").is_err());
        assert_eq!(main_class([], "Main.java").unwrap(), None);
    }
}
