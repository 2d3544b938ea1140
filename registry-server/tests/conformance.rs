//! The distribution specification, version 1.1, case by case: what its text demands and its published conformance suite tries,
//! as far as it applies to this registry.
//!
//! A case is a script. Each line is one call and what it must give:
//!
//! ```text
//! PUT LOCATION?digest=@blob | send blob -> 201 | location: /v2/REPO/blobs/@blob
//! ```
//!
//! `REPO` is a repository of the case's own, `OTHER` a second one, `LOCATION` the last `Location`, `@thing` the digest of a thing
//! ([`things`]). Of the answer are checked: the status (any of those given), headers (`*`: is there, `-`: is not), `body THING`,
//! the error's `code`, the list of `tags`, the things that are `referrers`, and their artifact `kinds`.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{World, http::plain_http};
use reqwest::{Client, Method, header::HeaderMap};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_contract::Digest;

/// A case: its name in the published suite (where it has one), the section of the specification with the numbers of its
/// endpoints, and the script.
type Case = (&'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    // ---- Determining support
    ("ping", "API / Determining Support (end-1)", "GET /v2/ -> 200"),
    // ---- Pull
    ("sha256 blobs/get-missing", "Pull / Pulling blobs (end-2)", "
        GET /v2/REPO/blobs/@blob -> 404 | code BLOB_UNKNOWN
        HEAD /v2/REPO/blobs/@blob -> 404"),
    ("pull blobs", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        HEAD /v2/REPO/blobs/@blob -> 200 | content-length: 2048 | docker-content-digest: @blob
        GET /v2/REPO/blobs/@blob -> 200 | docker-content-digest: @blob | body blob"),
    ("pull blobs without a token", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | anonymous -> 200 | body blob"),
    ("sha256 blobs/range requests/range 500-1499", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=500-1499 -> 206 | content-length: 1000 | content-range: bytes 500-1499/2048 | body blob[500..1500]"),
    ("sha256 blobs/range requests/range 500-", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=500- -> 206 | content-range: bytes 500-2047/2048 | body blob[500..2048]"),
    ("sha256 blobs/range requests/range -500", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=-500 -> 206 | content-range: bytes 1548-2047/2048 | body blob[1548..2048]"),
    ("sha256 blobs/range requests/range 2000-5000", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=2000-5000 -> 206 | content-range: bytes 2000-2047/2048 | body blob[2000..2048]"),
    ("sha256 blobs/range requests/range 500-0", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=500-0 -> 416"),
    ("sha256 blobs/range requests/range 5000-10000", "Pull / Pulling blobs (end-2)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob | range: bytes=5000-10000 -> 416 | content-range: bytes */2048"),
    ("missing-manifest/by-digest", "Pull / Pulling manifests (end-3)", "
        GET /v2/REPO/manifests/@image -> 404 | code MANIFEST_UNKNOWN
        HEAD /v2/REPO/manifests/@image -> 404"),
    ("missing-manifest/by-tag", "Pull / Pulling manifests (end-3)", "
        GET /v2/REPO/manifests/missing -> 404 | code MANIFEST_UNKNOWN
        HEAD /v2/REPO/manifests/missing -> 404"),
    ("image/head and pull", "Pull / Pulling manifests (end-3)", "
        use image
        PUT /v2/REPO/manifests/stable | send image -> 201
        HEAD /v2/REPO/manifests/stable -> 200 | content-length: * | content-type: application/vnd.oci.image.manifest.v1+json | docker-content-digest: @image
        HEAD /v2/REPO/manifests/@image -> 200 | content-length: * | docker-content-digest: @image
        GET /v2/REPO/manifests/stable -> 200 | content-type: application/vnd.oci.image.manifest.v1+json | docker-content-digest: @image | body image
        GET /v2/REPO/manifests/@image -> 200 | docker-content-digest: @image | body image"),
    ("a repository of another", "Push / Pushing Manifests (end-3)", "GET /v2/OTHER/manifests/stable -> 404"),
    ("invalid-digest-format/manifest-get", "Pull / Pulling manifests (end-3)", "GET /v2/REPO/manifests/sha256:baddigeststring -> 400 404 | code DIGEST_INVALID"),
    ("invalid-digest-format/blob-get", "Pull / Pulling blobs (end-2)", "GET /v2/REPO/blobs/sha256:baddigeststring -> 400 404 | code DIGEST_INVALID"),
    ("error codes", "API / Error Codes", "
        GET /v2/REPO/manifests/.INVALID_MANIFEST_NAME -> 400 404
        PUT /v2/REPO/manifests/-no-tag- | send image -> 400"),
    // ---- Push: blobs in one piece
    ("sha256 blobs/post+put", "Push / POST then PUT (end-4a, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202 | location: *
        PUT LOCATION?digest=@blob | content-type: application/octet-stream | send blob -> 201 | location: /v2/REPO/blobs/@blob
        HEAD /v2/REPO/blobs/@blob -> 200 | content-length: 2048
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/post only", "Push / Single POST (end-4b)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | content-type: application/octet-stream | send blob -> 201 | location: /v2/REPO/blobs/@blob
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/empty", "Push / POST then PUT (end-4a, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PUT LOCATION?digest=@empty | send empty -> 201
        HEAD /v2/REPO/blobs/@empty -> 200 | content-length: 0
        GET /v2/REPO/blobs/@empty -> 200 | body empty"),
    ("sha256 blobs/emptyJSON", "Push / POST then PUT (end-4a, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PUT LOCATION?digest=@braces | send braces -> 201
        GET /v2/REPO/blobs/@braces -> 200 | body braces"),
    ("sha256 blobs/bad digest post only", "Push / Pushing blobs (end-4b)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send other -> 400 | code DIGEST_INVALID
        GET /v2/REPO/blobs/@blob -> 404
        GET /v2/REPO/blobs/@other -> 404"),
    ("sha256 blobs/bad digest post+put", "Push / Pushing blobs (end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PUT LOCATION?digest=@blob | send other -> 400 | code DIGEST_INVALID
        GET /v2/REPO/blobs/@blob -> 404"),
    ("sha256 blobs/bad digest chunked", "Push / Pushing blobs (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-2047 | send other -> 202
        PUT LOCATION?digest=@blob -> 400 | code DIGEST_INVALID
        GET /v2/REPO/blobs/@blob -> 404"),
    ("sha256 blobs/bad digest chunked and put chunk", "Push / Pushing blobs (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-1023 | send other[0..1024] -> 202
        PUT LOCATION?digest=@blob | content-range: 1024-2047 | send other[1024..2048] -> 400 | code DIGEST_INVALID"),
    ("sha256 blobs/bad digest stream", "Push / Pushing blobs (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | send other -> 202
        PUT LOCATION?digest=@blob -> 400 | code DIGEST_INVALID"),
    ("a digest that is none", "Push / Pushing blobs (end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PUT LOCATION?digest=sha256:abc | send blob -> 400 | code DIGEST_INVALID
        POST /v2/REPO/blobs/uploads/?digest=md5:d41d8cd98f00b204e9800998ecf8427e | send blob -> 400 | code DIGEST_INVALID"),
    ("a closing call without a digest", "Push / POST then PUT (end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PUT LOCATION | send blob -> 400 | code DIGEST_INVALID"),
    ("the same blob twice", "Push / POST then PUT (end-4a, end-6)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    // ---- Push: blobs in pieces
    ("sha256 blobs/stream", "Push / Pushing a blob in chunks (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-type: application/octet-stream | send blob -> 202 | location: * | range: 0-2047
        PUT LOCATION?digest=@blob -> 201 | location: /v2/REPO/blobs/@blob
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/chunked single", "Push / Pushing a blob in chunks (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ | content-length: 0 -> 202 | location: *
        PATCH LOCATION | content-range: 0-2047 | send blob -> 202 | location: * | range: 0-2047
        PUT LOCATION?digest=@blob -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/chunked multi", "Push / Pushing a blob in chunks (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-999 | send blob[0..1000] -> 202 | range: 0-999
        PATCH LOCATION | content-range: 1000-1999 | send blob[1000..2000] -> 202 | range: 0-1999
        PATCH LOCATION | content-range: 2000-2047 | send blob[2000..2048] -> 202 | range: 0-2047
        PUT LOCATION?digest=@blob -> 201 | location: /v2/REPO/blobs/@blob
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/chunked multi and put chunk", "Push / Pushing a blob in chunks (end-5, end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-999 | send blob[0..1000] -> 202
        PATCH LOCATION | content-range: 1000-1999 | send blob[1000..2000] -> 202
        PUT LOCATION?digest=@blob | content-range: 2000-2047 | send blob[2000..2048] -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/chunked out-of-order", "Push / Pushing a blob in chunks (end-5, end-13)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 1000-1999 | send blob[1000..2000] -> 416
        PATCH LOCATION | content-range: 0-999 | send blob[0..1000] -> 202 | range: 0-999
        PATCH LOCATION | content-range: 0-999 | send blob[0..1000] -> 416
        PATCH LOCATION | content-range: 2000-2047 | send blob[2000..2048] -> 416
        GET LOCATION -> 204 | location: * | range: 0-999
        PATCH LOCATION | content-range: 1000-2047 | send blob[1000..2048] -> 202 | range: 0-2047
        PUT LOCATION?digest=@blob -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/chunked out-of-order and put chunk", "Push / Pushing a blob in chunks (end-6)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-999 | send blob[0..1000] -> 202
        PUT LOCATION?digest=@blob | content-range: 2000-2047 | send blob[2000..2048] -> 416
        GET LOCATION -> 204 | range: 0-999
        PUT LOCATION?digest=@blob | content-range: 1000-2047 | send blob[1000..2048] -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("a range of another length than its chunk", "Push / Pushing a blob in chunks (end-5)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | content-range: 0-99 | send blob[0..1000] -> 400 416"),
    ("sha256 blobs/post cancel", "Push / Cancel a blob upload (end-14)", "
        POST /v2/REPO/blobs/uploads/ -> 202
        PATCH LOCATION | send blob -> 202
        DELETE LOCATION -> 204
        GET LOCATION -> 404 | code BLOB_UPLOAD_UNKNOWN
        PUT LOCATION?digest=@blob -> 404 | code BLOB_UPLOAD_UNKNOWN
        GET /v2/REPO/blobs/@blob -> 404"),
    ("an upload that never was", "Push / Pushing a blob in chunks (end-5, end-6, end-13)", "
        PATCH /v2/REPO/blobs/uploads/00000000000000000000000000000000 | send blob -> 404 | code BLOB_UPLOAD_UNKNOWN
        PUT /v2/REPO/blobs/uploads/00000000000000000000000000000000?digest=@blob | send blob -> 404 | code BLOB_UPLOAD_UNKNOWN
        GET /v2/REPO/blobs/uploads/00000000000000000000000000000000 -> 404 | code BLOB_UPLOAD_UNKNOWN"),
    // ---- Push: mounts
    ("sha256 blobs/mount", "Push / Mounting a blob from another repository (end-11)", "
        POST /v2/OTHER/blobs/uploads/?digest=@blob | send blob -> 201
        POST /v2/REPO/blobs/uploads/?mount=@blob&from=OTHER -> 201 | location: /v2/REPO/blobs/@blob
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    ("sha256 blobs/mount anonymous", "Push / Mounting a blob from another repository (end-11)", "
        POST /v2/OTHER/blobs/uploads/?digest=@blob | send blob -> 201
        POST /v2/REPO/blobs/uploads/?mount=@blob -> 201 202 | location: *"),
    ("sha256 blobs/mount missing", "Push / Mounting a blob from another repository (end-11)", "
        POST /v2/REPO/blobs/uploads/?mount=@blob&from=OTHER -> 202 | location: *
        PUT LOCATION?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
    // ---- Push: manifests
    ("image/push", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/stable | content-type: application/vnd.oci.image.manifest.v1+json | send image -> 201 | location: * | docker-content-digest: @image
        GET LOCATION -> 200 | body image"),
    ("image/push by digest", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@image | content-type: application/vnd.oci.image.manifest.v1+json | send image -> 201 | docker-content-digest: @image
        GET /v2/REPO/manifests/@image -> 200 | body image"),
    ("a type with parameters", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/stable | content-type: application/vnd.oci.image.manifest.v1+json; charset=utf-8 | send image -> 201
        GET /v2/REPO/manifests/stable -> 200 | content-type: application/vnd.oci.image.manifest.v1+json"),
    ("no-layers", "Push / Pushing Manifests (end-7a)", "
        use no-layers
        PUT /v2/REPO/manifests/stable | send no-layers -> 201
        GET /v2/REPO/manifests/stable -> 200 | body no-layers"),
    ("custom-fields", "Push / Pushing Manifests (end-7a)", "
        use custom-fields
        PUT /v2/REPO/manifests/stable | send custom-fields -> 201
        GET /v2/REPO/manifests/stable -> 200 | body custom-fields"),
    ("data-field", "Push / Pushing Manifests (end-7a)", "
        use data-field
        PUT /v2/REPO/manifests/stable | send data-field -> 201
        GET /v2/REPO/manifests/stable -> 200 | body data-field"),
    ("large-manifest", "Push / Pushing Manifests (end-7a)", "
        use large-manifest
        PUT /v2/REPO/manifests/stable | send large-manifest -> 201
        GET /v2/REPO/manifests/stable -> 200 | body large-manifest"),
    ("a manifest over the limit", "Push / Pushing Manifests (end-7a)", "
        use oversize-manifest
        PUT /v2/REPO/manifests/stable | send oversize-manifest -> 413"),
    ("index", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@image | send image -> 201
        PUT /v2/REPO/manifests/stable | content-type: application/vnd.oci.image.index.v1+json | send index -> 201 | docker-content-digest: @index
        GET /v2/REPO/manifests/stable -> 200 | content-type: application/vnd.oci.image.index.v1+json | body index"),
    ("nested-index", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@image | send image -> 201
        PUT /v2/REPO/manifests/@index | send index -> 201
        PUT /v2/REPO/manifests/stable | send nested-index -> 201
        GET /v2/REPO/manifests/stable -> 200 | body nested-index"),
    ("empty-index", "Push / Pushing Manifests (end-7a)", "
        PUT /v2/REPO/manifests/stable | send empty-index -> 201
        GET /v2/REPO/manifests/stable -> 200 | body empty-index"),
    ("artifact", "Push / Pushing Manifests (end-7a)", "
        use artifact
        PUT /v2/REPO/manifests/stable | send artifact -> 201
        GET /v2/REPO/manifests/stable -> 200 | body artifact"),
    ("artifact-without-layers", "Push / Pushing Manifests (end-7a)", "
        use artifact-without-layers
        PUT /v2/REPO/manifests/stable | send artifact-without-layers -> 201
        GET /v2/REPO/manifests/stable -> 200 | body artifact-without-layers"),
    ("artifact-index", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@image | send image -> 201
        PUT /v2/REPO/manifests/stable | send artifact-index -> 201
        GET /v2/REPO/manifests/stable -> 200 | body artifact-index"),
    ("a blob that was not pushed", "Push (code-5)", "PUT /v2/REPO/manifests/stable | send image -> 400 404 | code MANIFEST_BLOB_UNKNOWN"),
    ("an index of what was not pushed", "Push (code-5)", "PUT /v2/REPO/manifests/stable | send index -> 400 404 | code MANIFEST_BLOB_UNKNOWN"),
    ("invalid-digest-format/manifest-put", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/sha256:baddigeststring | send image -> 400 | code DIGEST_INVALID"),
    ("a digest of other content", "Push / Pushing Manifests (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@index | send image -> 400 | code DIGEST_INVALID
        GET /v2/REPO/manifests/@index -> 404"),
    ("a manifest that is none", "Push / Pushing Manifests (code-6)", "
        PUT /v2/REPO/manifests/stable | send braces -> 400 | code MANIFEST_INVALID
        PUT /v2/REPO/manifests/stable | send blob -> 400 | code MANIFEST_INVALID"),
    ("a tag that is moved", "Push / Pushing Manifests (end-7a)", "
        use image
        use artifact
        PUT /v2/REPO/manifests/stable | send image -> 201
        PUT /v2/REPO/manifests/stable | send artifact -> 201
        GET /v2/REPO/manifests/stable -> 200 | body artifact
        GET /v2/REPO/manifests/@image -> 200 | body image"),
    ("a name that is none", "Pull (code-8)", "
        POST /v2/UPPER/Case/blobs/uploads/ -> 400 404
        GET /v2/up..per/case/tags/list -> 400 404"),
    // ---- Push: manifests with a subject
    ("artifacts-with-subject", "Push / Pushing Manifests with Subject (end-7a)", "
        use image
        PUT /v2/REPO/manifests/@image | send image -> 201 | oci-subject: -
        use referrer
        PUT /v2/REPO/manifests/@referrer | send referrer -> 201 | oci-subject: @image"),
    ("missing-subject", "Push / Pushing Manifests with Subject (end-7a, end-12a)", "
        use referrer
        PUT /v2/REPO/manifests/@referrer | send referrer -> 201 | oci-subject: @image
        GET /v2/REPO/manifests/@image -> 404
        GET /v2/REPO/referrers/@image -> 200 | referrers referrer"),
    ("index-with-subject", "Push / Pushing Manifests with Subject (end-7a, end-12a)", "
        PUT /v2/REPO/manifests/@index-referrer | send index-referrer -> 201 | oci-subject: @image
        GET /v2/REPO/referrers/@image -> 200 | referrers index-referrer | kinds application/vnd.example.list"),
    // ---- Content discovery
    ("empty/tag list", "Content Discovery / Listing Tags (end-8a)", "GET /v2/REPO/tags/list -> 200 404 | code NAME_UNKNOWN"),
    ("tag-list", "Content Discovery / Listing Tags (end-8a, end-8b)", "
        use image
        PUT /v2/REPO/manifests/delta | send image -> 201
        PUT /v2/REPO/manifests/alpha | send image -> 201
        PUT /v2/REPO/manifests/charlie | send image -> 201
        PUT /v2/REPO/manifests/bravo | send image -> 201
        GET /v2/REPO/tags/list -> 200 | content-type: application/json | tags alpha,bravo,charlie,delta | link: -
        GET /v2/REPO/tags/list?n=0 -> 200 | tags | link: -
        GET /v2/REPO/tags/list?n=2 -> 200 | tags alpha,bravo | link: *
        GET /v2/REPO/tags/list?n=2&last=bravo -> 200 | tags charlie,delta | link: -
        GET /v2/REPO/tags/list?n=4 -> 200 | tags alpha,bravo,charlie,delta | link: -
        GET /v2/REPO/tags/list?last=alpha -> 200 | tags bravo,charlie,delta
        GET /v2/REPO/tags/list?last=bz -> 200 | tags charlie,delta
        GET /v2/REPO/tags/list?last=zulu -> 200 | tags"),
    ("empty/referrers", "Content Discovery / Listing Referrers (end-12a)", "
        GET /v2/REPO/referrers/@blob -> 200 | content-type: application/vnd.oci.image.index.v1+json | referrers
        GET /v2/REPO/referrers/sha256:baddigeststring -> 400"),
    ("referrers", "Content Discovery / Listing Referrers (end-12a, end-12b)", "
        use image
        PUT /v2/REPO/manifests/@image | send image -> 201
        use referrer
        PUT /v2/REPO/manifests/@referrer | send referrer -> 201
        use config-referrer
        PUT /v2/REPO/manifests/@config-referrer | send config-referrer -> 201
        GET /v2/REPO/referrers/@image -> 200 | referrers referrer,config-referrer | kinds application/vnd.example.config,application/vnd.example.sbom | oci-filters-applied: -
        GET /v2/REPO/referrers/@image?artifactType=application/vnd.example.sbom -> 200 | oci-filters-applied: artifactType | referrers referrer
        GET /v2/REPO/referrers/@image?artifactType=application/vnd.example.config -> 200 | oci-filters-applied: artifactType | referrers config-referrer
        GET /v2/REPO/referrers/@image?artifactType=application/vnd.example.none -> 200 | referrers"),
    ("referrers carry annotations", "Content Discovery / Listing Referrers (end-12a)", "
        use referrer
        PUT /v2/REPO/manifests/@referrer | send referrer -> 201
        GET /v2/REPO/referrers/@image -> 200 | annotation org.example.case"),
    // ---- Content management
    ("delete/tag", "Content Management / Deleting tags (end-9)", "
        use image
        PUT /v2/REPO/manifests/stable | send image -> 201
        PUT /v2/REPO/manifests/other | send image -> 201
        DELETE /v2/REPO/manifests/stable -> 202
        GET /v2/REPO/manifests/stable -> 404
        GET /v2/REPO/manifests/other -> 200 | body image
        GET /v2/REPO/tags/list -> 200 | tags other"),
    ("delete/manifest", "Content Management / Deleting Manifests (end-9)", "
        use image
        PUT /v2/REPO/manifests/stable | send image -> 201
        DELETE /v2/REPO/manifests/@image -> 202
        GET /v2/REPO/manifests/@image -> 404
        GET /v2/REPO/manifests/stable -> 404
        GET /v2/REPO/tags/list -> 200 404"),
    ("delete/referrer", "Content Management / Deleting Manifests (end-9, end-12a)", "
        use referrer
        PUT /v2/REPO/manifests/@referrer | send referrer -> 201
        DELETE /v2/REPO/manifests/@referrer -> 202
        GET /v2/REPO/referrers/@image -> 200 | referrers"),
    ("delete/missing", "Content Management / Deleting Manifests (end-9, end-10)", "
        DELETE /v2/REPO/manifests/@image -> 404
        DELETE /v2/REPO/manifests/missing -> 404
        DELETE /v2/REPO/blobs/@blob -> 404"),
    ("delete/blob", "Content Management / Deleting Blobs (end-10)", "
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        DELETE /v2/REPO/blobs/@blob -> 202
        GET /v2/REPO/blobs/@blob -> 404
        POST /v2/REPO/blobs/uploads/?digest=@blob | send blob -> 201
        GET /v2/REPO/blobs/@blob -> 200 | body blob"),
];

/// What of the suite and the specification is not for this registry, and why. Where the answer is prescribed, a script shows that it
/// is given.
const NOT_APPLICABLE: &[(&str, &str, &str)] = &[
    (
        "sha512 blobs, and end-4c",
        "content is known by SHA-256 alone, as in every lock file: another algorithm is refused with 400, as the section on \
         pushing blobs has it",
        "POST /v2/REPO/blobs/uploads/?digest=sha512:00 | send blob -> 400 | code DIGEST_INVALID",
    ),
    (
        "sparse",
        "a manifest of blobs that are not there is refused, as the specification allows (code-5): everything that this registry \
         names it can serve",
        "PUT /v2/REPO/manifests/stable | send image -> 400 404 | code MANIFEST_BLOB_UNKNOWN",
    ),
    (
        "non-distributable-layers",
        "the same: a layer that is only elsewhere cannot be verified here, and no plugin has one",
        "PUT /v2/REPO/manifests/stable | send non-distributable -> 400 404 | code MANIFEST_BLOB_UNKNOWN",
    ),
    (
        "tags in the query of a manifest (end-7b)",
        "optional, and not in version 1.1; the tags are not made, and no OCI-Tag says that they were",
        "use image
         PUT /v2/REPO/manifests/@image?tag=stable | send image -> 201 | oci-tag: -
         GET /v2/REPO/manifests/stable -> 404",
    ),
    ("the legacy headers of Docker's own protocol", "historical, and optional", ""),
    ("warnings", "optional; there is nothing yet that one would say", ""),
    ("proxying (ns=)", "this registry is nobody's proxy; mirrors are the client's affair", ""),
];

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The content that a case may name: blobs of its own, and manifests made of them.
fn things(salt: &str, script: &str) -> BTreeMap<&'static str, Vec<u8>> {
    let bytes = |word: &str| -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 0..2048 / 32 {
            bytes.extend(hex::decode(Digest::of(format!("{salt} {word} {n}").as_bytes()).hex()).unwrap());
        }
        bytes
    };
    let (blob, braces) = (bytes("blob"), b"{}".to_vec());
    let content =
        |media: &str, bytes: &[u8]| json!({"mediaType": media, "digest": Digest::of(bytes), "size": bytes.len()});
    let layer = content("application/octet-stream", &blob);
    let config = content("application/vnd.oci.image.config.v1+json", &braces);
    let manifest = |change: Value| -> Vec<u8> {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer],
            "annotations": {"org.example.case": salt}});
        for (key, value) in change.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        serde_json::to_vec(&manifest).unwrap()
    };
    let index = |manifests: &[(&str, &[u8])], change: Value| -> Vec<u8> {
        let manifests: Vec<Value> = manifests.iter().map(|(media, bytes)| content(media, bytes)).collect();
        let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": {"org.example.case": salt}});
        for (key, value) in change.as_object().unwrap() {
            index[key] = value.clone();
        }
        serde_json::to_vec(&index).unwrap()
    };
    let image = manifest(json!({}));
    let subject = content(IMAGE, &image);
    let list = index(&[(IMAGE, &image)], json!({}));
    let own_config = content("application/vnd.example.config", &braces);
    let mut with_data = layer.clone();
    with_data["data"] = json!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &blob));
    let mut elsewhere = content("application/vnd.oci.image.layer.nondistributable.v1.tar", &bytes("elsewhere"));
    elsewhere["urls"] = json!(["https://elsewhere.example/layer"]);
    let padding = |size: usize| json!({"annotations": {"org.example.padding": "x".repeat(size)}});
    const LIMIT: usize = 4 * 1024 * 1024;
    let mut things = BTreeMap::from([
        ("nested-index", index(&[(INDEX, &list)], json!({}))),
        ("empty-index", index(&[], json!({}))),
        ("artifact-index", index(&[(IMAGE, &image)], json!({"artifactType": "application/vnd.example.list"}))),
        ("index-referrer", index(&[], json!({"artifactType": "application/vnd.example.list", "subject": subject}))),
        ("index", list),
        ("no-layers", manifest(json!({"layers": []}))),
        ("custom-fields", manifest(json!({"org.example.custom": {"deep": [1, 2, 3]}}))),
        ("data-field", manifest(json!({"layers": [with_data]}))),
        ("artifact", manifest(json!({"artifactType": "application/vnd.example.thing", "config": own_config}))),
        ("artifact-without-layers", manifest(json!({"artifactType": "application/vnd.example.thing", "layers": []}))),
        ("referrer", manifest(json!({"artifactType": "application/vnd.example.sbom", "subject": subject}))),
        ("config-referrer", manifest(json!({"config": own_config, "subject": subject}))),
        ("non-distributable", manifest(json!({"layers": [layer, elsewhere]}))),
        ("image", image),
        ("blob", blob),
        ("other", bytes("other")),
        ("empty", Vec::new()),
        ("braces", braces),
    ]);
    // Megabytes, so only for those who ask for them.
    for (name, size) in [("large-manifest", LIMIT - 4096), ("oversize-manifest", LIMIT)] {
        if script.contains(name) {
            things.insert(name, manifest(padding(size)));
        }
    }
    things
}

struct Script<'a> {
    world: &'a World,
    http: &'a Client,
    repository: String,
    other: String,
    things: BTreeMap<&'static str, Vec<u8>>,
    location: String,
}

/// What came back.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Script<'_> {
    /// A thing, or a part of one: `blob[0..1000]`.
    fn thing(&self, text: &str) -> &[u8] {
        let (name, part) = text.split_once('[').unwrap_or((text, ""));
        let whole = self.things.get(name).unwrap_or_else(|| panic!("there is no thing {name:?}"));
        match part.trim_end_matches(']').split_once("..") {
            Some((from, to)) => &whole[from.parse().unwrap()..to.parse().unwrap()],
            None => whole,
        }
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("REPO", &self.repository).replace("OTHER", &self.other);
        while let Some(at) = text.find('@') {
            let rest = &text[at + 1..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            text = format!("{}{}{}", &text[..at], Digest::of(self.thing(&rest[..end])), &rest[end..]);
        }
        if let Some(rest) = text.strip_prefix("LOCATION") {
            let rest = if self.location.contains('?') { rest.replacen('?', "&", 1) } else { rest.to_owned() };
            text = format!("{}{rest}", self.location);
        }
        text
    }

    async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
        anonymous: bool,
    ) -> Got {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.world.address) };
        let mut request = self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), url).body(body);
        if !anonymous {
            request = request.bearer_auth(&self.world.token);
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        if let Some(location) = headers.get("location") {
            self.location = location.to_str().unwrap().to_owned();
        }
        Got { status, headers, body: answer.bytes().await.unwrap().to_vec() }
    }

    /// `use image`: pushes the blobs that a manifest names.
    async fn push_blobs_of(&mut self, name: &str) {
        let manifest: Value = serde_json::from_slice(self.thing(name)).unwrap();
        let wanted: Vec<&Value> =
            std::iter::once(&manifest["config"]).chain(manifest["layers"].as_array().unwrap()).collect();
        for thing in ["blob", "braces"] {
            let bytes = self.thing(thing).to_vec();
            let digest = Digest::of(&bytes).to_string();
            if wanted.iter().any(|content| content["digest"] == *digest) {
                let path = self.fill(&format!("/v2/REPO/blobs/uploads/?digest={digest}"));
                assert_eq!(self.call("POST", &path, &[], bytes, false).await.status, 201, "use {name}");
            }
        }
    }

    /// Carries out one line; gives what is wrong.
    async fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(name) = line.strip_prefix("use ") {
            self.push_blobs_of(name).await;
            return Ok(());
        }
        let (call, expect) = line.split_once(" -> ").expect("a line has an arrow");
        let mut parts = call.split(" | ");
        let (method, path) = parts.next().unwrap().split_once(' ').expect("a method and a path");
        let (mut headers, mut body, mut anonymous) = (Vec::new(), Vec::new(), false);
        for part in parts {
            if let Some(thing) = part.strip_prefix("send ") {
                body = self.thing(thing).to_vec();
            } else if part == "anonymous" {
                anonymous = true;
            } else {
                let (name, value) = part.split_once(": ").expect("a header");
                headers.push((name, self.fill(value)));
            }
        }
        let path = self.fill(path);
        let got = self.call(method, &path, &headers, body, anonymous).await;
        for (at, part) in expect.split(" | ").enumerate() {
            let wrong = if at == 0 { status(part, &got) } else { self.wrong(part.trim(), &got) };
            if let Some(wrong) = wrong {
                let text = String::from_utf8_lossy(&got.body[..got.body.len().min(300)]).into_owned();
                return Err(format!("{line}\n      {wrong}\n      {} {text}", got.status));
            }
        }
        Ok(())
    }

    /// What of an answer is not as expected.
    fn wrong(&self, expect: &str, got: &Got) -> Option<String> {
        let (word, rest) = expect.split_once(' ').unwrap_or((expect, ""));
        let json = || serde_json::from_slice::<Value>(&got.body).unwrap_or_default();
        let list = |key: &str, field: &str| -> Vec<String> {
            let values = json()[key].as_array().cloned().unwrap_or_default();
            values.iter().map(|value| value[field].as_str().or(value.as_str()).unwrap_or("?").to_owned()).collect()
        };
        let split = |text: &str| -> Vec<String> {
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let differs = |what: &str, found: Vec<String>, wanted: Vec<String>| {
            (found != wanted).then(|| format!("{what} are {found:?}, not {wanted:?}"))
        };
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        match word {
            "body" => (got.body != self.thing(rest))
                .then(|| format!("the body has {} bytes and is not {rest}", got.body.len())),
            // The suite takes an answer without an error, too, where both are allowed.
            "code" if got.status < 400 => None,
            "code" => differs("the codes", list("errors", "code"), split(rest)),
            "tags" => differs("the tags", list("tags", ""), split(rest)),
            "referrers" => {
                let wanted = split(rest).iter().map(|name| Digest::of(self.thing(name)).to_string()).collect();
                differs("the referrers", sorted(list("manifests", "digest")), sorted(wanted))
            }
            "kinds" => differs("the kinds", sorted(list("manifests", "artifactType")), split(rest)),
            "annotation" => {
                let bare: Vec<Value> = json()["manifests"].as_array().cloned().unwrap_or_default();
                let missing = bare.is_empty() || bare.iter().any(|each| !each["annotations"][rest].is_string());
                missing.then(|| format!("a descriptor has no annotation {rest}"))
            }
            header => {
                let name = header.strip_suffix(':').unwrap_or_else(|| panic!("what is {expect:?}?"));
                let found = got.headers.get(name).map(|value| value.to_str().unwrap());
                let sound = match (rest, found) {
                    ("*", Some(_)) | ("-", None) => true,
                    ("-" | "*", _) => false,
                    (wanted, found) => found == Some(self.fill(wanted).as_str()),
                };
                (!sound).then(|| format!("{name} is {found:?}, not {:?}", self.fill(rest)))
            }
        }
    }
}

fn status(expect: &str, got: &Got) -> Option<String> {
    let sound = expect.split_whitespace().any(|status| status.parse() == Ok(got.status));
    (!sound).then(|| format!("the status is {}, not {expect}", got.status))
}

/// A name of a case's own that is no neighbour of another's: the registry refuses names that look like another.
fn unlike_any(case: &str, from: usize) -> String {
    let hex = Digest::of(case.as_bytes()).hex()[from..from + 16].to_owned();
    hex.chars().map(|digit| (b'a' + digit.to_digit(16).unwrap() as u8) as char).collect()
}

#[tokio::test]
async fn the_published_cases() {
    let world = World::new().await;
    let http = plain_http(&world);
    let mut failed = Vec::new();
    let scripts = CASES.iter().map(|(name, section, script)| (*name, *section, *script));
    let refused = NOT_APPLICABLE.iter().map(|(name, why, script)| (*name, *why, *script));
    for (number, (name, section, script)) in scripts.chain(refused).enumerate() {
        let mut case = Script {
            world: &world,
            http: &http,
            repository: format!("acme/{}", unlike_any(name, 0)),
            other: format!("windlass/{}", unlike_any(name, 16)),
            things: things(name, script),
            location: String::new(),
        };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Err(wrong) = case.line(line).await {
                failed.push(format!("{number} {name}\n    {section}\n      {wrong}"));
                break;
            }
        }
    }
    println!("{} cases, {} parts that do not apply", CASES.len(), NOT_APPLICABLE.len());
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), CASES.len(), failed.join("\n"));
}
