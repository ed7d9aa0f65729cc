//! identity-service as its operator meets it: the program, its settings, its log and its signals.

mod doctor;
mod end;
mod first_admin;
mod limits;
mod log;
mod settings;
mod tls;
