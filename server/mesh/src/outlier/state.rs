//! The detector of one cluster, pure: outcomes and times in, ejections out.
//!
//! Time moves in [`Detector::advance`], which makes up for every sweep since it was last called, so
//! that a detector nobody looked at is where it would be with a timer.

use istio::policy::Outlier;
use std::{collections::BTreeMap, time::Duration};

/// What came of a try at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status (of gRPC, the status it maps to).
    Status(u16),
    /// The deadline passed without an answer.
    Timeout,
    /// There was no connection, or it broke.
    ConnectionLost,
}

/// An endpoint was ejected or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Which endpoint.
    pub host: u64,
    /// When, microseconds since the epoch.
    pub at_us: i64,
    /// The sweep that will take it back; none when this is the taking back.
    pub until_us: Option<i64>,
    /// What ejected it, in Envoy's words: `consecutive-5xx`, …
    pub cause: &'static str,
}

/// How one endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Errors in a row.
    pub consecutive_5xx: u32,
    /// 502, 503, 504 in a row.
    pub consecutive_gateway: u32,
    /// Local-origin failures in a row, when they are counted apart.
    pub consecutive_local_origin: u32,
    /// Since when it is ejected, microseconds since the epoch.
    pub ejected_since_us: Option<i64>,
    /// How many times the base its next ejection lasts, less one.
    pub multiplier: u32,
    /// Ejections ever.
    pub ejections: u64,
    /// When the last of them began, microseconds since the epoch.
    pub last_ejected_us: Option<i64>,
}

/// The detector of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    hosts: BTreeMap<u64, Standing>,
    next_sweep_us: Option<i64>,
    interval_us: i64,
}

impl Detector {
    /// The endpoints of the cluster; what is known of others is forgotten.
    pub fn keep(&mut self, hosts: &[u64]) {
        self.hosts.retain(|host, _| hosts.contains(host));
        for host in hosts {
            self.hosts.entry(*host).or_default();
        }
    }

    /// How an endpoint stands.
    #[must_use]
    pub fn standing(&self, host: u64) -> Option<&Standing> {
        self.hosts.get(&host)
    }

    /// Endpoints that are ejected.
    pub fn ejected(&self) -> impl Iterator<Item = u64> {
        let ejected = |(_, standing): &(&u64, &Standing)| standing.ejected_since_us.is_some();
        self.hosts.iter().filter(ejected).map(|(host, _)| *host)
    }

    /// When the next sweep is due, microseconds since the epoch.
    #[must_use]
    pub const fn next_sweep_us(&self) -> Option<i64> {
        self.next_sweep_us
    }

    /// Makes up for the sweeps until now. The first call sets the time that sweeps count from.
    pub fn advance(&mut self, params: &Outlier, now_us: i64) -> Vec<Ejection> {
        let interval_us = micros(params.interval).max(1);
        if self.next_sweep_us.is_none() || self.interval_us != interval_us {
            self.interval_us = interval_us;
            self.next_sweep_us = Some(now_us.saturating_add(interval_us));
        }
        let mut returned = Vec::new();
        while let Some(at_us) = self.next_sweep_us.filter(|at_us| *at_us <= now_us) {
            let due_us = self.relevant_sweep(params, at_us).min(self.last_sweep(at_us, now_us));
            self.sweep(params, due_us, &mut returned);
            self.next_sweep_us = Some(due_us.saturating_add(interval_us));
        }
        returned
    }

    /// Takes note of an outcome; the sweeps until now have been made up for.
    pub fn observe(
        &mut self,
        params: &Outlier,
        host: u64,
        outcome: Outcome,
        now_us: i64,
    ) -> Option<Ejection> {
        let standing = self.hosts.get_mut(&host)?;
        let cause = standing.count(params, outcome)?;
        // Counted on while it is out, but once out, nothing more happens.
        if standing.ejected_since_us.is_some() {
            return None;
        }
        standing.reset(params, cause);
        self.eject(params, host, cause.name(), now_us)
    }

    /// Takes every endpoint back: the policy that ejected them is gone.
    pub fn release(&mut self, now_us: i64) -> Vec<Ejection> {
        self.next_sweep_us = None;
        let returned = self.ejected().map(|host| Ejection::back(host, now_us, "policy-removed"));
        let returned = returned.collect();
        self.hosts.values_mut().for_each(|standing| {
            let Standing { ejections, last_ejected_us, .. } = *standing;
            *standing = Standing { ejections, last_ejected_us, ..Standing::default() };
        });
        returned
    }

    /// The sweep that takes an ejected endpoint back.
    #[must_use]
    pub fn until_us(&self, params: &Outlier, host: u64) -> Option<i64> {
        let standing = self.hosts.get(&host)?;
        let over_us = standing.over_us(params)?;
        Some(self.sweep_at_or_after(over_us))
    }

    fn eject(
        &mut self,
        params: &Outlier,
        host: u64,
        cause: &'static str,
        now_us: i64,
    ) -> Option<Ejection> {
        let out = self.ejected().count();
        // The share after this ejection; the first may go whatever the share is.
        let within = (out + 1) * 100 <= self.hosts.len() * params.max_ejection_percent as usize;
        if out > 0 && !within {
            return None;
        }
        let standing = self.hosts.get_mut(&host)?;
        standing.ejected_since_us = Some(now_us);
        standing.last_ejected_us = Some(now_us);
        standing.ejections = standing.ejections.saturating_add(1);
        let base_us = micros(params.base_ejection);
        let length_us = base_us.saturating_mul(i64::from(standing.multiplier));
        // Grows to the first multiple that reaches the cap, no further.
        if length_us < micros(params.max_ejection).saturating_add(base_us) {
            standing.multiplier = standing.multiplier.saturating_add(1);
        }
        let until_us = self.until_us(params, host);
        Some(Ejection { host, at_us: now_us, until_us, cause })
    }

    fn sweep(&mut self, params: &Outlier, now_us: i64, returned: &mut Vec<Ejection>) {
        for (host, standing) in &mut self.hosts {
            match standing.over_us(params) {
                None => standing.multiplier = standing.multiplier.saturating_sub(1),
                Some(over_us) if over_us <= now_us => {
                    standing.ejected_since_us = None;
                    standing.reset_all();
                    returned.push(Ejection::back(*host, now_us, "time-over"));
                }
                Some(_) => {}
            }
        }
    }

    /// The first sweep from `at_us` on that changes anything, or one that is never reached.
    fn relevant_sweep(&self, params: &Outlier, at_us: i64) -> i64 {
        let relevant = self.hosts.values().filter_map(|standing| match standing.over_us(params) {
            Some(over_us) => Some(self.sweep_at_or_after(over_us).max(at_us)),
            None => (standing.multiplier > 0).then_some(at_us),
        });
        relevant.min().unwrap_or(i64::MAX)
    }

    /// The last sweep until `now_us`.
    fn last_sweep(&self, at_us: i64, now_us: i64) -> i64 {
        now_us - (now_us - at_us) % self.interval_us
    }

    fn sweep_at_or_after(&self, moment_us: i64) -> i64 {
        let next_us = self.next_sweep_us.unwrap_or(moment_us);
        let missing_us = moment_us.saturating_sub(next_us).max(0);
        let interval_us = self.interval_us.max(1);
        let sweeps = missing_us / interval_us + i64::from(missing_us % interval_us > 0);
        next_us.saturating_add(sweeps.saturating_mul(interval_us))
    }
}

impl Ejection {
    const fn back(host: u64, at_us: i64, cause: &'static str) -> Self {
        Self { host, at_us, until_us: None, cause }
    }
}

/// Which count reached its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Errors,
    Gateway,
    LocalOrigin,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Errors => "consecutive-5xx",
            Self::Gateway => "consecutive-gateway-failure",
            Self::LocalOrigin => "consecutive-local-origin-failure",
        }
    }
}

impl Standing {
    /// Counts an outcome; the count that reached its limit by it, if one did.
    fn count(&mut self, params: &Outlier, outcome: Outcome) -> Option<Cause> {
        let local = !matches!(outcome, Outcome::Status(_));
        if params.split_local_origin {
            if local {
                self.consecutive_local_origin = self.consecutive_local_origin.saturating_add(1);
                let reached = self.consecutive_local_origin == params.consecutive_local_origin;
                return reached.then_some(Cause::LocalOrigin);
            }
            // There was an answer, whatever it says.
            self.consecutive_local_origin = 0;
        }
        let status = match outcome {
            Outcome::Status(status) => status,
            // Envoy's reading of local failures where they are not counted apart.
            Outcome::Timeout => 504,
            Outcome::ConnectionLost => 503,
        };
        let listed = &params.http_error_codes;
        let error =
            local || if listed.is_empty() { status >= 500 } else { listed.contains(&status) };
        if !error {
            self.consecutive_5xx = 0;
            self.consecutive_gateway = 0;
            return None;
        }
        let gateway = matches!(status, 502..=504);
        self.consecutive_gateway =
            if gateway { self.consecutive_gateway.saturating_add(1) } else { 0 };
        self.consecutive_5xx = self.consecutive_5xx.saturating_add(1);
        let reached = |count: u32, limit: u32| limit > 0 && count == limit;
        if gateway && reached(self.consecutive_gateway, params.consecutive_gateway) {
            Some(Cause::Gateway)
        } else if reached(self.consecutive_5xx, params.consecutive_5xx) {
            Some(Cause::Errors)
        } else {
            None
        }
    }

    /// A limit that was reached counts from the beginning again, ejected or not.
    fn reset(&mut self, params: &Outlier, cause: Cause) {
        match cause {
            Cause::Errors => self.consecutive_5xx = 0,
            Cause::Gateway => {
                self.consecutive_gateway = 0;
                // One answer may reach both limits.
                if self.consecutive_5xx == params.consecutive_5xx {
                    self.consecutive_5xx = 0;
                }
            }
            Cause::LocalOrigin => self.consecutive_local_origin = 0,
        }
    }

    fn reset_all(&mut self) {
        self.consecutive_5xx = 0;
        self.consecutive_gateway = 0;
        self.consecutive_local_origin = 0;
    }

    /// When its ejection has lasted long enough, if it is ejected.
    fn over_us(&self, params: &Outlier) -> Option<i64> {
        let since_us = self.ejected_since_us?;
        let length_us = micros(params.base_ejection).saturating_mul(i64::from(self.multiplier));
        Some(since_us.saturating_add(length_us.min(micros(params.max_ejection))))
    }
}

fn micros(duration: Duration) -> i64 {
    base::clock::micros(duration)
}

/// The HTTP status that outlier detection takes a gRPC status for (Envoy
/// `Grpc::Utility::grpcToHttpStatus`); an unknown one is 500.
#[must_use]
pub const fn http_of_grpc(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
