use axum::{Json, extract::State};
use serde::Serialize;
use shared_auth::User;
use shared_http::{
    ApiError, ValidJson,
    client::ClientAddr,
    describe_body,
    error::ErrorBody,
    json::{Fields, Schema, text},
    openapi::{AnyRoute, JsonBody},
};
use utoipa::ToSchema;

use super::login::{Candidate, settle};
use crate::{AppState, password::Password, store::Username};

/// A user's own new password.
pub(super) struct PasswordRequest {
    old_password: String,
    new_password: String,
}

impl Schema for PasswordRequest {
    const DESCRIPTION: &'static str = "A user's own new password.";

    fn read(fields: &mut Fields<'_>) -> Self {
        let old = text("old_password").about("The password until now.").example("secret");
        let new = text("new_password")
            .min(4)
            .max(200)
            .no_nul()
            .about("4 to 200 characters, and at most 72 bytes of UTF-8.")
            .example("rahasia-gerbang-timur");
        Self { old_password: fields.get(old), new_password: fields.get(new) }
    }
}

describe_body!(PasswordRequest);

/// The password is another one.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedBody {
    /// Always `changed`.
    #[schema(example = "changed")]
    status: &'static str,
}

/// Change one's own password
///
/// Ends all sessions of the user. Wrong passwords are counted as those of logins are.
#[utoipa::path(
    post,
    path = "/auth/password",
    tag = "auth",
    request_body = PasswordRequest,
    responses(
        (status = 200, description = "The password is changed, and all sessions have ended.", body = ChangedBody),
        (
            status = 400,
            description = "The old password is wrong; or one of both is over 72 bytes, or the body is not UTF-8.",
            body = ErrorBody,
            example = json!({"detail": "Password lama salah"})
        ),
        (
            status = 429,
            description = "The account or the client has failed, or logged in, too often.",
            body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds to wait before trying again.")),
            example = json!({"detail": "Terlalu banyak percobaan login, coba lagi dalam 8 detik"})
        ),
        JsonBody,
        AnyRoute
    )
)]
pub(super) async fn change_password(
    State(state): State<AppState>,
    User { name, .. }: User,
    client: Option<ClientAddr>,
    ValidJson(request): ValidJson<PasswordRequest>,
) -> Result<Json<ChangedBody>, ApiError> {
    let (old, new) = (Password::new(request.old_password)?, Password::new(request.new_password)?);
    let username = Username(name.to_string());
    let client = client.map(|ClientAddr(address)| address);
    let Candidate { user, permit, attempt } = Candidate::of(&state, client, &username).await?;
    let hash = user.as_ref().map(|user| user.user.password.clone());
    let hash = state.passwords.replace(permit, old, hash, new, settle(attempt)).await?;
    let (Some(user), Some(hash)) = (user, hash) else { return Err(wrong()) };
    if !state.people.set_password(&user, &hash).await? {
        // Somebody else has changed it meanwhile, or deactivated or removed the user.
        return Err(wrong());
    }
    tracing::info!(user = &*name, "password changed");
    Ok(Json(ChangedBody { status: "changed" }))
}

fn wrong() -> ApiError {
    ApiError::BadRequest("Password lama salah".into())
}
