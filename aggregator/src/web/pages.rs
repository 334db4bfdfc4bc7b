//! The dashboard's data: the live view from memory, so that the pages come
//! also while Postgres is away; lists and history from Postgres.

use dashboard::{ListError, Overview, Past, Source, Unavailable};
use protocol::page::{
    BudgetStatus, BuildFilter, BuildPage, CostFilter, CostPage, DeadLetter, EventPage, Readiness,
};
use protocol::{Build, Calls, Host, Timestamp};

use super::App;
use super::error::ApiError;
use crate::budgets;
use crate::history::{self, Moment};
use crate::live;

/// What the pages read from.
#[derive(Clone)]
pub(super) struct Pages {
    app: App,
}

impl Pages {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

/// The cause has been logged where the error was made.
fn unavailable(_: ApiError) -> Unavailable {
    Unavailable
}

fn list_error(error: ApiError) -> ListError {
    if error.status.is_client_error() {
        ListError::BadFilter(error.message)
    } else {
        ListError::Unavailable
    }
}

impl Source for Pages {
    async fn overview(&self) -> Result<Overview, Unavailable> {
        let held = self.app.hub.held().ok_or(Unavailable)?;
        Ok(Overview {
            builds: held.builds,
            hosts: held.hosts,
            seq: held.seq,
            now: live::now(),
            truncated: held.truncated,
        })
    }

    async fn build(&self, id: &str) -> Result<Option<Build>, Unavailable> {
        match self.app.ask(self.app.store.build(id)).await {
            Ok(build) => Ok(build),
            // What is in memory is better than nothing; the page's connection state says that it may be old.
            Err(error) => self
                .app
                .hub
                .build(id)
                .map(Some)
                .ok_or_else(|| unavailable(error)),
        }
    }

    async fn events(
        &self,
        id: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, Unavailable> {
        self.app
            .ask(self.app.store.events(id, after, limit))
            .await
            .map_err(unavailable)
    }

    async fn builds(&self, filter: &BuildFilter) -> Result<BuildPage, ListError> {
        self.app.builds(filter).await.map_err(list_error)
    }

    async fn build_at(&self, id: &str, at: Timestamp) -> Result<Past<Build>, ListError> {
        let Some(at) = self.app.past(Some(at)).map_err(list_error)? else {
            return Ok(Past::Now);
        };
        let asked = self.app.ask(history::build_at(&self.app.store, id, at));
        match asked.await.map_err(list_error)? {
            Moment::Was(build) => Ok(Past::Was(*build)),
            Moment::NotYet => Ok(Past::NotYet),
            Moment::NoBuild => Ok(Past::Never),
            Moment::Forgotten => Err(list_error(ApiError::forgotten())),
        }
    }

    async fn hosts_at(&self, at: Timestamp) -> Result<Past<Vec<Host>>, ListError> {
        let Some(at) = self.app.past(Some(at)).map_err(list_error)? else {
            return Ok(Past::Now);
        };
        let asked = self.app.ask(self.app.store.hosts_at(at, None));
        asked.await.map(Past::Was).map_err(list_error)
    }

    async fn costs(&self, filter: &CostFilter) -> Result<CostPage, ListError> {
        let asked = self.app.ask(self.app.store.costs(filter));
        asked.await.map_err(list_error)
    }

    async fn budgets(&self) -> Result<Vec<BudgetStatus>, Unavailable> {
        let asked = budgets::all(&self.app.store, &self.app.budgets);
        self.app.ask(asked).await.map_err(unavailable)
    }

    async fn hosts(&self) -> Result<Vec<Host>, Unavailable> {
        match self.app.ask(self.app.store.hosts()).await {
            Ok(hosts) => Ok(hosts),
            Err(error) => self
                .app
                .hub
                .held()
                .map(|held| held.hosts)
                .ok_or_else(|| unavailable(error)),
        }
    }

    async fn host(&self, name: &str) -> Result<Option<Host>, Unavailable> {
        match self.app.ask(self.app.store.host(name)).await {
            Ok(host) => Ok(host),
            Err(error) => {
                let held = self.app.hub.held().ok_or_else(|| unavailable(error))?;
                Ok(held.hosts.into_iter().find(|host| host.name == name))
            }
        }
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, Unavailable> {
        self.app
            .ask(self.app.store.dead_letters(limit))
            .await
            .map_err(unavailable)
    }

    async fn readiness(&self) -> Readiness {
        self.app.health.readiness().await
    }

    fn calls(&self) -> Calls {
        self.app.calls.snapshot()
    }
}
