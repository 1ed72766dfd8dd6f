//! Manifests and documents that a seed makes up out of genuine ones: read, or refused with what is
//! wrong, and never the end of anything.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, header};
use triggerd::plugins::manifest::Manifest;
use triggerd::yaml::Located;

use crate::seeded::Noise;
use crate::support::{Api, document_with_accounts};

/// All manifests that operators start from, with their names.
fn manifests() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let entries = std::fs::read_dir(folder).expect("the manifests").flatten();
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a manifest"))
        })
        .collect()
}

#[test]
fn a_manifest_is_read_or_refused_with_a_place_whatever_stands_in_it() {
    let (mut noise, manifests) = (Noise::from(21), manifests());
    let (mut read, mut refused) = (0, 0);
    for round in 0..1500 {
        let (name, mut bytes) = manifests[round % manifests.len()].clone();
        let path = Path::new(&name);
        for _ in 0..=noise.below(4) {
            noise.change(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = Located::parse(&text);
        match Manifest::parse(path, &text) {
            Ok(manifest) => {
                read += 1;
                // What was read is written as something that reads the same.
                let again = Manifest::parse(path, &manifest.to_text());
                let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(again.to_text(), manifest.to_text(), "{text}");
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(&name), "{error}");
            }
        }
    }
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused");
}

#[tokio::test]
async fn a_document_is_taken_or_refused_whatever_stands_in_it() {
    let api = Api::start().await;
    let mut noise = Noise::from(22);
    let genuine = document_with_accounts().to_string().into_bytes();
    let mut taken = 0;
    for _ in 0..300 {
        let mut body = genuine.clone();
        for _ in 0..=noise.below(2) {
            noise.change(&mut body);
        }
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/workspaces/default/apply?dry_run=true")
            .header(header::AUTHORIZATION, format!("Bearer {}", api.admin))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.clone()))
            .expect("a request");
        let answer = api.send(request).await;
        let shown = String::from_utf8_lossy(&body);
        let is_refusal =
            answer.status.is_client_error() && answer.kind == "application/problem+json";
        assert!(
            answer.status.is_success() || is_refusal,
            "{shown}: {}",
            answer.text
        );
        taken += usize::from(answer.status.is_success());
    }
    assert!(taken > 10, "{taken} taken");
}
