//! What is said of a body that breaks the schema, in FastAPI's words: one entry each. What was sent is given as JSON.

/// The answer with these entries.
pub fn detail(entries: &[String]) -> String {
    format!(r#"{{"detail":[{}]}}"#, entries.join(","))
}

/// A field that is not there.
pub fn missing(field: &str, body: &str) -> String {
    format!(r#"{{"type":"missing","loc":["body","{field}"],"msg":"Field required","input":{body}}}"#)
}

/// A field that is no text.
pub fn no_text(field: &str, input: &str) -> String {
    format!(
        r#"{{"type":"string_type","loc":["body","{field}"],"msg":"Input should be a valid string","input":{input}}}"#
    )
}

/// A text of less than `least` characters.
pub fn too_short(field: &str, input: &str, least: usize) -> String {
    let characters = if least == 1 { "character" } else { "characters" };
    format!(
        r#"{{"type":"string_too_short","loc":["body","{field}"],"msg":"String should have at least {least} {characters}","input":{input},"ctx":{{"min_length":{least}}}}}"#
    )
}

/// A text of more than `most` characters.
pub fn too_long(field: &str, input: &str, most: usize) -> String {
    format!(
        r#"{{"type":"string_too_long","loc":["body","{field}"],"msg":"String should have at most {most} characters","input":{input},"ctx":{{"max_length":{most}}}}}"#
    )
}

/// No body, or `null`.
pub fn no_body() -> String {
    r#"{"type":"missing","loc":["body"],"msg":"Field required","input":null}"#.to_owned()
}

/// A body that is no object.
pub fn no_object(input: &str) -> String {
    format!(
        r#"{{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":{input}}}"#
    )
}

/// A body that is no JSON, `offset` characters from its beginning.
pub fn no_json(offset: usize, error: &str) -> String {
    format!(
        r#"{{"type":"json_invalid","loc":["body",{offset}],"msg":"JSON decode error","input":{{}},"ctx":{{"error":"{error}"}}}}"#
    )
}
