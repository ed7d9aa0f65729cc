//! The files of the pages, compressed when the program is built.

use std::{error::Error, fs::File, io::Write, path::Path};

use aide::{redoc::Redoc, swagger::Swagger};
use flate2::{Compression, write::GzEncoder};

/// ReDoc's logo is the one thing that it would fetch from elsewhere; in its place comes an empty picture.
const REDOC_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";
const NO_LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/%3E";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    write_page_files()
}

/// The scripts and the style out of the pages that aide has for them: as files of their own they need no exception
/// from a Content-Security-Policy. Compressed they take a quarter of the room.
fn write_page_files() -> Result<(), Box<dyn Error>> {
    let redoc = Redoc::new("").html().replace(REDOC_LOGO, NO_LOGO);
    let swagger = Swagger::new("").html();
    write_compressed("redoc.standalone.js", between(&redoc, "<script>", "Redoc.init(")?)?;
    write_compressed("swagger-ui-bundle.js", between(&swagger, "<script>", "</script>\n<!--")?)?;
    write_compressed("swagger-ui.css", between(&swagger, "<style>", "</style>")?)
}

fn between<'a>(page: &'a str, beginning: &str, end: &str) -> Result<&'a str, String> {
    let part = page.split_once(beginning).and_then(|(_, rest)| rest.rsplit_once(end));
    part.map(|(part, _)| part).ok_or_else(|| format!("aide's pages have no {beginning} or no {end} any more"))
}

fn write_compressed(name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "Cargo's, not a setting of the service")]
    let directory = std::env::var("OUT_DIR")?;
    let file = File::create(Path::new(&directory).join(format!("{name}.gz")))?;
    let mut compressed = GzEncoder::new(file, Compression::best());
    compressed.write_all(text.as_bytes())?;
    compressed.finish()?;
    Ok(())
}
