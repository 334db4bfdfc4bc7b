//! `CloudEvents`: which build each is of, and in which mode they are taken.

use super::*;

/// Where an event with this source, subject and data belongs, and what its build is called.
async fn place(source: &str, subject: Option<&str>, data: Value) -> (Place, String) {
    let bench = bench(Admission::loopback(), false);
    let mut event =
        json!({"specversion":"1.0","id":"1","type":"build","source":source,"data":data});
    if let Some(subject) = subject {
        event["subject"] = json!(subject);
    }
    let (status, answer) = bench.post("/api/v1/events", &event).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let call = bench.last();
    (call.place, call.project)
}

#[tokio::test]
async fn data_of_which_nothing_is_read_is_refused_and_says_what_would_be() {
    let bench = bench(Admission::loopback(), false);
    let mut event = json!({"specversion":"1.0","id":"1","type":"build","source":"ci",
        "data":{"projct":"docs","phse":"Test","stat":"running"}});
    let (status, answer) = bench.post("/api/v1/events", &event).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("project, session_id, phase"), "{message}");
    assert!(bench.memory.calls.lock().unwrap().is_empty());
    event["data"]["tokens"] = json!({"input": 1});
    let (status, answer) = bench.post("/api/v1/events", &event).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn a_route_that_is_asked_the_wrong_way_says_so_in_the_usual_form() {
    let bench = bench(Admission::loopback(), false);
    for path in ["/api/v1/events", "/api/phase-update", "/api/broadcast/s"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, answer) = bench.send(request).await;
        let code = answer["error"]["code"].as_str();
        assert_eq!(
            (status, code),
            (StatusCode::METHOD_NOT_ALLOWED, Some("method_not_allowed")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn source_subject_and_project_tell_whose_build_a_cloud_event_is_of() {
    for (source, subject, data, id, project) in [
        (
            "ci",
            None,
            json!({"project":"alpha"}),
            "http:ci\n\nalpha",
            "alpha",
        ),
        (
            "ci",
            None,
            json!({"project":"beta"}),
            "http:ci\n\nbeta",
            "beta",
        ),
        (
            "ci",
            Some("x"),
            json!({"project":"beta"}),
            "http:ci\nx\nbeta",
            "beta",
        ),
        ("ci", None, json!({"project":7}), "http:ci\n\n7", "7"),
        // Without a project it is of its source, whatever the session.
        ("ci", None, json!({}), "http:ci\n", "ci"),
        ("ci", Some("x"), json!({}), "http:ci\nx", "ci"),
        (
            "ci",
            None,
            json!({"project":" ","session_id":"s"}),
            "http:ci\n",
            "s",
        ),
        (
            "ci",
            None,
            json!({"project":null,"session_id":5}),
            "http:ci\n",
            "5",
        ),
        ("ci", None, json!({"project":["alpha"]}), "http:ci\n", "ci"),
    ] {
        let told = place(source, subject, data.clone()).await;
        let expected = (Place::Own(id.to_owned()), project.to_owned());
        assert_eq!(told, expected, "{source} {subject:?} {data}");
    }
}

#[tokio::test]
async fn a_cloud_event_in_binary_mode_is_refused_by_that_name() {
    let bench = bench(Admission::loopback(), false);
    let whole = json!({"specversion":"1.0","id":"1","type":"build","source":"ci","data":{}});
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "build"),
        ("ce-source", "ci"),
    ];
    let send = async |body: &str, headers: &[(&'static str, &'static str)]| {
        let mut request = post("/api/v1/events", body.to_owned(), "127.0.0.1:9");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (status, answer) = bench.send(request).await;
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        (status.as_u16(), said.to_owned())
    };
    for body in ["{\"phase\":\"Test\"}", "[1]", ""] {
        let (status, said) = send(body, &headers).await;
        assert_eq!(status, 422, "{said}");
        assert!(said.contains("structured mode"), "{said}");
    }
    let (status, said) = send("{\"phase\":\"Test\"}", &[]).await;
    assert_eq!(
        (status, said.contains("specversion")),
        (400, true),
        "{said}"
    );
    // Somebody on the way may have added the headers to a whole event.
    assert_eq!(send(&whole.to_string(), &headers).await.0, 200);
}
