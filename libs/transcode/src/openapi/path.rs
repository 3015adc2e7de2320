//! Converts path templates to OpenAPI paths.

use crate::template::{Segment, Template};

/// A path template with named parameters.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The path with `{}` for every parameter. OpenAPI forbids two paths of the same shape.
    pub shape: String,
    pub parameters: Vec<Parameter>,
}

/// A segment that is a wildcard.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// Unique within the path.
    pub name: String,
    /// The index of the variable that the segment belongs to.
    pub variable: Option<usize>,
    /// Whether the segment is the whole value of the variable.
    pub is_whole: bool,
}

impl Path {
    pub fn new(template: &Template) -> Path {
        let mut path = Path { shape: String::new(), parameters: Vec::new() };
        for (index, segment) in template.segments.iter().enumerate() {
            path.shape.push('/');
            match segment {
                Segment::Literal(text) => path.shape.push_str(text),
                Segment::Star | Segment::DeepStar => {
                    path.shape.push_str("{}");
                    path.add(template, index);
                }
            }
        }
        if !template.verb.is_empty() {
            path.shape.push(':');
            path.shape.push_str(&template.verb);
        }
        if path.shape.is_empty() {
            path.shape.push('/');
        }
        path
    }

    /// Adds the parameter of a segment. Its name is that of the field, without the parent messages.
    fn add(&mut self, template: &Template, segment: usize) {
        let variable = template.variables.iter().position(|v| (v.start..v.end).contains(&segment));
        let bound = variable.map(|index| &template.variables[index]);
        let mut name = match bound.and_then(|variable| variable.field_path.last()) {
            Some(field) => field.clone(),
            None => format!("segment_{segment}"),
        };
        if self.parameters.iter().any(|other| other.name == name) {
            name = format!("{name}_{segment}");
        }
        let is_whole = bound.is_some_and(|variable| variable.end - variable.start == 1);
        self.parameters.push(Parameter { name, variable, is_whole });
    }

    /// The path in OpenAPI syntax.
    pub fn text(&self) -> String {
        let mut pieces = self.shape.split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (piece, parameter) in pieces.zip(&self.parameters) {
            text.push_str(&format!("{{{}}}{piece}", parameter.name));
        }
        text
    }

    /// Takes the parameter names of a path of the same shape.
    pub fn rename(&mut self, other: &Path) {
        for (parameter, other) in self.parameters.iter_mut().zip(&other.parameters) {
            parameter.name.clone_from(&other.name);
        }
    }
}
