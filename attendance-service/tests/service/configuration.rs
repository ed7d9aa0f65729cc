//! docs/configuration.md shows the settings as `--help` does.

use std::{fs, process::Stdio};

use shared_http::testing::command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const BEFORE: &str = "<!-- attendance-service --help -->\n\n```text\n";
const AFTER: &str = "```\n";

/// The page leaves out the empty lines, a third of the help.
#[tokio::test]
async fn the_page_on_the_configuration_shows_the_help() {
    // clap takes the width from a terminal or COLUMNS: here is neither, so it is always the same.
    let mut help = command(env!("CARGO_BIN_EXE_attendance-service"));
    let output = help.arg("--help").stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let help: String = help
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();

    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) =
        page.split_once(BEFORE).expect("the block of attendance-service in docs/configuration.md");
    let (shown, tail) = rest.split_once(AFTER).expect("the end of that block");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(PAGE, [head, BEFORE, &help, AFTER, tail].concat()).unwrap();
    } else {
        assert_eq!(
            shown, help,
            "docs/configuration.md is not what --help says. If that is meant:\n\
             UPDATE_SNAPSHOTS=1 cargo test -p attendance-service --test service configuration"
        );
    }
}
