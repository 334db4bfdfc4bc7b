//! Markup without data, for the templates that the script clones: what it adds
//! later is made by the same macros as the first paint.

use super::event::EventView;
use super::facts::Member;
use super::host::{HostView, Notice, RootView};
use super::panel::Panel;
use super::row::Row;
use super::step::Step;
use super::timeline::Lane;
use super::track::Cell;

/// One of each.
pub(crate) struct Blank {
    pub(crate) row: Row,
    pub(crate) cell: Cell,
    pub(crate) host: HostView,
    pub(crate) root: RootView,
    pub(crate) notice: Notice,
    pub(crate) panel: Panel,
    pub(crate) lane: Lane,
    pub(crate) step: Step,
    pub(crate) member: Member,
    pub(crate) event: EventView,
}

impl Blank {
    pub(crate) fn new() -> Self {
        Self {
            row: Row::blank(),
            cell: Cell::default(),
            host: HostView {
                state: "up",
                ..HostView::default()
            },
            root: RootView::default(),
            notice: Notice::default(),
            panel: Panel::blank(),
            lane: Lane::default(),
            step: Step::blank(),
            member: Member::default(),
            event: EventView::default(),
        }
    }
}
