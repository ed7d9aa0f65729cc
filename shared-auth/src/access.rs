//! Who may call a route. Every route of a service stands in one table, [`routes!`](crate::routes), with its [`Access`]: a
//! route that does not say who may call it does not compile.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use axum::{
    extract::{FromRef, FromRequestParts, RawPathParams, Request},
    handler::Handler,
    http::request::Parts,
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::Either};
use shared_http::ApiError;

use crate::{
    extract::authenticate,
    token::{Claims, Permission, TokenVerifier},
};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// Users, whatever their role. No gate pass.
    Any,
    /// Admins.
    Admin,
    /// Users, and the gate passes of the event that is `{event_id}` in the path.
    Gate,
    /// Users, and all gate passes: what the request is about stands not in its path, so the handler asks
    /// [`Claims::is_for`].
    AnyGate,
}

/// The `detail` for users who are no admins.
pub const ADMIN_ONLY: &str = "Admin only";
/// The `detail` for a gate pass where none is good.
pub const GATE_ONLY: &str = "Token ini hanya untuk gerbang";
/// The `detail` for a gate pass of another event.
pub const OTHER_EVENT: &str = "Token ini hanya untuk event lain";

/// A handler that is called only by those who have access. It finds the [`Claims`] with the extractor
/// [`AuthUser`](crate::AuthUser).
#[derive(Clone, Copy, Debug)]
pub struct Guarded<H> {
    access: Access,
    handler: H,
}

impl Access {
    /// Lets only those call `handler` who have access.
    pub fn guard<H>(self, handler: H) -> Guarded<H> {
        Guarded { access: self, handler }
    }

    /// Verifies the token of a request, and puts its claims where the extractors find them.
    fn check<S>(self, parts: &mut Parts, state: &S) -> Result<(), ApiError>
    where
        Arc<TokenVerifier>: FromRef<S>,
    {
        if self == Self::Public {
            return Ok(());
        }
        let claims = authenticate(parts, &Arc::from_ref(state))?;
        match (&claims.permission, self) {
            (Permission::User(_), Self::Admin) if !claims.is_admin() => {
                return Err(ApiError::Forbidden(ADMIN_ONLY));
            }
            (Permission::Gate { .. }, Self::Any | Self::Admin) => return Err(ApiError::Forbidden(GATE_ONLY)),
            (Permission::Gate { event }, Self::Gate) if !names_event(parts, event) => {
                return Err(ApiError::Forbidden(OTHER_EVENT));
            }
            _ => {}
        }
        parts.extensions.insert::<Arc<Claims>>(claims);
        Ok(())
    }
}

/// Whether the path of the request names `event`.
fn names_event(parts: &mut Parts, event: &str) -> bool {
    // It never waits: the router has parsed the path.
    let parameters = RawPathParams::from_request_parts(parts, &()).now_or_never();
    let Some(Ok(parameters)) = parameters else { return false };
    parameters.iter().any(|(name, value)| name == "event_id" && value == event)
}

// A handler and no middleware: around each route that would cost another boxed future a request.
impl<H, T, S> Handler<T, S> for Guarded<H>
where
    H: Handler<T, S>,
    S: Clone + Send + Sync + 'static,
    Arc<TokenVerifier>: FromRef<S>,
{
    type Future = Either<H::Future, Ready<Response>>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.access.check(&mut parts, &state) {
            Ok(()) => Either::Left(self.handler.call(Request::from_parts(parts, body), state)),
            Err(refusal) => Either::Right(ready(refusal.into_response())),
        }
    }
}

/// Declares the routes of a service as `ACCESS METHOD PATH => MODULE::HANDLER`: `router()` serves them, `document()`
/// describes them, and `ROUTES` lists them. Method and path are those of the handler's `#[utoipa::path]`; a test of each
/// service compares them. Building the document takes more time and memory than everything else at a start. So it is not
/// built together with the router, as `OpenApiRouter` alone would do.
#[macro_export]
macro_rules! routes {
    (
        $state:ty, $description:ty:
        $($access:ident $method:ident $path:literal => $module:ident::$handler:ident),+ $(,)?
    ) => {
        /// Method, path and access of every route.
        pub const ROUTES: &[(&str, &str, $crate::Access)] =
            &[$((stringify!($method), $path, $crate::Access::$access)),+];

        pub(crate) fn router() -> ::axum::Router<$state> {
            ::axum::Router::new()
                $(.route($path, ::axum::routing::$method($crate::Access::$access.guard($module::$handler))))+
        }

        pub(crate) fn document() -> ::utoipa::openapi::OpenApi {
            let description = <$description as ::utoipa::OpenApi>::openapi();
            let mut document = ::utoipa_axum::router::OpenApiRouter::<$state>::with_openapi(description)
                $(.routes(::utoipa_axum::routes!($module::$handler)))+
                .into_openapi();
            $crate::openapi::describe_access(&mut document, ROUTES);
            document
        }
    };
}
