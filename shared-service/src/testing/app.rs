//! A service in process: its settings, and the form of its errors.

use std::{collections::BTreeMap, iter};

use clap::{Arg, Parser};
use serde_json::Value;
use shared_http::testing::Answer;

use super::forge::SECRET;

/// A command line with these settings, each under the name of its flag, and nothing from the environment that the tests
/// happen to run in: flags win over the environment, and an empty setting is an unset one.
pub fn args<A: Parser>(settings: &[(&str, &str)]) -> A {
    let command = A::command();
    let variables = command.get_arguments().filter(|argument| argument.get_env().is_some());
    let mut all: BTreeMap<_, _> = variables.filter_map(Arg::get_long).map(|name| (name, "")).collect();
    // No test takes as long as that on the slowest machine.
    all.extend([("app-env", "development"), ("jwt-secret", SECRET), ("request-timeout-seconds", "600")]);
    all.extend(settings.iter().copied());
    let flags = all.into_iter().map(|(name, value)| format!("--{name}={value}"));
    A::try_parse_from(iter::once("service".to_owned()).chain(flags)).expect("flags that clap knows")
}

/// The `detail` of an error, once it is sure that the error has the form that all errors have.
pub fn detail(answer: &Answer) -> Value {
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    let body = answer.json();
    let fields = body.as_object().expect("an object");
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["detail"], "{body}");
    body["detail"].clone()
}
