//! Which version a server binary is, from what `--version` prints.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first `N.N` (or `N` followed by letters, as in `17beta1`) in the text.
pub(crate) fn parse(text: &str) -> Option<Version> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[start..].split('.').map(|part| {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        part[..digits].parse().ok()
    });
    let major = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    Some(Version { major, minor })
}

/// Runs `binary --version`.
pub(crate) async fn of(binary: &Path) -> Result<Version> {
    let output = tokio::process::Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("failed to run {} --version", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse(&text) {
        Some(version) if output.status.success() => Ok(version),
        _ => bail!("{} --version does not name a version", binary.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_real_servers_print() {
        let of = |text| parse(text).map(|v| v.to_string());
        assert_eq!(of("nats-server: v2.15.1\n").as_deref(), Some("2.15"));
        assert_eq!(
            of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(),
            Some("15.18")
        );
        assert_eq!(of("postgres (PostgreSQL) 17beta1").as_deref(), Some("17.0"));
        assert_eq!(of("nats-server: v3.0.0-RC.2").as_deref(), Some("3.0"));
        assert_eq!(of("nonsense"), None);
        assert!(parse("2.9.10") < parse("2.15.0"));
    }
}
