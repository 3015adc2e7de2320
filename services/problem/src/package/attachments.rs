//! `attachments/`: files for contestants.

use super::read::Reader;
use super::spool::Blob;
use super::statement::Statement;

/// A file for contestants.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its name; a path below `attachments/` has `-` for its slashes.
    pub name: String,
    /// Its media type, by its extension.
    pub content_type: &'static str,
    /// Its bytes.
    pub blob: Blob,
}

/// Reads the directory.
pub fn read(reader: &Reader<'_>) -> Vec<Attachment> {
    let mut attachments: Vec<Attachment> = Vec::new();
    for (path, blob) in reader.tree.below("attachments") {
        let name = path["attachments/".len()..].replace('/', "-");
        if attachments.iter().any(|other| other.name == name) {
            reader.report.error(path, format!("there are two attachments called {name}"));
            continue;
        }
        let content_type = media_type(&name);
        attachments.push(Attachment { name, content_type, blob: blob.clone() });
    }
    attachments
}

/// A statement that is a PDF becomes an attachment, too, and must be found by its name.
pub fn check_names(reader: &Reader<'_>, attachments: &[Attachment], statements: &[Statement]) {
    for statement in statements.iter().filter(|statement| statement.pdf.is_some()) {
        let name = statement.pdf_name();
        if attachments.iter().any(|attachment| attachment.name == name) {
            let message = format!("is called as the statement statement/{name}, which is one, too");
            reader.report.error(&format!("attachments/{name}"), message);
        }
    }
}

/// The media type by extension. Nothing that a browser would run in the site's name: HTML and SVG
/// are handed out as plain bytes.
pub fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "md" | "in" | "ans" | "out" | "py" | "c" | "h" | "cpp" | "cc" | "hpp" | "java"
        | "rs" | "go" | "kt" | "js" | "sh" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        _ => "application/octet-stream",
    }
}
