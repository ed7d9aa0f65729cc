//! docs/configuration.md shows the settings as `--help` does.

use std::{env, fs, process::Stdio};

use shared_http::testing::command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const AFTER: &str = "```\n";

/// Compares the block of `service` with the help of `binary`, or replaces it where `UPDATE_SNAPSHOTS` is set. The page
/// leaves out the empty lines, a third of the help.
pub async fn the_page_shows_the_help(service: &str, binary: &str) {
    // clap takes the width from a terminal or COLUMNS: here is neither, so it is always the same.
    let output = command(binary).arg("--help").stdin(Stdio::null()).output().await.expect("help");
    assert!(output.status.success(), "{output:?}");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = help.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let help: String = lines.map(|line| format!("{line}\n")).collect();

    let before = format!("<!-- {service} --help -->\n\n```text\n");
    let page = fs::read_to_string(PAGE).expect("the page");
    let (head, rest) = page.split_once(&before).expect("the block of the service in docs/configuration.md");
    let (shown, tail) = rest.split_once(AFTER).expect("the end of that block");
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(PAGE, [head, &before, &help, AFTER, tail].concat()).expect("a page that can be written");
        return;
    }
    assert_eq!(
        shown, help,
        "docs/configuration.md is not what --help says. If that is meant:\n\
         UPDATE_SNAPSHOTS=1 cargo test --workspace --test service configuration"
    );
}
