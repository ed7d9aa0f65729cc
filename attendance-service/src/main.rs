//! The binary of attendance-service.

use std::process::ExitCode;

use attendance_service::service::Attendance;

fn main() -> ExitCode {
    shared_service::run::<Attendance>()
}
