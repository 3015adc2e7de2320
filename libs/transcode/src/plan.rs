//! The plan: every HTTP binding of a descriptor set, checked and resolved once, at start-up.

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};

use crate::error::PlanError;
use crate::json::lexer::Limits;
use crate::router::{Found, Router};
use crate::shape::{Field, Form, Kind, Label, Message, MessageId, Shapes};
use crate::status;
use crate::template::Template;

/// Every HTTP binding of a descriptor set.
#[derive(Debug)]
pub struct Plan {
    pub(crate) pool: DescriptorPool,
    pub(crate) shapes: Shapes,
    pub(crate) routes: Vec<Route>,
    pub(crate) limits: Limits,
    router: Router,
}

/// One HTTP binding of an RPC.
#[derive(Debug)]
pub struct Route {
    /// The RPC's full name, `package.Service.Method`.
    pub rpc: String,
    /// The RPC's HTTP/2 path, `/package.Service/Method`.
    pub rpc_path: String,
    /// The HTTP method; `*` for any.
    pub method: String,
    /// The path template.
    pub template: Template,
    /// What the HTTP body holds.
    pub body: Body,
    /// The index of the response field that becomes the HTTP body.
    pub response_body: Option<usize>,
    /// The request's type.
    pub input: MessageId,
    /// The response's type.
    pub output: MessageId,
    /// Whether the RPC takes a stream.
    pub client_streaming: bool,
    /// Whether the RPC answers with a stream.
    pub server_streaming: bool,
    /// Where the raw HTTP body goes, when it is not JSON.
    pub upload: Option<HttpBody>,
    /// Where the raw HTTP body of the response stands, when it is not JSON.
    pub download: Option<HttpBody>,
    /// Whether the RPC declares that it changes nothing.
    pub read_only: bool,
    /// How the path's variables reach the request, in the order of the template.
    pub(crate) variables: Vec<Target>,
    /// The request's `request_id`.
    pub(crate) request_id: Option<u32>,
    /// The path of the request's etag.
    pub(crate) etag: Option<Vec<u32>>,
    /// The path of the response's etag.
    pub(crate) reply_etag: Option<Vec<u32>>,
    /// The `cursor` of the request and of each response of a resumable stream.
    pub(crate) cursor: Option<(u32, u32)>,
    /// How to fill the field mask of a PATCH that has none.
    pub(crate) mask: Option<Mask>,
}

/// What the HTTP body of a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: there is none.
    None,
    /// Every field that the path does not bind.
    All,
    /// The field of this index.
    Field(usize),
}

/// Where a `google.api.HttpBody` stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// It is the message.
    Whole,
    /// It is the field of this number.
    Field(u32),
}

/// A request field that a path variable fills.
#[derive(Debug)]
pub(crate) struct Target {
    pub numbers: Vec<u32>,
    pub kind: Kind,
    pub name: String,
}

/// A field mask that the edge may fill.
#[derive(Debug)]
pub(crate) struct Mask {
    pub number: u32,
    /// Paths that never belong into it: what the path names, the etag, what is output only.
    pub skip: Vec<String>,
}

impl Plan {
    /// Reads the bindings of an encoded `FileDescriptorSet`. It must hold its imports; with source
    /// information the OpenAPI document carries the comments.
    pub fn new(descriptor_set: &[u8]) -> Result<Plan, PlanError> {
        let wrong =
            |error: prost_reflect::DescriptorError| PlanError::Descriptors(error.to_string());
        let mut pool = DescriptorPool::decode(descriptor_set).map_err(wrong)?;
        status::add_types(&mut pool).map_err(wrong)?;
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
        Ok(Plan { pool, shapes, routes, limits: Limits::default(), router })
    }

    /// Changes what a JSON body may cost.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Plan {
        Plan { limits, ..self }
    }

    /// Every binding, in the order of the descriptor set.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The binding of a number that [`Plan::find`] gave.
    pub fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Finds the binding for a method and a raw path (without query).
    pub fn find<'p>(&self, method: &str, path: &'p str) -> Found<'p> {
        self.router.find(method, path)
    }

    /// The message and enum types.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }
}

/// The rules of a method: the annotation and its additional bindings.
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
    let wrong = |reason: String| PlanError::Rule { rpc: rpc.clone(), reason };
    let (http_method, template) = method_and_template(rule);
    let template: Template =
        template.parse().map_err(|error| PlanError::Template { rpc: rpc.clone(), error })?;
    if http_method.is_empty() {
        return Err(wrong("the rule has no method".into()));
    }
    let input = shapes.find(method.input().full_name());
    let output = shapes.find(method.output().full_name());
    let (Some(input), Some(output)) = (input, output) else {
        return Err(wrong("a message type is missing".into()));
    };
    let request = shapes.message(input);
    let response = shapes.message(output);

    let body = body(request, &text(rule, "body")).map_err(&wrong)?;
    if body != Body::None && matches!(http_method.as_str(), "GET" | "HEAD") {
        return Err(wrong("a GET has no body".into()));
    }
    let response_body = match text(rule, "response_body").as_str() {
        "" | "*" => None,
        name => Some(named(response, name).map_err(&wrong)?),
    };
    let mut variables = Vec::new();
    for variable in &template.variables {
        variables.push(target(shapes, input, &variable.field_path).map_err(&wrong)?);
    }
    let upload = http_body_in(shapes, input, body);
    if method.is_client_streaming() && upload.is_none() {
        return Err(wrong("a stream of requests needs a google.api.HttpBody as its body".into()));
    }
    let download = http_body_out(shapes, output, response_body);
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
        read_only: method
            .method_descriptor_proto()
            .options
            .as_ref()
            .is_some_and(|o| o.idempotency_level() as i32 == 1),
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

/// Resolves a variable's field path to a single value that a text can hold.
fn target(shapes: &Shapes, id: MessageId, path: &[String]) -> Result<Target, String> {
    let name = path.join(".");
    let mut numbers = Vec::new();
    let mut kind = Kind::Message(id);
    for part in path {
        let Kind::Message(id) = kind else { return Err(format!("`{name}` is not a field")) };
        let message = shapes.message(id);
        let field = &message.fields[self::named(message, part)?];
        if matches!(field.label, Label::Repeated { .. } | Label::Map) {
            return Err(format!("`{name}` is not a single value"));
        }
        numbers.push(field.number);
        kind = field.kind;
    }
    match kind {
        Kind::Message(id) if shapes.message(id).form == Form::Object => {
            Err(format!("`{name}` is a message, which a path cannot hold"))
        }
        kind => Ok(Target { numbers, kind, name }),
    }
}

fn is_http_body(shapes: &Shapes, kind: Kind) -> bool {
    matches!(kind, Kind::Message(id) if shapes.message(id).name == "google.api.HttpBody")
}

fn http_body_in(shapes: &Shapes, input: MessageId, body: Body) -> Option<HttpBody> {
    match body {
        Body::None => None,
        Body::All => is_http_body(shapes, Kind::Message(input)).then_some(HttpBody::Whole),
        Body::Field(index) => http_body_field(shapes, &shapes.message(input).fields[index]),
    }
}

fn http_body_out(
    shapes: &Shapes,
    output: MessageId,
    response_body: Option<usize>,
) -> Option<HttpBody> {
    match response_body {
        None => is_http_body(shapes, Kind::Message(output)).then_some(HttpBody::Whole),
        Some(index) => http_body_field(shapes, &shapes.message(output).fields[index]),
    }
}

fn http_body_field(shapes: &Shapes, field: &Field) -> Option<HttpBody> {
    let single = matches!(field.label, Label::Explicit);
    (single && is_http_body(shapes, field.kind)).then_some(HttpBody::Field(field.number))
}

fn string_field(message: &Message, name: &str) -> Option<u32> {
    let (_, field) = message.field(name)?;
    let single = matches!(field.label, Label::Implicit | Label::Explicit);
    (single && field.kind == Kind::String && field.name == name).then_some(field.number)
}

/// A request's own etag, or that of the resource in its body.
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
    skip.extend(output_only(pool, &shapes.message(resource).name));
    Some(Mask { number, skip })
}

/// The fields of a message that `google.api.field_behavior` says only servers set.
fn output_only(pool: &DescriptorPool, message: &str) -> Vec<String> {
    const OUTPUT_ONLY: i32 = 3;
    const IDENTIFIER: i32 = 8;
    let extension = pool.get_extension_by_name("google.api.field_behavior");
    let (Some(extension), Some(message)) = (extension, pool.get_message_by_name(message)) else {
        return Vec::new();
    };
    let given = |value: &Value| matches!(value.as_enum_number(), Some(OUTPUT_ONLY | IDENTIFIER));
    message
        .fields()
        .filter(|field| {
            let options = field.options();
            let behaviour = options.get_extension(&extension);
            behaviour.as_list().is_some_and(|list| list.iter().any(given))
        })
        .map(|field| field.name().to_owned())
        .collect()
}

/// The access level a method's `agon.options.v1.access` option names, such as `LEVEL_NONE`.
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
