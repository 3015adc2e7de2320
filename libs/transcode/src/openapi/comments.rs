//! The comments of a descriptor set, by the full name of the described element.

use std::collections::HashMap;

use prost_reflect::DescriptorPool;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

/// Comments by full name; enum values are `package.Enum.VALUE`.
#[derive(Debug, Default)]
pub(super) struct Comments(HashMap<String, String>);

impl Comments {
    pub fn new(pool: &DescriptorPool) -> Comments {
        let mut comments = Comments::default();
        for file in pool.files() {
            let file = file.file_descriptor_proto();
            let locations = file.source_code_info.iter().flat_map(|info| &info.location);
            let by_path = locations
                .filter_map(|it| Some((&it.path[..], it.leading_comments.as_deref()?)))
                .collect();
            FileComments { by_path, comments: &mut comments.0 }.file(file);
        }
        comments
    }

    /// The comment. The lines of a paragraph are joined; paragraphs are separated by an empty line.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Adds the comments of a file.
struct FileComments<'f> {
    by_path: HashMap<&'f [i32], &'f str>,
    comments: &'f mut HashMap<String, String>,
}

impl FileComments<'_> {
    fn file(&mut self, file: &FileDescriptorProto) {
        let package = file.package();
        for (message, index) in file.message_type.iter().zip(0..) {
            self.message(&[4, index], package, message);
        }
        for (of, index) in file.enum_type.iter().zip(0..) {
            self.enumeration(&[5, index], package, of);
        }
        for (service, index) in file.service.iter().zip(0..) {
            let name = join(package, service.name());
            self.add(&[6, index], name.clone());
            for (method, number) in service.method.iter().zip(0..) {
                self.add(&[6, index, 2, number], join(&name, method.name()));
            }
        }
    }

    fn message(&mut self, path: &[i32], scope: &str, message: &DescriptorProto) {
        let name = join(scope, message.name());
        let below = |kind: i32, index: i32| [path, &[kind, index]].concat();
        self.add(path, name.clone());
        for (field, index) in message.field.iter().zip(0..) {
            self.add(&below(2, index), join(&name, field.name()));
        }
        for (nested, index) in message.nested_type.iter().zip(0..) {
            self.message(&below(3, index), &name, nested);
        }
        for (of, index) in message.enum_type.iter().zip(0..) {
            self.enumeration(&below(4, index), &name, of);
        }
    }

    fn enumeration(&mut self, path: &[i32], scope: &str, of: &EnumDescriptorProto) {
        let name = join(scope, of.name());
        self.add(path, name.clone());
        for (value, index) in of.value.iter().zip(0..) {
            self.add(&[path, &[2, index]].concat(), join(&name, value.name()));
        }
    }

    fn add(&mut self, path: &[i32], name: String) {
        let Some(comment) = self.by_path.get(path) else { return };
        let lines = comment.lines().map(str::trim).filter(|line| !line.starts_with("buf:lint:"));
        let mut text = String::new();
        for line in lines {
            match (line, text.ends_with('\n') || text.is_empty()) {
                ("", true) => {}
                ("", false) => text.push_str("\n\n"),
                (line, true) => text.push_str(line),
                (line, false) => {
                    text.push(' ');
                    text.push_str(line);
                }
            }
        }
        self.comments.insert(name, text.trim().to_owned());
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
