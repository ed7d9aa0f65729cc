//! Compresses the files of the gate and the desk, `web/`, and writes a table of them. zopfli makes them a twentieth smaller
//! than zlib does.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

const WEB: &str = "../web";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={WEB}");
    #[expect(clippy::disallowed_methods, reason = "Cargo's, not a setting of the service")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = Vec::new();
    collect(Path::new(WEB), &mut files)?;
    files.sort();

    let mut table = String::from("&[\n");
    for (number, path) in files.iter().enumerate() {
        let name = path.strip_prefix(WEB)?.to_str().ok_or("a name in web/ that is no UTF-8")?;
        let Some(content_type) = content_type(path) else { continue };
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("js" | "css") => without_comments(&fs::read_to_string(path)?)?,
            _ => fs::read_to_string(path)?,
        };
        let compressed = out.join(format!("web-{number}.gz"));
        zopfli::compress(
            zopfli::Options::default(),
            zopfli::Format::Gzip,
            text.as_bytes(),
            fs::File::create(&compressed)?,
        )?;
        let mut hash = DefaultHasher::new();
        (name, &text).hash(&mut hash);
        writeln!(
            table,
            "Embedded {{ path: {name:?}, content_type: {content_type:?}, hash: {}, gzip: include_bytes!({compressed:?}) }},",
            hash.finish()
        )?;
    }
    table.push(']');
    fs::write(out.join("web.rs"), table)?;
    Ok(())
}

/// A script or a style without indentation and without the lines that are comments: a third of what a phone would load.
/// A comment has lines of its own, and a string ends on its line, so no parser is needed.
fn without_comments(text: &str) -> Result<String, String> {
    let mut kept = String::new();
    let mut is_comment = false;
    for line in text.lines().map(str::trim) {
        if line.matches('`').count() % 2 == 1 {
            return Err(format!("a template over several lines would lose its indentation: {line}"));
        }
        let is_whole = line.starts_with("//") || line.is_empty();
        is_comment |= line.starts_with("/*");
        if !is_comment && !is_whole {
            kept.push_str(line);
            kept.push('\n');
        }
        if is_comment && line.contains("*/") {
            if !line.ends_with("*/") {
                return Err(format!("code behind the end of a comment would be lost: {line}"));
            }
            is_comment = false;
        }
    }
    Ok(kept)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The media type of a file that browsers ask for. `None` for package.json, which is for Node.
fn content_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "webmanifest" => Some("application/manifest+json"),
        _ => None,
    }
}
