//! Describes in the OpenAPI document the responses that all routes have in common.

use std::{collections::BTreeMap, marker::PhantomData};

use serde_json::{Value, json};
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, HeaderBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type},
};

use crate::{
    body::shown,
    json::{Fields, Schema},
};

/// The responses by status, as utoipa wants them.
pub type Responses = BTreeMap<String, RefOr<Response>>;

/// The errors of any route: 500, 503.
pub struct AnyRoute;

impl IntoResponses for AnyRoute {
    fn responses() -> Responses {
        Responses::from([
            (
                "500".to_owned(),
                error("A fault of ours; it is logged under the request's id.", "Internal Server Error")
                    .build()
                    .into(),
            ),
            (
                "503".to_owned(),
                error("Too busy, or not done in time.", "The service is busy. Please try again.")
                    .header("Retry-After", integer("Seconds to wait before trying again."))
                    .build()
                    .into(),
            ),
        ])
    }
}

/// The further errors of a route with a JSON body `T`: 408, 413, 422. The 400 for a body that is not UTF-8 is described
/// with each route. Where `T` is left out, it is any that has no limit of its own.
pub struct JsonBody<T = ShortBody>(PhantomData<T>);

/// A body that has no limit of its own.
pub struct ShortBody;

impl Schema for ShortBody {
    const DESCRIPTION: &'static str = "";

    fn read(_: &mut Fields<'_>) -> Self {
        Self
    }
}

impl<T: Schema> IntoResponses for JsonBody<T> {
    fn responses() -> Responses {
        let limit = shown(T::BODY_LIMIT);
        let missing =
            json!({"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}]});
        Responses::from([
            (
                "408".to_owned(),
                error(
                    "The body did not arrive in time.",
                    "The request did not arrive in time. Please send it again.",
                )
                .build()
                .into(),
            ),
            (
                "413".to_owned(),
                error(
                    &format!("The body is over {limit}."),
                    &format!("The request body is too large (at most {limit})."),
                )
                .build()
                .into(),
            ),
            (
                "422".to_owned(),
                response(
                    "The body is no JSON, or breaks the schema: every failing field at once.",
                    "InvalidBody",
                    missing,
                )
                .build()
                .into(),
            ),
        ])
    }
}

/// Adds `X-Request-Id` to every response of every route, because the middleware sends it with every response.
pub(crate) fn add_request_ids(openapi: &mut OpenApi) {
    let id = text("The request's own id where it sent a well-formed one, else a new one.");
    let operations =
        openapi.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete]
        });
    for response in operations.flatten().flat_map(|operation| operation.responses.responses.values_mut()) {
        if let RefOr::T(response) = response {
            response.headers.insert("X-Request-Id".to_owned(), id.clone().into());
        }
    }
}

/// An error response with the body `{"detail": …}`.
pub fn error(description: &str, detail: &str) -> ResponseBuilder {
    response(description, "ErrorBody", json!({ "detail": detail }))
}

/// A header that carries text.
pub fn text(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(description)).build()
}

fn integer(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(Object::with_type(Type::Integer))).description(Some(description)).build()
}

fn response(description: &str, schema: &str, example: Value) -> ResponseBuilder {
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build();
    ResponseBuilder::new().description(description).content("application/json", content)
}
