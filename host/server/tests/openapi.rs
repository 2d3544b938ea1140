//! The API's description is the file that the web UI's types are made of.

use std::path::Path;

#[test]
fn the_document_is_in_the_repository() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = windlass_server::document();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &now).expect("the document can be written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == now, "the API has changed; look at the difference, and renew it with UPDATE_OPENAPI=1");
}
