//! Whether tickets can be checked in.

use async_trait::async_trait;
use shared_http::ApiError;
use shared_service::health::Readiness;

use crate::{AppState, store::StoreError};

#[async_trait]
impl Readiness for AppState {
    async fn ready(&self) -> Result<(), ApiError> {
        self.check_ins.ready().await.map_err(|error| match error {
            StoreError::Unavailable(reason) => ApiError::NotReady(reason.as_ref().to_owned()),
            // `/ready` is read by operators. It tells them the cause, and not the message that gates get.
            error @ StoreError::Full => ApiError::Full(error.to_string().into()),
            error @ StoreError::Internal(_) => error.into(),
        })
    }
}
