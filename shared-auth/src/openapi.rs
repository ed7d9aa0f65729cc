//! Describes in the OpenAPI document what a protected route asks for and how it refuses.

use shared_http::openapi::{Responses, error, text};
use utoipa::{
    IntoResponses, Modify,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

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
