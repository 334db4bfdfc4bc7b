//! `?build=` and `?host=`: which changes concern a connection.

use protocol::subject;

use super::change::{Change, HostRecord, Subject, Whole};

/// What a connection asked for; nothing means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Id of the only build, with the host it runs on.
    pub(crate) build: Option<String>,
    /// Name of the only host, with its builds.
    pub(crate) host: Option<String>,
}

impl Filter {
    /// Whether everything passes, so that the shared snapshot serves.
    pub(crate) fn is_open(&self) -> bool {
        self.build.is_none() && self.host.is_none()
    }

    pub(crate) fn wants(&self, change: &Change) -> bool {
        match &change.subject {
            Subject::Build { now: build, .. } | Subject::Complete { build, .. } => {
                self.wants_build(build)
            }
            Subject::Host { now, .. } => self.wants_host(now),
        }
    }

    pub(crate) fn wants_build(&self, build: &Whole) -> bool {
        self.build.as_ref().is_none_or(|id| *id == build.id)
            && self.host.as_ref().is_none_or(|host| *host == build.host)
    }

    pub(crate) fn wants_host(&self, record: &HostRecord) -> bool {
        let name = &record.host.name;
        self.host.as_ref().is_none_or(|host| host == name)
            && self.build.as_ref().is_none_or(|id| is_on(id, name))
    }
}

/// Whether the build of this id (`<host>-<project token>-<run>`) runs on that host.
fn is_on(id: &str, host: &str) -> bool {
    id.rsplitn(3, '-').nth(2) == Some(subject::url_name(host).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_names_its_host() {
        assert!(is_on("build-01-b8a9000000000000-3", "build-01"));
        assert!(!is_on("build-01-b8a9000000000000-3", "build"));
        assert!(!is_on("nonsense", "nonsense"));
    }
}
