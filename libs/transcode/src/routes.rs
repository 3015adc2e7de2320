//! The list of all routes, for the generated file that shows changes of HTTP paths in reviews.

use crate::plan::{Body, Plan};

/// One line per route: method, template, body, response body, RPC; sorted by template.
pub fn routes(plan: &Plan) -> String {
    let mut lines: Vec<[String; 5]> = plan
        .routes()
        .iter()
        .map(|route| {
            let body = match route.body {
                Body::None => "-".into(),
                Body::All => "*".into(),
                Body::Field(field) => plan.shapes().message(route.input).fields[field].name.clone(),
            };
            let response = route
                .response_body
                .map_or("-", |field| &plan.shapes().message(route.output).fields[field].name);
            let template = route.template.to_string();
            [template, route.method.clone(), body, response.to_owned(), route.rpc.clone()]
        })
        .collect();
    lines.sort();
    let mut text = String::new();
    for [template, method, body, response, rpc] in lines {
        text.push_str(&format!("{method} {template} {body} {response} {rpc}\n"));
    }
    text
}
