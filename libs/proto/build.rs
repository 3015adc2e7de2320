//! Compiles every `.proto` below `proto/` into messages, clients, servers and one descriptor set.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    find_protos(&root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // The encoded set keeps the custom options, which decoding drops.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let set = compiler.file_descriptor_set();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    let secrets = secret_messages(&pool);
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config.bytes([".google.api.HttpBody", ".agon.problem.v1", ".agon.event.v1"]);
    config.skip_debug(secrets.iter().map(|message| message.path.clone()));
    tonic_prost_build::configure().include_file("all.rs").compile_fds_with_config(set, config)?;
    fs::write(out.join("areas.rs"), areas(&pool))?;
    fs::write(out.join("redacted.rs"), redacted_debug(&secrets))?;
    Ok(())
}

/// A short name for each `agon.<area>.v1`.
fn areas(pool: &DescriptorPool) -> String {
    let packages: BTreeSet<_> = pool.files().map(|file| file.package_name().to_owned()).collect();
    let mut text = String::new();
    for package in packages {
        if let Some(area) = package.strip_prefix("agon.").and_then(|p| p.strip_suffix(".v1")) {
            let _ = writeln!(text, "pub use agon::{area}::v1 as {area};");
        }
    }
    text
}

fn find_protos(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// A message with at least one `debug_redact` field.
struct SecretMessage {
    /// The protobuf path, with a leading dot.
    path: String,
    /// The Rust path.
    rust: String,
    /// The name of each field in Rust, and whether it is secret.
    fields: Vec<(String, bool)>,
}

fn secret_messages(pool: &DescriptorPool) -> Vec<SecretMessage> {
    let messages = pool.all_messages().filter(|message| message.fields().any(|f| is_secret(&f)));
    messages.map(|message| secret_message(&message)).collect()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// Panics for oneofs and nested messages, which `redacted_debug` does not support.
fn secret_message(message: &MessageDescriptor) -> SecretMessage {
    let name = message.full_name();
    let has_oneof = message.oneofs().any(|oneof| !oneof.is_synthetic());
    assert!(!has_oneof, "{name}: a message with secrets must not have a oneof");
    assert!(message.parent_message().is_none(), "{name}: a message with secrets must be top-level");
    SecretMessage {
        path: format!(".{}", message.full_name()),
        rust: format!("crate::{}", message.full_name().replace('.', "::")),
        fields: message.fields().map(|f| (f.name().to_owned(), is_secret(&f))).collect(),
    }
}

/// Implements `Debug` without the values of secret fields.
fn redacted_debug(messages: &[SecretMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let name = message.path.rsplit('.').next().unwrap_or_default();
        let _ = write!(
            text,
            "impl ::core::fmt::Debug for {} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> \
             ::core::fmt::Result {{\n        f.debug_struct({name:?})",
            message.rust
        );
        for (field, secret) in &message.fields {
            let value =
                if *secret { "&\"[redacted]\"".to_owned() } else { format!("&self.{field}") };
            let _ = write!(text, "\n            .field({field:?}, {value})");
        }
        text.push_str("\n            .finish()\n    }\n}\n");
    }
    text
}
