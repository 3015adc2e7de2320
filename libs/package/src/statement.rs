//! `statement/`: one text per language in Markdown, LaTeX or PDF.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Data, Test};
use crate::metadata::{self, Metadata};
use crate::program;
use crate::reader::Reader;
use crate::render::{self, Sample};
use crate::spool::Blob;

/// Bytes of an input or answer that are shown.
const MAX_SAMPLE: usize = 64 << 10;
/// Bytes of all samples of a package that are shown; a statement with them fits into one RPC message.
const MAX_SAMPLES: usize = 512 << 10;
/// Bytes of the HTML of a statement, images included.
const MAX_HTML: usize = 12 << 20;

/// A statement in one language.
#[derive(Clone, Debug)]
pub struct Statement {
    /// BCP 47.
    pub language: String,
    pub title: String,
    /// Sanitised HTML.
    pub html: String,
    /// The Markdown source, or empty.
    pub markdown: String,
    /// The PDF, which becomes an attachment; `html` then only refers to it.
    pub pdf: Option<Blob>,
}

impl Statement {
    /// The name of the PDF as an attachment.
    pub fn pdf_name(&self) -> String {
        format!("problem.{}.pdf", self.language)
    }
}

/// Reads the directory. The default language comes first: English, otherwise the first in order.
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
                "must be named problem.<language>.md, .tex or .pdf, such as problem.en.md",
            ),
        }
    }
    if files.is_empty() {
        reader.missing("statement", "has no statement such as statement/problem.en.md");
        return Vec::new();
    }
    check_names(reader, metadata, &files.keys().map(String::as_str).collect());
    let mut statements: Vec<Statement> = files
        .iter()
        .filter_map(|(language, files)| render_one(reader, metadata, samples, language, files))
        .collect();
    statements.sort_by_key(|statement| (statement.language != "en", statement.language.clone()));
    statements
}

fn check_names(reader: &Reader<'_>, metadata: &Metadata, languages: &BTreeSet<&str>) {
    if metadata.names.is_empty() || reader.is_explained("statement") {
        return;
    }
    let named: BTreeSet<&str> = metadata.names.keys().map(String::as_str).collect();
    for language in languages.difference(&named) {
        let message = format!("has no `{language}`, but a statement in that language exists");
        reader.report.add(crate::finding::Severity::Error, metadata::FILE, "name", message);
    }
    for language in named.difference(languages) {
        let message = format!("has `{language}`, but no statement in that language exists");
        reader.report.add(crate::finding::Severity::Error, metadata::FILE, "name", message);
    }
}

fn render_one(
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
    let images =
        EmbeddedImages { reader, used: std::cell::Cell::new(0), counted: RefCell::default() };
    if files.len() > 1 {
        let file = files.values().next().map_or("statement", String::as_str);
        reader
            .report
            .warn(file, "exists in several formats; Markdown takes precedence over LaTeX and PDF");
    }
    if let Some(file) = files.get("md") {
        let text = crate::constants::replace(&reader.text(file)?, reader.constants);
        let rendered = render::markdown(&text, samples, &|name: &str| images.data_url(file, name));
        statement.html = rendered.map_err(|message| reader.report.error(file, message)).ok()?;
        statement.markdown = text;
    } else if let Some(file) = files.get("tex") {
        let text = reader.text(file)?;
        let image = |name: &str| images.data_url(file, name);
        let rendered = render::latex(&text, reader.constants, samples, &image);
        let rendered = rendered.map_err(|message| reader.report.error(file, message)).ok()?;
        if !rendered.unknown.is_empty() {
            let commands: Vec<_> =
                rendered.unknown.iter().take(10).map(|c| format!("\\{c}")).collect();
            let message = format!("uses LaTeX that is not rendered: {}", commands.join(", "));
            reader.report.warn(file, message);
        }
        statement.html = rendered.html;
    } else if let Some(file) = files.get("pdf") {
        reader.report.warn(file, "becomes an attachment: PDF statements are not rendered");
        statement.pdf = reader.tree.file(file).cloned();
        statement.html = render::pdf_notice(&statement.pdf_name());
    }
    if statement.html.len() > MAX_HTML {
        reader.report.error("statement", format!("the `{language}` statement is too large"));
    }
    Some(statement)
}

/// The public part of the samples.
pub fn samples(reader: &Reader<'_>, data: &Data) -> Vec<Sample> {
    let mut remaining = MAX_SAMPLES;
    let tests = data.tests.iter().filter(|test| test.sample);
    tests.filter_map(|test| sample(reader, test, &mut remaining)).collect()
}

fn sample(reader: &Reader<'_>, test: &Test, remaining: &mut usize) -> Option<Sample> {
    let input = test.shown_input.as_ref().unwrap_or(&test.input);
    let answer = test.shown_answer.as_ref().unwrap_or(&test.answer);
    let (input, cut) = read_prefix(reader, &test.name, input, remaining)?;
    let (answer, cut_too) = read_prefix(reader, &test.name, answer, remaining)?;
    let name = test.name.clone();
    let description = test.description.clone();
    Some(Sample { name, input, answer, description, truncated: cut || cut_too })
}

/// The first bytes of a file as text, and whether it was truncated.
fn read_prefix(
    reader: &Reader<'_>,
    name: &str,
    blob: &Blob,
    remaining: &mut usize,
) -> Option<(String, bool)> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let max = MAX_SAMPLE.min(*remaining);
    let read = std::fs::File::open(&blob.path)
        .and_then(|file| file.take(max as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        reader.report.error(name, format!("cannot be read: {error}"));
        return None;
    }
    let cut = bytes.len() > max;
    bytes.truncate(max);
    *remaining -= bytes.len();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if cut && text.ends_with('\u{fffd}') {
        text.pop();
    }
    // Databases do not store zero bytes in texts.
    Some((text.replace('\0', "\u{fffd}"), cut))
}

/// Images of a statement, embedded as `data:` URLs: a statement is self-contained and immutable.
struct EmbeddedImages<'r> {
    reader: &'r Reader<'r>,
    used: std::cell::Cell<u64>,
    /// Images that `used` already counts.
    counted: RefCell<BTreeSet<String>>,
}

impl EmbeddedImages<'_> {
    /// The image as a `data:` URL; a missing or unsupported one is reported.
    fn data_url(&self, from: &str, name: &str) -> Option<String> {
        let report = self.reader.report;
        let mut path = format!("statement/{}", name.trim_start_matches("./"));
        // LaTeX completes the extension.
        if !name.rsplit('/').next().is_some_and(|file| file.contains('.')) {
            let candidates =
                ["png", "jpg", "jpeg", "svg", "pdf"].map(|end| format!("{path}.{end}"));
            let found = candidates.into_iter().find(|path| self.reader.tree.file(path).is_some());
            path = found.unwrap_or(path);
        }
        let media = match path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).as_deref() {
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("svg") => "image/svg+xml",
            Some("pdf") if from.ends_with(".tex") => {
                let message =
                    format!("includes `{}`; PDF images cannot be shown in a page", shorten(name));
                report.warn(from, message);
                return None;
            }
            _ => {
                let message =
                    format!("includes `{}`, which is not a png, jpg or svg", shorten(name));
                report.error(from, message);
                return None;
            }
        };
        let Some(blob) = self.reader.tree.file(&path) else {
            if !self.reader.is_explained(&path) {
                let message = format!("includes `{}`, which is not in statement/", shorten(name));
                report.error(from, message);
            }
            return None;
        };
        // Repetitions count towards `MAX_HTML`, not towards the limit on images.
        if self.counted.borrow_mut().insert(path.clone()) {
            self.used.set(self.used.get() + blob.size);
        }
        if self.used.get() > self.reader.size_limits.images {
            let max = self.reader.size_limits.images;
            report.error(&path, format!("the images of the statement exceed {max} bytes in total"));
            return None;
        }
        let bytes = self.reader.bytes(&path, blob)?;
        Some(format!("data:{media};base64,{}", render::base64(&bytes)))
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(100).collect()
}
