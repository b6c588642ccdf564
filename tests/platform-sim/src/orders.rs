//! What the platform is told to do: in every answer, in one after the other, on new connections.

use serde::Deserialize;

use crate::fault::{Connection, Order};
use crate::platform::{KEPT, Platform};

/// What an answer is to, where an exchange has two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum To {
    Application,
    Check,
}

/// An order for one answer; none: an honest answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queued {
    pub(crate) order: Option<Order>,
    /// None: whichever answer comes next.
    pub(crate) to: Option<To>,
}

/// What to do with the answers to come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    pub(crate) order: Option<Order>,
    /// How many answers more; None: until told otherwise.
    pub(crate) times: Option<u32>,
    pub(crate) delay: std::time::Duration,
}

impl Platform {
    /// The orders for one answer; a counted one is used up.
    pub(crate) fn take_orders(&self, to: To) -> Orders {
        let mut state = self.state();
        let orders = state.orders;
        let first = state.queue.iter().position(|queued| queued.to.is_none_or(|wanted| wanted == to));
        if let Some(Queued { order, .. }) = first.and_then(|at| state.queue.remove(at)) {
            return Orders { order, ..orders };
        }
        match orders.times {
            Some(0 | 1) => (state.orders.order, state.orders.times) = (None, None),
            Some(times) => state.orders.times = Some(times - 1),
            None => {}
        }
        orders
    }

    /// The order for a new connection.
    pub(crate) fn take_connection(&self) -> Option<Connection> {
        self.state().connections.pop_front()
    }

    pub(crate) fn orders(&self) -> Orders {
        self.state().orders
    }

    /// How many orders wait for an answer of their own, and how many for a connection.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.queue.len(), state.connections.len())
    }

    /// An order about connections is one for the next new ones, `times` of them or one.
    pub(crate) fn misbehave(&self, order: Option<Order>, times: Option<u32>) {
        if let Some(connection) = order.and_then(Order::connection) {
            let times = usize::try_from(times.unwrap_or(1)).unwrap_or(usize::MAX).min(KEPT);
            self.state().connections.extend(std::iter::repeat_n(connection, times));
            return;
        }
        let mut state = self.state();
        let order = order.filter(|_| times != Some(0));
        state.orders.order = order;
        state.orders.times = times.filter(|_| order.is_some());
        if order.is_none() {
            state.queue.clear();
            state.connections.clear();
        }
    }

    /// One order for each of the answers to come, or of those to these requests; orders about connections are for the new
    /// connections to come.
    pub(crate) fn enqueue(&self, orders: Vec<Option<Order>>, to: Option<To>) {
        let mut state = self.state();
        for order in orders {
            match order.and_then(Order::connection) {
                Some(connection) => state.connections.push_back(connection),
                None => state.queue.push_back(Queued { order, to }),
            }
        }
    }

    /// Serial of the first honest answer, which `serial` becomes when there is none yet.
    pub(crate) fn used_serial(&self, serial: Option<&str>) -> Option<String> {
        let mut state = self.state();
        if state.used_serial.is_none() {
            state.used_serial = serial.map(str::to_owned);
        }
        state.used_serial.clone()
    }

    pub(crate) fn delay(&self, delay: std::time::Duration) {
        self.state().orders.delay = delay;
    }
}
