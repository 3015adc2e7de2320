//! `attachments/`: files for contestants.

use crate::reader::Reader;
use crate::spool::Blob;
use crate::statement::Statement;

#[derive(Clone, Debug)]
pub struct Attachment {
    /// Path below `attachments/` with each `/` replaced by `-`.
    pub name: String,
    /// Media type, derived from the extension.
    pub content_type: &'static str,
    pub blob: Blob,
}

pub fn read(reader: &Reader<'_>) -> Vec<Attachment> {
    let mut attachments: Vec<Attachment> = Vec::new();
    for (path, blob) in reader.tree.below("attachments") {
        let name = path["attachments/".len()..].replace('/', "-");
        if attachments.iter().any(|other| other.name == name) {
            reader.report.error(path, format!("there are two attachments named {name}"));
            continue;
        }
        let content_type = media_type(&name);
        attachments.push(Attachment { name, content_type, blob: blob.clone() });
    }
    attachments
}

/// Reports attachments whose name is taken by a PDF statement, which also becomes an attachment.
pub fn check_names(reader: &Reader<'_>, attachments: &[Attachment], statements: &[Statement]) {
    for statement in statements.iter().filter(|statement| statement.pdf.is_some()) {
        let name = statement.pdf_name();
        if attachments.iter().any(|attachment| attachment.name == name) {
            let message = format!("has the same name as the attachment made from statement/{name}");
            reader.report.error(&format!("attachments/{name}"), message);
        }
    }
}

/// HTML and SVG are served as plain bytes: a browser would run their scripts in the site's origin.
fn media_type(name: &str) -> &'static str {
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
