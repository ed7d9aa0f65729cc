use axum::{Json, response::IntoResponse};
use shared_auth::User;
use shared_http::openapi::AnyRoute;

use super::{NO_STORE, UserBody};
use crate::store::Username;

/// Who the token belongs to
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "auth",
    responses((status = 200, description = "As the token's claims say.", body = UserBody), AnyRoute)
)]
pub(super) async fn me(User { name, role }: User) -> impl IntoResponse {
    let user = UserBody { username: Username(name.to_string()), role };
    (NO_STORE, Json(user))
}
