//! Describes in the OpenAPI document what a protected route asks for and how it refuses.

use shared_http::openapi::{Responses, error, text};
use utoipa::{
    IntoResponses, Modify,
    openapi::{
        OpenApi, RefOr,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::access::{ADMIN_ONLY, Access, GATE_ONLY, OTHER_EVENT};

/// Adds the scheme `bearer`, so that "Authorize" works.
pub struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` that `POST /auth/login` of identity-service answers."))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The response to a request without a valid token: 401.
pub struct Unauthorized;

impl IntoResponses for Unauthorized {
    fn responses() -> Responses {
        let refused = error(
            "No token, or no good one: `Missing Authorization header`, `Invalid Authorization header format. Use: \
             Bearer <token>`, `Token expired` or `Invalid token`.",
            "Missing Authorization header",
        )
        .header("WWW-Authenticate", text("Always `Bearer`."))
        .build();
        Responses::from([("401".to_owned(), refused.into())])
    }
}

/// Adds to each of `routes` which token it asks for, and the 401 and 403 of those who have none.
pub fn describe_access(document: &mut OpenApi, routes: &[(&str, &str, Access)]) {
    for (method, path, access) in routes {
        let Some(item) = document.paths.paths.get_mut(*path) else { continue };
        let operation = match *method {
            "get" => &mut item.get,
            "post" => &mut item.post,
            "put" => &mut item.put,
            "patch" => &mut item.patch,
            "delete" => &mut item.delete,
            _ => continue,
        };
        if let Some(operation) = operation {
            add_access(operation, *access);
        }
    }
}

fn add_access(operation: &mut Operation, access: Access) {
    let (sentence, detail) = match access {
        Access::Public => return,
        Access::AnyGate => return add_bearer(operation),
        Access::Any => ("A gate pass is not good for this route.", GATE_ONLY),
        Access::Admin => ("Not an admin. For a gate pass: `Token ini hanya untuk gerbang`.", ADMIN_ONLY),
        Access::Gate => ("A gate pass of another event.", OTHER_EVENT),
    };
    add_bearer(operation);
    let responses = &mut operation.responses.responses;
    match responses.get_mut("403") {
        Some(RefOr::T(refused)) => refused.description = format!("{} {sentence}", refused.description),
        _ => drop(responses.insert("403".to_owned(), error(sentence, detail).build().into())),
    }
}

fn add_bearer(operation: &mut Operation) {
    operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    operation.responses.responses.extend(Unauthorized::responses());
}
