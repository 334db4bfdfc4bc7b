//! Which texts count as secrets, and that nothing else is touched.

use proptest::prelude::*;

use super::*;

/// Put together, so that nobody's scanner takes this file for a leak.
fn secret(begin: &str) -> String {
    format!("{begin}{}", "A1b2C3d4".repeat(5))
}

#[test]
fn a_table_of_secrets_and_what_is_left_of_them() {
    let s = secret;
    let cases = [
        // Tokens by their beginnings.
        (
            format!("key {} used", s("sk-ant-api03-")),
            "key [masked] used",
        ),
        (format!("using {},", s("sk-proj-")), "using [masked],"),
        (format!("clone with {}", s("ghp_")), "clone with [masked]"),
        (format!("({})", s("github_pat_")), "([masked])"),
        (s("glpat-"), "[masked]"),
        (format!("id {}7EXAMPLE x", "AKIAIOSFODNN"), "id [masked] x"),
        (format!("g {}", s("AIza")), "g [masked]"),
        (format!("slack {}", s("xoxb-")), "slack [masked]"),
        (
            format!("jwt {}.{}.{}", s("eyJ"), s("eyJ"), s("x_-")),
            "jwt [masked]",
        ),
    ];
    all_become(&cases);
}

#[test]
fn a_table_of_keys_headers_and_logins_whose_values_are_masked() {
    let cases = [
        // Keys and values, as they are written in many places.
        ("password=hunter2 next".into(), "password=[masked] next"),
        ("PGPASSWORD=hunter2 psql".into(), "PGPASSWORD=[masked] psql"),
        ("Password: hunter2".into(), "Password: [masked]"),
        (
            r#"{"api_key": "abc def", "n": 1}"#.into(),
            r#"{"api_key": "[masked]", "n": 1}"#,
        ),
        (
            r"{\'clientSecret\': \'abc\'}".into(),
            r"{\'clientSecret\': \'[masked]'}",
        ),
        (
            "AWS_SECRET_ACCESS_KEY=wJalr/XUtnFEMI+x".into(),
            "AWS_SECRET_ACCESS_KEY=[masked]",
        ),
        (
            "export DATABASE_URL=postgres://a:b@c/d".into(),
            "export DATABASE_URL=[masked]",
        ),
        (
            "curl ?access_token=abc&page=2".into(),
            "curl ?access_token=[masked]&page=2",
        ),
        (
            "mysql --password hunter2 -h db".into(),
            "mysql --password [masked] -h db",
        ),
        ("login --token=abc now".into(), "login --token=[masked] now"),
        (
            "config['secret'] = 'x y'".into(),
            "config['secret'] = '[masked]'",
        ),
        // Headers.
        (
            "Authorization: Bearer abc.def".into(),
            "Authorization: [masked]",
        ),
        (
            "'Authorization: Basic YTpi' -X GET".into(),
            "'Authorization: [masked]' -X GET",
        ),
        ("got bearer abcdef123456".into(), "got bearer [masked]"),
        ("Cookie: a=b; c=d".into(), "Cookie: [masked]"),
        // Logins in URLs.
        (
            "postgres://app:hunter2@db/shop".into(),
            "postgres://app:[masked]@db/shop",
        ),
        (
            "redis://:hunter2@cache:6379".into(),
            "redis://:[masked]@cache:6379",
        ),
        ("amqp://u:p/a#s?s@mq/v".into(), "amqp://u:[masked]@mq/v"),
        (
            "https://0123456789abcdef0123@github.com/a".into(),
            "https://[masked]@github.com/a",
        ),
        // Keys in one line, as JSON has them.
        (
            "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY----- after".into(),
            "[masked] after",
        ),
    ];
    all_become(&cases);
}

fn all_become(cases: &[(String, &str)]) {
    for (text, expected) in cases {
        assert_eq!(Masker::default().line(text), *expected, "{text}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "",
        "input_tokens: 12, output_tokens=5",
        "GET https://example.com:8080/a?b=c@d 200",
        "ssh://git@github.com/a/b",
        "password is wrong",
        "a bearer of news",
        "sk-learn and key-value stores",
        "token: null, password=None",
        "Scout → Architect · 3/7 ✓ größer",
        "-----BEGIN CERTIFICATE-----",
        "PASS: test_login",
        "PWD=/srv/shop",
        "commit 8f14e45fceea167a5a36dedd4bea2543",
    ] {
        assert_eq!(Masker::default().line(text), text);
    }
}

#[test]
fn a_private_key_is_masked_over_its_lines_and_no_further() {
    let key = "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\naC1rZXk\n-----END OPENSSH PRIVATE KEY-----\nb";
    assert_eq!(text(key), "a\n[masked]\n[masked]\n[masked]\n[masked]\nb");
    let mut masker = Masker::default();
    masker.line("-----BEGIN PRIVATE KEY-----");
    for _ in 0..MAX_KEY_LINES {
        assert_eq!(masker.line("MIIE"), "[masked]");
    }
    assert_eq!(masker.line("its end never came"), "its end never came");
}

#[test]
fn hostile_texts_take_no_longer_than_their_length() {
    // Each of these is looked at once; a look back from each place would take hours.
    for piece in [
        "://",
        "://a:",
        "-----BEGIN ",
        "password",
        "=\"",
        "sk-",
        "eyJ.",
        "--token ",
        "@",
        "-",
        "\\'",
    ] {
        let hostile = piece.repeat(200_000 / piece.len());
        let masked = text(&hostile);
        assert!(masked.len() <= 4 * hostile.len() + 16);
    }
}

proptest! {
    #[test]
    fn any_text_is_masked_without_a_panic_and_twice_is_once(
        line in "([a-z \"'=:@/\\\\.é-]|password|token|://|sk-|-----BEGIN PRIVATE KEY-----|-----END |Bearer ){0,24}"
    ) {
        let once = text(&line);
        prop_assert_eq!(text(&once), once);
    }

    #[test]
    fn a_secret_is_found_wherever_it_stands(
        before in "([a-z ,;({\\[<é]{0,12}[ ,;({\\[<])?",
        after in "([ ,;)}\\]>][a-z ,;é]{0,12})?",
        body in "[A-Za-z0-9]{36}",
        which in 0_usize..7,
    ) {
        let begin = ["sk-ant-", "ghp_", "glpat-", "xoxb-", "password=", "api_key: ", "postgres://u:"][which];
        let end = if which == 6 { "@host/db" } else { "" };
        let masked = Masker::default().line(&format!("{before}{begin}{body}{end}{after}"));
        prop_assert!(!masked.contains(&body), "{}", masked);
    }
}
