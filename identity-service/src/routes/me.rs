use axum::{Json, http::header::CACHE_CONTROL, response::IntoResponse};
use shared_auth::{AuthUser, openapi::Unauthorized};
use shared_http::openapi::AnyRoute;

use super::UserBody;
use crate::store::Username;

/// Who the token belongs to
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "auth",
    security(("bearer" = [])),
    responses((status = 200, description = "As the token's claims say.", body = UserBody), Unauthorized, AnyRoute)
)]
pub(super) async fn me(AuthUser(claims): AuthUser) -> impl IntoResponse {
    let user = UserBody { username: Username(claims.sub.to_string()), role: claims.role };
    ([(CACHE_CONTROL, "no-store")], Json(user))
}
