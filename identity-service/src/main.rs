//! The binary of identity-service.

use std::process::ExitCode;

use identity_service::service::Identity;

fn main() -> ExitCode {
    shared_service::run::<Identity>()
}
