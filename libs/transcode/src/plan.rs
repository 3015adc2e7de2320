//! The plan: all HTTP routes of a descriptor set, checked and resolved once at start-up.

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};

use crate::error::PlanError;
use crate::router::{Found, Router};
use crate::shape::{Field, Form, Kind, Label, Message, MessageId, Shapes};
use crate::status;
use crate::template::Template;

/// All HTTP routes of a descriptor set.
#[derive(Debug)]
pub struct Plan {
    pub(crate) pool: DescriptorPool,
    pub(crate) shapes: Shapes,
    pub(crate) routes: Vec<Route>,
    router: Router,
}

/// One HTTP rule of an RPC.
#[derive(Debug)]
pub struct Route {
    /// The RPC's full name, `package.Service.Method`.
    pub rpc: String,
    /// The RPC's HTTP/2 path, `/package.Service/Method`.
    pub rpc_path: String,
    /// The HTTP method; `*` for any.
    pub method: String,
    pub template: Template,
    pub body: Body,
    /// The index of the response field that becomes the HTTP body.
    pub response_body: Option<usize>,
    /// The request's type.
    pub input: MessageId,
    /// The response's type.
    pub output: MessageId,
    pub client_streaming: bool,
    pub server_streaming: bool,
    /// The `google.api.HttpBody` of the request, if its HTTP body is not JSON.
    pub upload: Option<HttpBody>,
    /// The `google.api.HttpBody` of the response, if its HTTP body is not JSON.
    pub download: Option<HttpBody>,
    /// The request fields of the path variables, in the order of the template.
    pub(crate) variables: Vec<Target>,
    /// The number of the `request_id` field of the request.
    pub(crate) request_id: Option<u32>,
    /// The path of the etag in the request.
    pub(crate) etag: Option<Vec<u32>>,
    pub(crate) reply_etag: Option<Vec<u32>>,
    /// The numbers of the `cursor` fields of request and response of a resumable stream.
    pub(crate) cursor: Option<(u32, u32)>,
    /// The field mask that a PATCH without a mask gets.
    pub(crate) mask: Option<Mask>,
}

/// The part of a request that is in the HTTP body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is no body.
    None,
    /// All fields that are not in the path.
    All,
    /// The field with this index.
    Field(usize),
}

/// The position of a `google.api.HttpBody` in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// It is the whole message.
    Whole,
    /// It is the field with this number.
    Field(u32),
}

/// A request field that a path variable sets.
#[derive(Debug)]
pub(crate) struct Target {
    pub numbers: Vec<u32>,
    pub kind: Kind,
    pub name: String,
}

#[derive(Debug)]
pub(crate) struct Mask {
    pub number: u32,
    /// Paths that are never added: the fields of the path, the etag, output-only fields.
    pub skip: Vec<String>,
}

impl Plan {
    /// Reads the routes of an encoded `FileDescriptorSet`. It must include its imports. If it has
    /// source information, the OpenAPI document has the comments.
    pub fn new(descriptor_set: &[u8]) -> Result<Plan, PlanError> {
        let invalid =
            |error: prost_reflect::DescriptorError| PlanError::Descriptors(error.to_string());
        let mut pool = DescriptorPool::decode(descriptor_set).map_err(invalid)?;
        status::add_types(&mut pool).map_err(invalid)?;
        let shapes = Shapes::new(&pool);
        let mut routes: Vec<Route> = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            for rule in http_rules(&pool, &method) {
                routes.push(route(&pool, &shapes, &method, &rule)?);
            }
        }
        let mut router = Router::default();
        for (index, route) in routes.iter().enumerate() {
            router.add(&route.method, &route.template, index).map_err(|first| {
                PlanError::Ambiguous {
                    first: routes[first].rpc.clone(),
                    second: route.rpc.clone(),
                    method: route.method.clone(),
                    template: route.template.to_string(),
                }
            })?;
        }
        Ok(Plan { pool, shapes, routes, router })
    }

    /// All routes, in the order of the descriptor set.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route with an index that [`Plan::find`] returned.
    pub fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Finds the route for a method and a raw path without query.
    pub fn find<'p>(&self, method: &str, path: &'p str) -> Found<'p> {
        self.router.find(method, path)
    }

    /// The message and enum types.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }
}

/// The HTTP rules of a method, including additional bindings.
fn http_rules(pool: &DescriptorPool, method: &MethodDescriptor) -> Vec<DynamicMessage> {
    let Some(extension) = pool.get_extension_by_name("google.api.http") else { return Vec::new() };
    let options = method.options();
    if !options.has_extension(&extension) {
        return Vec::new();
    }
    let Value::Message(rule) = options.get_extension(&extension).into_owned() else {
        return Vec::new();
    };
    let additional = rule.get_field_by_name("additional_bindings").map(|list| list.into_owned());
    let mut rules = vec![rule];
    if let Some(Value::List(list)) = additional {
        rules.extend(list.into_iter().filter_map(|rule| rule.as_message().cloned()));
    }
    rules
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn method_and_template(rule: &DynamicMessage) -> (String, String) {
    if let Some(custom) = rule.get_field_by_name("custom")
        && rule.has_field_by_name("custom")
        && let Some(custom) = custom.as_message()
    {
        return (text(custom, "kind"), text(custom, "path"));
    }
    ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find(|verb| rule.has_field_by_name(verb))
        .map(|verb| (verb.to_ascii_uppercase(), text(rule, verb)))
        .unwrap_or_default()
}

fn route(
    pool: &DescriptorPool,
    shapes: &Shapes,
    method: &MethodDescriptor,
    rule: &DynamicMessage,
) -> Result<Route, PlanError> {
    let rpc = method.full_name().to_owned();
    let invalid = |reason: String| PlanError::Rule { rpc: rpc.clone(), reason };
    let (http_method, template) = method_and_template(rule);
    let template: Template =
        template.parse().map_err(|error| PlanError::Template { rpc: rpc.clone(), error })?;
    if http_method.is_empty() {
        return Err(invalid("the rule must have a method".into()));
    }
    let input = shapes.find(method.input().full_name());
    let output = shapes.find(method.output().full_name());
    let (Some(input), Some(output)) = (input, output) else {
        return Err(invalid(
            "the descriptor set does not have the message types of the RPC".into(),
        ));
    };
    let request = shapes.message(input);
    let response = shapes.message(output);

    let body = body(request, &text(rule, "body")).map_err(&invalid)?;
    if body != Body::None && matches!(http_method.as_str(), "GET" | "HEAD") {
        return Err(invalid("GET and HEAD must not have a body".into()));
    }
    let response_body = match text(rule, "response_body").as_str() {
        "" | "*" => None,
        name => Some(named(response, name).map_err(&invalid)?),
    };
    let mut variables = Vec::new();
    for variable in &template.variables {
        variables.push(target(shapes, input, &variable.field_path).map_err(&invalid)?);
    }
    let upload = http_body(shapes, input, body);
    if method.is_client_streaming() && upload.is_none() {
        return Err(invalid(
            "a stream of requests must have a google.api.HttpBody as its body".into(),
        ));
    }
    let download = http_body(shapes, output, response_body.map_or(Body::All, Body::Field));
    let mask = mask(pool, shapes, &http_method, input, body, &template);
    Ok(Route {
        rpc_path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        body,
        response_body,
        input,
        output,
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
        upload,
        download,
        variables,
        request_id: string_field(request, "request_id"),
        etag: etag_path(shapes, request, body),
        reply_etag: reply_etag(shapes, response, response_body),
        cursor: string_field(request, "cursor").zip(string_field(response, "cursor")),
        mask,
        method: http_method,
        template,
        rpc,
    })
}

fn named(message: &Message, name: &str) -> Result<usize, String> {
    message
        .fields
        .iter()
        .position(|field| field.name == name)
        .ok_or_else(|| format!("{} has no field `{name}`", message.name))
}

fn body(request: &Message, name: &str) -> Result<Body, String> {
    match name {
        "" => Ok(Body::None),
        "*" => Ok(Body::All),
        name => named(request, name).map(Body::Field),
    }
}

/// Resolves the field path of a variable. The field must be a single value with a text form.
fn target(shapes: &Shapes, id: MessageId, path: &[String]) -> Result<Target, String> {
    let name = path.join(".");
    let mut numbers = Vec::new();
    let mut kind = Kind::Message(id);
    for part in path {
        let Kind::Message(id) = kind else {
            return Err(format!("there is no field `{name}`"));
        };
        let message = shapes.message(id);
        let field = &message.fields[self::named(message, part)?];
        if !field.is_single() {
            return Err(format!("`{name}` must not be repeated or a map"));
        }
        numbers.push(field.number);
        kind = field.kind;
    }
    match kind {
        Kind::Message(id) if shapes.message(id).form == Form::Object => {
            Err(format!("`{name}` must not be a message"))
        }
        kind => Ok(Target { numbers, kind, name }),
    }
}

fn is_http_body(shapes: &Shapes, kind: Kind) -> bool {
    matches!(kind, Kind::Message(id) if shapes.message(id).name == "google.api.HttpBody")
}

/// The `google.api.HttpBody` of a message, whose HTTP body is `body`.
fn http_body(shapes: &Shapes, id: MessageId, body: Body) -> Option<HttpBody> {
    match body {
        Body::None => None,
        Body::All => is_http_body(shapes, Kind::Message(id)).then_some(HttpBody::Whole),
        Body::Field(index) => {
            let field = &shapes.message(id).fields[index];
            let matches = field.label == Label::Explicit && is_http_body(shapes, field.kind);
            matches.then_some(HttpBody::Field(field.number))
        }
    }
}

fn string_field(message: &Message, name: &str) -> Option<u32> {
    let (_, field) = message.field(name)?;
    (field.is_single() && field.kind == Kind::String && field.name == name).then_some(field.number)
}

/// The etag of the request, or else of the resource in its body.
fn etag_path(shapes: &Shapes, request: &Message, body: Body) -> Option<Vec<u32>> {
    if let Some(own) = string_field(request, "etag") {
        return Some(vec![own]);
    }
    let Body::Field(index) = body else { return None };
    nested_etag(shapes, &request.fields[index])
}

fn reply_etag(
    shapes: &Shapes,
    response: &Message,
    response_body: Option<usize>,
) -> Option<Vec<u32>> {
    match response_body {
        Some(index) => nested_etag(shapes, &response.fields[index]),
        None => string_field(response, "etag").map(|number| vec![number]),
    }
}

fn nested_etag(shapes: &Shapes, field: &Field) -> Option<Vec<u32>> {
    match (field.kind, field.label) {
        (Kind::Message(id), Label::Explicit) => {
            Some(vec![field.number, string_field(shapes.message(id), "etag")?])
        }
        _ => None,
    }
}

fn mask(
    pool: &DescriptorPool,
    shapes: &Shapes,
    http_method: &str,
    input: MessageId,
    body: Body,
    template: &Template,
) -> Option<Mask> {
    let request = shapes.message(input);
    let Body::Field(index) = body else { return None };
    let Kind::Message(resource) = request.fields[index].kind else { return None };
    if http_method != "PATCH" {
        return None;
    }
    let is_mask = |field: &&Field| {
        matches!(field.kind, Kind::Message(id) if shapes.message(id).form == Form::FieldMask)
            && field.label == Label::Explicit
    };
    let number = request.fields.iter().find(is_mask)?.number;
    let body_name = &request.fields[index].name;
    let mut skip = vec!["etag".to_owned()];
    for variable in &template.variables {
        if let Some((first, rest)) = variable.field_path.split_first()
            && first == body_name
        {
            skip.push(rest.join("."));
        }
    }
    let resource = shapes.message(resource);
    let set_by_server = |field: &&Field| {
        let behaviors = field_behaviors(pool, &resource.name, &field.name);
        behaviors.contains(&OUTPUT_ONLY) || behaviors.contains(&IDENTIFIER)
    };
    skip.extend(resource.fields.iter().filter(set_by_server).map(|field| field.name.clone()));
    Some(Mask { number, skip })
}

// Values of `google.api.FieldBehavior`.
pub(crate) const REQUIRED: i32 = 2;
pub(crate) const OUTPUT_ONLY: i32 = 3;
pub(crate) const INPUT_ONLY: i32 = 4;
const IDENTIFIER: i32 = 8;

/// The `google.api.field_behavior` values of a field.
pub(crate) fn field_behaviors(pool: &DescriptorPool, message: &str, field: &str) -> Vec<i32> {
    let extension = pool.get_extension_by_name("google.api.field_behavior");
    let message = pool.get_message_by_name(message);
    let field = message.and_then(|message| message.get_field_by_name(field));
    let (Some(extension), Some(field)) = (extension, field) else { return Vec::new() };
    let options = field.options();
    let behaviors = options.get_extension(&extension);
    behaviors.as_list().unwrap_or_default().iter().filter_map(Value::as_enum_number).collect()
}

/// The level of a method's `agon.options.v1.access` option, such as `LEVEL_NONE`.
pub(crate) fn access_level(pool: &DescriptorPool, rpc: &str) -> Option<String> {
    let (service, method) = rpc.rsplit_once('.')?;
    let service = pool.get_service_by_name(service)?;
    let method = service.methods().find(|candidate| candidate.name() == method)?;
    let extension = pool.get_extension_by_name("agon.options.v1.access")?;
    let options = method.options();
    let access = options.get_extension(&extension).into_owned();
    let access = access.as_message()?;
    let level = access.get_field_by_name("level")?.as_enum_number()?;
    let names = access.descriptor().get_field_by_name("level")?.kind();
    Some(names.as_enum()?.get_value(level)?.name().to_owned())
}
