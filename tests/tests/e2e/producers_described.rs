//! The calls of producers in the API's description: limits, and who may call.

use harness::api::read;
use harness::system::System;
use reqwest::Method;

#[tokio::test]
async fn the_description_of_producers_calls_names_limits_and_who_may_call() {
    let system = System::start().await;
    let api = system.api();
    let document = api.get("/api/v1/openapi.json").await.unwrap().json();
    let call = &document["paths"]["/api/v1/observability/task-logs"]["post"];
    for status in ["400", "401", "403", "408", "413", "415", "422", "503"] {
        assert!(
            call["responses"][status]["description"].is_string(),
            "{status}"
        );
    }
    let body = &call["requestBody"];
    assert!(body["description"].as_str().unwrap().contains("1 MiB"));
    let schema = &body["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], serde_json::json!(["adw_id"]));
    let scheme = call["security"][0]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap();
    assert_eq!(
        document["components"]["securitySchemes"][scheme]["scheme"],
        "bearer"
    );
    // As described: a refusal has a code and the words that producers look for.
    let refused = read(api.request(Method::POST, "/api/phase-update").body("{}"))
        .await
        .unwrap();
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (415, "not_json")
    );
    assert!(refused.json()["detail"].is_string());
}
