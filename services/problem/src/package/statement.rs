//! `statement/`: one text per language, in Markdown, LaTeX or PDF.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::data::{Data, Test};
use super::metadata::{self, Metadata};
use super::program;
use super::read::Reader;
use super::spool::Blob;
use crate::statement::{self, Sample};

/// Most bytes of a sample that are shown.
pub const MAX_SAMPLE: usize = 64 << 10;
/// Most bytes of all samples of a package that are shown: a statement with them fits one message.
const MAX_SAMPLES: usize = 512 << 10;
/// Most bytes of a statement's HTML, its images included.
const MAX_HTML: usize = 12 << 20;

/// A statement in one language.
#[derive(Clone, Debug)]
pub struct Statement {
    /// BCP 47.
    pub language: String,
    /// The title.
    pub title: String,
    /// Sanitised.
    pub html: String,
    /// The Markdown it was made from, or empty.
    pub markdown: String,
    /// The PDF it consists of, which becomes an attachment.
    pub pdf: Option<Blob>,
}

impl Statement {
    /// What a PDF is called as an attachment.
    pub fn pdf_name(&self) -> String {
        format!("problem.{}.pdf", self.language)
    }
}

/// Reads the directory; the default language comes first: English, or else the first one.
pub fn read(reader: &Reader<'_>, metadata: &Metadata, samples: &[Sample]) -> Vec<Statement> {
    let mut files: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, _) in reader.tree.children("statement") {
        let Some(rest) = name.strip_prefix("problem.") else { continue };
        let file = format!("statement/{name}");
        match rest.rsplit_once('.') {
            Some((language, kind @ ("md" | "tex" | "pdf"))) if metadata::is_language(language) => {
                files.entry(language.to_owned()).or_default().insert(kind.to_owned(), file);
            }
            _ if !matches!(program::extension(rest), "md" | "tex" | "pdf")
                && !matches!(rest, "md" | "tex" | "pdf") => {}
            _ => reader.report.error(
                &file,
                "must be called problem.<language>.md, .tex or .pdf, such as problem.en.md",
            ),
        }
    }
    if files.is_empty() {
        reader.report.error("statement", "has no statement such as statement/problem.en.md");
        return Vec::new();
    }
    check_names(reader, metadata, &files.keys().map(String::as_str).collect());
    let mut statements: Vec<Statement> = files
        .iter()
        .filter_map(|(language, files)| one(reader, metadata, samples, language, files))
        .collect();
    statements.sort_by_key(|statement| (statement.language != "en", statement.language.clone()));
    statements
}

fn check_names(reader: &Reader<'_>, metadata: &Metadata, languages: &BTreeSet<&str>) {
    if metadata.names.is_empty() {
        return;
    }
    let named: BTreeSet<&str> = metadata.names.keys().map(String::as_str).collect();
    for language in languages.difference(&named) {
        let message = format!("has no `{language}`, but there is a statement in it");
        reader.report.add(super::finding::Severity::Error, metadata::FILE, "name", message);
    }
    for language in named.difference(languages) {
        let message = format!("has `{language}`, but there is no statement in it");
        reader.report.add(super::finding::Severity::Error, metadata::FILE, "name", message);
    }
}

fn one(
    reader: &Reader<'_>,
    metadata: &Metadata,
    samples: &[Sample],
    language: &str,
    files: &BTreeMap<String, String>,
) -> Option<Statement> {
    let title = metadata.names.get(language).cloned().unwrap_or_default();
    let mut statement = Statement {
        language: language.to_owned(),
        title,
        html: String::new(),
        markdown: String::new(),
        pdf: None,
    };
    let images = Embedded { reader, used: std::cell::Cell::new(0), seen: RefCell::default() };
    if files.len() > 1 {
        let file = files.values().next().map_or("statement", String::as_str);
        reader.report.warn(file, "stands in several forms; Markdown goes before LaTeX and PDF");
    }
    if let Some(file) = files.get("md") {
        let text = super::constants::replace(&reader.text(file)?, reader.constants);
        let rendered = statement::markdown(&text, samples, &|name: &str| images.get(file, name));
        statement.html = rendered.map_err(|message| reader.report.error(file, message)).ok()?;
        statement.markdown = text;
    } else if let Some(file) = files.get("tex") {
        let text = reader.text(file)?;
        let image = |name: &str| images.get(file, name);
        let rendered = statement::latex(&text, reader.constants, samples, &image);
        let rendered = rendered.map_err(|message| reader.report.error(file, message)).ok()?;
        if !rendered.unknown.is_empty() {
            let commands: Vec<_> =
                rendered.unknown.iter().take(10).map(|c| format!("\\{c}")).collect();
            let message = format!("uses LaTeX that is not rendered: {}", commands.join(", "));
            reader.report.warn(file, message);
        }
        statement.html = rendered.html;
    } else if let Some(file) = files.get("pdf") {
        reader.report.warn(file, "is kept as an attachment: it cannot be shown as a page");
        statement.pdf = reader.tree.file(file).cloned();
        statement.html = statement::pdf(&statement.pdf_name());
    }
    if statement.html.len() > MAX_HTML {
        reader.report.error("statement", format!("the `{language}` statement is too large"));
    }
    Some(statement)
}

/// What everyone may see of the samples.
pub fn samples(reader: &Reader<'_>, data: &Data) -> Vec<Sample> {
    let mut room = MAX_SAMPLES;
    let tests = data.tests.iter().filter(|test| test.sample);
    tests.filter_map(|test| sample(reader, test, &mut room)).collect()
}

fn sample(reader: &Reader<'_>, test: &Test, room: &mut usize) -> Option<Sample> {
    let input = test.shown_input.as_ref().unwrap_or(&test.input);
    let answer = test.shown_answer.as_ref().unwrap_or(&test.answer);
    let (input, cut) = start(reader, &test.name, input, room)?;
    let (answer, cut_too) = start(reader, &test.name, answer, room)?;
    let name = test.name.clone();
    let description = test.description.clone();
    Some(Sample { name, input, answer, description, truncated: cut || cut_too })
}

/// The start of a file as text.
fn start(reader: &Reader<'_>, name: &str, blob: &Blob, room: &mut usize) -> Option<(String, bool)> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let most = MAX_SAMPLE.min(*room);
    let read = std::fs::File::open(&blob.path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        reader.report.error(name, format!("cannot be read: {error}"));
        return None;
    }
    let cut = bytes.len() > most;
    bytes.truncate(most);
    *room -= bytes.len();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if cut && text.ends_with('\u{fffd}') {
        text.pop();
    }
    // A zero byte is no text in any database.
    Some((text.replace('\0', "\u{fffd}"), cut))
}

/// Images of a statement, which travel inside it: a statement is one thing, whole and immutable.
struct Embedded<'r> {
    reader: &'r Reader<'r>,
    used: std::cell::Cell<u64>,
    /// Those counted already.
    seen: RefCell<BTreeSet<String>>,
}

impl Embedded<'_> {
    /// The image as a `data:` address; a wrong one is reported.
    fn get(&self, from: &str, name: &str) -> Option<String> {
        let report = self.reader.report;
        let mut path = format!("statement/{}", name.trim_start_matches("./"));
        // LaTeX finds the ending by itself.
        if !name.rsplit('/').next().is_some_and(|file| file.contains('.')) {
            let endings = ["png", "jpg", "jpeg", "svg", "pdf"].map(|end| format!("{path}.{end}"));
            let found = endings.into_iter().find(|path| self.reader.tree.file(path).is_some());
            path = found.unwrap_or(path);
        }
        let media = match path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).as_deref() {
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("svg") => "image/svg+xml",
            Some("pdf") if from.ends_with(".tex") => {
                let message = format!("shows `{}`; a PDF cannot stand in a page", shorten(name));
                report.warn(from, message);
                return None;
            }
            _ => {
                let message = format!("shows `{}`, which is not a png, jpg or svg", shorten(name));
                report.error(from, message);
                return None;
            }
        };
        let Some(blob) = self.reader.tree.file(&path) else {
            let message = format!("shows `{}`, which is not in statement/", shorten(name));
            report.error(from, message);
            return None;
        };
        // A page that shows an image twice carries it twice, which the bound on HTML is for.
        if self.seen.borrow_mut().insert(path.clone()) {
            self.used.set(self.used.get() + blob.size);
        }
        if self.used.get() > self.reader.bounds.images {
            let max = self.reader.bounds.images;
            report.error(&path, format!("the images of a statement may have {max} bytes in all"));
            return None;
        }
        let bytes = self.reader.bytes(&path, blob)?;
        Some(format!("data:{media};base64,{}", statement::base64(&bytes)))
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(100).collect()
}
