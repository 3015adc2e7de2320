//! Compiles every `.proto` below `proto/` into messages, clients, servers and one descriptor set.

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
    // The encoded set keeps the custom options, which the decoded one below loses.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let set = compiler.file_descriptor_set();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    let secrets = messages_with_secrets(&pool);
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config.bytes([".google.api.HttpBody", ".agon.problem.v1", ".agon.event.v1"]);
    config.skip_debug(secrets.iter().map(|message| message.path.clone()));
    tonic_prost_build::configure().include_file("all.rs").compile_fds_with_config(set, config)?;
    fs::write(out.join("redacted.rs"), redacted_debug(&secrets))?;
    Ok(())
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
struct Secretive {
    /// The protobuf path, with a leading dot.
    path: String,
    /// The Rust path below the crate.
    rust: String,
    /// Each field (as it is named in Rust) and whether it is a secret.
    fields: Vec<(String, bool)>,
}

/// Only of our own packages, and only outside of `oneof`s: there is no need for more.
fn messages_with_secrets(pool: &DescriptorPool) -> Vec<Secretive> {
    let messages = pool.all_messages().filter(|message| message.fields().any(|f| is_secret(&f)));
    messages.map(|message| secretive(&message)).collect()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

fn secretive(message: &MessageDescriptor) -> Secretive {
    let real_oneof = message.oneofs().any(|oneof| !oneof.is_synthetic());
    assert!(!real_oneof, "{}: secrets beside a oneof", message.full_name());
    assert!(message.parent_message().is_none(), "{}: secrets nested", message.full_name());
    Secretive {
        path: format!(".{}", message.full_name()),
        rust: format!("crate::{}", message.full_name().replace('.', "::")),
        fields: message.fields().map(|f| (f.name().to_owned(), is_secret(&f))).collect(),
    }
}

/// `Debug` for messages that hold secrets: the names of all fields, the values of the others.
fn redacted_debug(messages: &[Secretive]) -> String {
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
