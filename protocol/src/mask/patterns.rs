//! How secrets look: the tables behind the masking.

/// How tokens begin, and the fewest bytes that make one.
const TOKENS: &[(&str, usize)] = &[
    // Anthropic, OpenAI, OpenRouter and those who write theirs alike.
    ("sk-", 20),
    ("gsk_", 20),
    ("xai-", 20),
    ("pplx-", 20),
    ("hf_", 20),
    ("r8_", 20),
    ("AIza", 30),
    ("ya29.", 20),
    // GitHub, GitLab, package registries.
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("rubygems_", 20),
    ("cio", 32),
    // Clouds.
    ("AKIA", 20),
    ("ASIA", 20),
    ("AROA", 20),
    ("dop_v1_", 20),
    ("dckr_pat_", 20),
    ("vercel_", 20),
    ("sbp_", 20),
    ("pscale_", 20),
    ("hvs.", 20),
    ("glsa_", 20),
    // Messages and payment.
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("xoxr-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("SG.", 20),
    ("key-", 32),
    ("shpat_", 20),
    ("lin_api_", 20),
    ("ntn_", 20),
    ("AGE-SECRET-KEY-", 20),
    // JSON Web Tokens: a header in base64 is `{"`.
    ("eyJ", 20),
];

/// A key whose value is secret ends with one of these, `_` and `-` left out, in lower case.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "secretaccesskey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "accountkey",
    "servicerolekey",
    "authkey",
    "sshkey",
    "credential",
    "credentials",
    "signature",
    "databaseurl",
    "dburl",
    "databaseuri",
    "postgresurl",
    "mysqlurl",
    "redisurl",
    "mongodburi",
    "mongouri",
    "mongourl",
    "amqpurl",
    "brokerurl",
    "webhookurl",
    "dsn",
    "connectionstring",
];

/// Header fields whose whole value is secret.
const LINES: &[&str] = &["authorization", "proxyauthorization", "cookie", "setcookie"];

/// Words before a credential.
const SCHEMES: &[&str] = &["bearer", "basic"];

/// Longest key that is looked at, bytes: its end tells.
const MAX_KEY: usize = 64;

/// How far the value of a key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// One word, or what is quoted.
    Value,
    /// What is quoted, or the rest of the line.
    Line,
    /// The next word, without a separator, when it looks like a credential.
    Scheme,
}

/// Whether a token begins here: the fewest bytes that it must have.
pub(super) fn token_at(bytes: &[u8]) -> Option<usize> {
    let begins = |(begin, _): &&(&str, usize)| bytes.starts_with(begin.as_bytes());
    TOKENS.iter().find(begins).map(|(_, least)| *least)
}

/// Whether this word is a key.
pub(super) fn key_kind(word: &[u8]) -> Option<KeyKind> {
    let end = &word[word.len().saturating_sub(MAX_KEY)..];
    let plain: String = end
        .iter()
        .filter(|byte| !matches!(byte, b'_' | b'-'))
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    let plain = plain.trim_end_matches('.');
    if SCHEMES.contains(&plain) {
        Some(KeyKind::Scheme)
    } else if LINES.contains(&plain) {
        Some(KeyKind::Line)
    } else {
        let is_key = KEYS.iter().any(|key| plain.ends_with(key));
        // `DB_PASS`, but not `PASS: test_login`; and the working directory is none.
        let is_pass = end.to_ascii_lowercase().ends_with(b"_pass");
        let is_directory = matches!(word, b"PWD" | b"OLDPWD");
        ((is_key || is_pass) && !is_directory).then_some(KeyKind::Value)
    }
}
