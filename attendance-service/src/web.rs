//! The gate and the desk: pages for browsers, whose files are part of the binary, because a gate may have no internet.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Write},
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{
            CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, InvalidHeaderValue,
            VARY,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use shared_http::{ApiError, config::Origin};

use crate::routes::{accepts_gzip, is_unchanged};

/// A file of `web/`, compressed by the build.
struct Embedded {
    path: &'static str,
    content_type: &'static str,
    hash: u64,
    gzip: &'static [u8],
}

const EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// The service worker of the gate. It may keep `/gate`, which is outside its own directory.
const SERVICE_WORKER: &str = "gate/service-worker.js";
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// A new version of the service may follow at any time, and the cache of the gate is its service worker.
const CACHING: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];

/// A file as it is sent.
struct WebFile {
    content_type: &'static str,
    etag: String,
    /// Those of what runs by itself: a page, or the service worker.
    headers: HeaderMap,
    content: Content,
}

enum Content {
    Embedded(&'static [u8]),
    Filled(Template),
}

/// A file with one value to be filled in. That is done at the first request: who serves no page needs no memory for it.
struct Template {
    gzip: &'static [u8],
    placeholder: &'static str,
    value: String,
    filled: OnceLock<Bytes>,
}

/// The routes of the pages: `/gate`, `/desk`, and the files below `/web/` that they load.
///
/// # Errors
///
/// `identity_url` can stand in no header, or there is no page.
pub fn router(identity_url: Option<&Origin>) -> io::Result<Router> {
    let mut files = files(identity_url)?;
    let mut router = Router::new();
    for page in ["gate", "desk"] {
        let file = files.remove(&*format!("{page}.html")).ok_or(io::ErrorKind::NotFound)?;
        let file = Arc::new(file);
        router = router.route(&format!("/{page}"), get(async move |headers: HeaderMap| file.send(&headers)));
    }
    let files = Arc::new(files);
    Ok(router.route(
        "/web/{*path}",
        get(async move |uri: Uri, headers: HeaderMap| {
            let file = uri.path().strip_prefix("/web/").and_then(|path| files.get(path));
            file.ok_or(ApiError::NotFound)?.send(&headers)
        }),
    ))
}

fn files(identity_url: Option<&Origin>) -> io::Result<HashMap<&'static str, WebFile>> {
    let identity_url = identity_url.map_or("", Origin::as_str);
    let version = version(identity_url);
    let policy = policy(identity_url).map_err(io::Error::other)?;
    let of_page = HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, policy)]);
    let mut of_worker = of_page.clone();
    of_worker.insert(SERVICE_WORKER_ALLOWED, HeaderValue::from_static("/gate"));
    let files = EMBEDDED.iter().map(|embedded| {
        let &Embedded { path, content_type, hash, gzip } = embedded;
        let filled = |headers: &HeaderMap, placeholder, value: &str| WebFile {
            content_type,
            etag: format!("W/\"{version}\""),
            headers: headers.clone(),
            content: Content::Filled(Template {
                gzip,
                placeholder,
                value: value.to_owned(),
                filled: OnceLock::new(),
            }),
        };
        let file = if path.ends_with(".html") {
            filled(&of_page, "{{identity_url}}", identity_url)
        } else if path == SERVICE_WORKER {
            filled(&of_worker, "{{version}}", &version)
        } else {
            let etag = format!("W/\"{hash:x}\"");
            WebFile { content_type, etag, headers: HeaderMap::new(), content: Content::Embedded(gzip) }
        };
        (path, file)
    });
    Ok(files.collect())
}

/// Stands for all files and what is filled in. With a new one, the service worker fetches everything anew.
fn version(identity_url: &str) -> String {
    let mut hash = DefaultHasher::new();
    EMBEDDED.iter().for_each(|file| file.hash.hash(&mut hash));
    identity_url.hash(&mut hash);
    format!("{:016x}", hash.finish())
}

/// The Content-Security-Policy (CSP Level 3) of the pages: files of this service, and requests to both services. Pictures
/// may also come from the page itself: QR codes, and frames of the camera.
fn policy(identity_url: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
         connect-src 'self' {identity_url}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    ))
}

impl WebFile {
    fn send(&self, request: &HeaderMap) -> Result<Response, ApiError> {
        let tag = [(ETAG, self.etag.clone())];
        if is_unchanged(request, &self.etag) {
            return Ok((StatusCode::NOT_MODIFIED, CACHING, tag).into_response());
        }
        let gzip = self.content.gzip().map_err(ApiError::internal)?;
        let headers = (CACHING, tag, [(CONTENT_TYPE, self.content_type)], self.headers.clone());
        if accepts_gzip(request) {
            return Ok((headers, [(CONTENT_ENCODING, "gzip")], gzip).into_response());
        }
        let mut plain = Vec::new();
        GzDecoder::new(&*gzip).read_to_end(&mut plain).map_err(ApiError::internal)?;
        Ok((headers, plain).into_response())
    }
}

impl Content {
    fn gzip(&self) -> io::Result<Bytes> {
        match self {
            Self::Embedded(gzip) => Ok(Bytes::from_static(gzip)),
            Self::Filled(template) => template.gzip(),
        }
    }
}

impl Template {
    fn gzip(&self) -> io::Result<Bytes> {
        if let Some(filled) = self.filled.get() {
            return Ok(filled.clone());
        }
        let filled = compress(&inflate(self.gzip)?.replace(self.placeholder, &self.value))?;
        Ok(self.filled.get_or_init(|| filled).clone())
    }
}

fn inflate(gzip: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(gzip).read_to_string(&mut text)?;
    Ok(text)
}

fn compress(text: &str) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?.into())
}
