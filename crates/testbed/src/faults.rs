//! What goes wrong on the way: planned faults.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    message::{Request, Response},
    world::Side,
};

/// Why no reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// Nobody listens at that address, or the connection was refused. Nothing happened on the server.
    #[error("the connection was refused")]
    Refused,
    /// The server did what it was asked for, and the reply was lost.
    #[error("the connection was closed before the reply arrived")]
    Dropped,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// This is answered instead; the double does not see the request.
    Answer(Response),
    /// The connection is refused; the double does not see the request.
    Refuse,
    /// The double does what it is asked for, then the reply is lost.
    Drop,
    /// The reply comes this much later. In memory, a frozen clock is advanced by it.
    Delay(Duration),
}

/// Which requests a fault is meant for.
#[derive(Clone, Debug, Default)]
pub struct Target {
    side: Option<Side>,
    method: Option<String>,
    path: Option<String>,
}

impl Target {
    /// Any request at all.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests to the provider whose path is this one; a star at its end matches the rest.
    pub fn provider(path: &str) -> Self {
        Self { side: Some(Side::Provider), method: None, path: Some(path.to_owned()) }
    }

    /// Requests to the Vault whose path is this one (`/v1/…`); a star at its end matches the rest.
    pub fn vault(path: &str) -> Self {
        Self { side: Some(Side::Vault), method: None, path: Some(path.to_owned()) }
    }

    /// Only requests with this method.
    pub fn with_method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    fn matches(&self, side: Side, request: &Request) -> bool {
        let path_matches = self.path.as_deref().is_none_or(|pattern| {
            let path = request.path();
            pattern.strip_suffix('*').map_or(path == pattern, |prefix| path.starts_with(prefix))
        });
        path_matches
            && self.side.is_none_or(|wanted| wanted == side)
            && self.method.as_ref().is_none_or(|method| *method == request.method)
    }
}

/// The plan of a world. Clones share it.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Planned>>>);

struct Planned {
    target: Target,
    times: u32,
    fault: Fault,
}

impl Faults {
    /// Plans a fault for the next `times` requests that match.
    ///
    /// Faults that match the same request come one after the other, in the order in which they were planned.
    pub fn inject(&self, target: Target, times: u32, fault: Fault) {
        self.plan().push(Planned { target, times, fault });
    }

    /// Forgets what has not happened yet.
    pub fn clear(&self) {
        self.plan().clear();
    }

    /// Whether everything that was planned has happened.
    pub fn is_spent(&self) -> bool {
        self.plan().is_empty()
    }

    pub(crate) fn take(&self, side: Side, request: &Request) -> Option<Fault> {
        let mut plan = self.plan();
        plan.retain(|planned| planned.times > 0);
        let at = plan.iter().position(|planned| planned.target.matches(side, request))?;
        plan[at].times -= 1;
        let fault = plan[at].fault.clone();
        plan.retain(|planned| planned.times > 0);
        Some(fault)
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Vec<Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("planned", &self.plan().len()).finish()
    }
}
