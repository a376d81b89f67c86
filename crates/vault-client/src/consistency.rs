//! What a cluster of several nodes needs so that a caller reads what it wrote.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a node does with a call that another node of its cluster could answer better.
///
/// Both are headers that servers do not let a web page send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forwarding {
    /// `X-Vault-Forward: active-node`: the active node answers, whichever node was called.
    Always,
    /// `X-Vault-Inconsistent: forward-active-node`: the active node answers where the node that was called has not seen
    /// everything that this handle has. Without it, such a node answers 412, and the call is worth another attempt.
    WhenBehind,
}

impl Forwarding {
    /// Returns the header, name and value.
    pub(crate) fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::Always => ("x-vault-forward", "active-node"),
            Self::WhenBehind => ("x-vault-inconsistent", "forward-active-node"),
        }
    }
}

/// The header that says how far a node has come, in replies, and how far it must have come, in requests.
pub(crate) const INDEX_HEADER: &str = "x-vault-index";

/// How far the nodes had come that answered so far. Clones of a handle share it.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Vec<String>>);

impl Seen {
    /// How many states are kept: one for each cluster that answers behind one address, which are seldom two.
    const MOST: usize = 4;

    /// Returns what the next request must say.
    pub(crate) fn states(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what a reply said. Of two states of one cluster the later one stays; where neither is, both do. What is no
    /// such state is kept as it is, and only the last of it.
    pub(crate) fn note(&self, state: &str) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = State::parse(state);
        let is_known = states.iter().any(|old| match (State::parse(old), &new) {
            (Some(old), Some(new)) => old.covers(new),
            _ => old == state,
        });
        if is_known {
            return;
        }
        states.retain(|old| match (State::parse(old), &new) {
            (Some(old), Some(new)) => !new.covers(&old),
            (old, new) => old.is_some() != new.is_some(),
        });
        if states.len() >= Self::MOST {
            states.remove(0);
        }
        states.push(state.to_owned());
    }
}

/// `v1:<cluster>:<local>:<replicated>:<signature>`, in Base64.
struct State {
    cluster: String,
    local: u64,
    replicated: u64,
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let mut parts = text.split(':');
        if parts.next() != Some("v1") {
            return None;
        }
        let cluster = parts.next()?.to_owned();
        let (local, replicated) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { cluster, local, replicated })
    }

    /// Returns whether whoever has come so far has come as far as the other one.
    fn covers(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.local >= other.local && self.replicated >= other.replicated
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn state(text: &str) -> String {
        STANDARD.encode(format!("v1:{text}:signature"))
    }

    fn seen(texts: &[String]) -> Vec<String> {
        let seen = Seen::default();
        for text in texts {
            seen.note(text);
        }
        seen.states()
    }

    #[test]
    fn of_one_cluster_the_later_state_stays() {
        let (early, late) = (state("c:5:7"), state("c:6:7"));
        assert_eq!(seen(&[early.clone(), late.clone()]), slice::from_ref(&late));
        assert_eq!(seen(&[late.clone(), early.clone()]), slice::from_ref(&late));
        assert_eq!(seen(&[late.clone(), late.clone()]), [late]);
    }

    #[test]
    fn where_neither_is_later_both_stay() {
        let (one, other) = (state("c:6:7"), state("c:5:8"));
        assert_eq!(seen(&[one.clone(), other.clone()]), [one.clone(), other.clone()]);
        let both = state("c:6:8");
        assert_eq!(seen(&[one, other, both.clone()]), [both]);
        let clusters: Vec<_> = (0..9).map(|number| state(&format!("c{number}:1:1"))).collect();
        assert_eq!(seen(&clusters), clusters[5..], "the last few are kept");
    }

    #[test]
    fn a_state_that_cannot_be_read_is_handed_back_as_it_came() {
        let known = state("c:1:1");
        assert_eq!(seen(&["opaque".into(), known.clone(), "newer".into()]), [known, "newer".into()]);
    }
}
