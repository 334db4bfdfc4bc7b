//! The description is held against the routes: each is there, answers its
//! example as described, and misses what is required.

use std::collections::BTreeSet;

use axum::http::Method;

use super::*;
use crate::router::{NAMED, PLAIN};
use crate::{PARAMETERS, described};

/// A path with a name in each place.
fn filled(path: &str) -> String {
    PARAMETERS.iter().fold(path.to_owned(), |path, (name, _)| {
        path.replace(&format!("{{{name}}}"), "7")
    })
}

#[test]
fn every_route_is_described_once() {
    let posts = PLAIN.iter().chain(NAMED).map(|(path, _)| ("post", *path));
    let others = [
        ("get", "/api/runner/process/list"),
        ("delete", "/api/runner/process/{id}"),
        ("post", "/api/runner/process/{id}/health"),
        ("get", "/ws/runner"),
    ];
    let routed: BTreeSet<_> = posts.chain(others).collect();
    let told: BTreeSet<_> = described()
        .iter()
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(told, routed);
    assert_eq!(told.len(), described().len());
    assert!(
        described()
            .iter()
            .all(|route| !filled(route.path).contains('{'))
    );
}

#[tokio::test]
async fn every_example_is_answered_as_described() {
    for route in described()
        .iter()
        .filter(|route| route.path != "/ws/runner")
    {
        let bench = bench(Admission::loopback(), false);
        let mut request = post(&filled(route.path), route.example.to_owned(), "127.0.0.1:9");
        *request.method_mut() = Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap();
        let (status, answer) = bench.send(request).await;
        assert!(status.is_success(), "{}: {status} {answer}", route.path);
        let expected = serde_json::from_str(route.answer).unwrap_or(Value::Null);
        assert_eq!(answer, expected, "{}", route.path);
    }
}

#[tokio::test]
async fn what_is_required_is_required_and_the_rest_is_not() {
    for route in described() {
        let whole: Value = serde_json::from_str(route.example).unwrap_or_default();
        for member in route.members {
            let bench = bench(Admission::loopback(), false);
            let mut body = whole.clone();
            if body.as_object_mut().unwrap().remove(member.name).is_none() {
                assert!(!member.is_required, "{} {}", route.path, member.name);
                continue;
            }
            let (status, answer) = bench.post(&filled(route.path), &body).await;
            let place = format!("{} without {}: {answer}", route.path, member.name);
            assert_eq!(status.is_success(), !member.is_required, "{place}");
        }
    }
}
