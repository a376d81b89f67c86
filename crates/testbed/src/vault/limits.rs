//! How long a token may live: what is granted under each bound, in the servers' own words.

use std::time::{Duration, SystemTime};

use crate::encoding::{short_duration, unix_seconds};

/// 768 h: the longest lease of a system that was not told otherwise, and also the default one.
pub(super) const SYSTEM_MAX_TTL: u64 = 768 * 3600;

/// What bounds the life of a token, in seconds; zero is no bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// What is granted when nothing is asked for.
    pub(super) default_ttl: u64,
    /// Of the system or the mount.
    pub(super) mount_max_ttl: u64,
    /// Of the role.
    pub(super) max_ttl: u64,
    /// Fixed when the token was made.
    pub(super) explicit_max_ttl: u64,
    /// Every renewal gives this again.
    pub(super) period: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_ttl: SYSTEM_MAX_TTL,
            mount_max_ttl: SYSTEM_MAX_TTL,
            max_ttl: 0,
            explicit_max_ttl: 0,
            period: 0,
        }
    }
}

impl Limits {
    /// How long the token may live from now on, and what there is to say about it. `None`: its time is over.
    pub(super) fn grant(
        &self,
        asked: u64,
        issued: SystemTime,
        now: SystemTime,
    ) -> Option<(u64, Vec<String>)> {
        let bounds = [self.mount_max_ttl, self.max_ttl, self.explicit_max_ttl];
        let max = bounds.into_iter().filter(|bound| *bound > 0).min().unwrap_or(SYSTEM_MAX_TTL);
        let mut warnings = Vec::new();
        let (mut ttl, end) = if self.period > 0 {
            if self.period > max {
                warnings.push(format!(
                    "period of \"{}\" exceeded the effective max_ttl of \"{}\"; period value is capped accordingly",
                    short_duration(self.period),
                    short_duration(max)
                ));
            }
            let end =
                (self.explicit_max_ttl > 0).then(|| issued + Duration::from_secs(self.explicit_max_ttl));
            (self.period.min(max), end)
        } else {
            let ttl = if asked > 0 { asked } else { self.default_ttl };
            (ttl, Some(issued + Duration::from_secs(max)))
        };
        if let Some(end) = end {
            // The servers cut both times to whole seconds before they compare them.
            let left = unix_seconds(end).checked_sub(unix_seconds(now))?;
            if left < ttl {
                warnings.push(format!(
                    "TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is capped accordingly",
                    short_duration(ttl),
                    short_duration(left)
                ));
                ttl = left;
            }
        }
        Some((ttl, warnings))
    }
}
