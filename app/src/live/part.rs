//! How much of a snapshot a page is first rendered from: what it does not show is not sent.

use contract::{
    live::{LiveSnapshot, MapView},
    service,
    traffic::MeshView,
};
use serde::{Deserialize, Serialize};

/// The part of a snapshot that a page needs before the stream is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotPart {
    /// What the frame around every page shows: clock, load, faults and breakers.
    Frame,
    /// What the Resilience page shows besides: map for its rates, endpoints.
    Mesh,
    /// What the live page shows, with charts over so many minutes.
    Live {
        /// Length of the time range.
        minutes: u32,
        /// The service they are of.
        of: String,
    },
}

impl SnapshotPart {
    /// The service whose charts are in it.
    #[must_use]
    pub fn service(&self) -> &str {
        match self {
            Self::Live { of, .. } => of,
            Self::Frame | Self::Mesh => service::GATEWAY,
        }
    }

    /// Leaves out the rest.
    #[must_use]
    pub fn of(self, mut snapshot: LiveSnapshot) -> LiveSnapshot {
        match self {
            Self::Frame | Self::Mesh => {
                snapshot.orders = Vec::new();
                snapshot.red = Vec::new();
                snapshot.changes = Vec::new();
                for node in &mut snapshot.map.nodes {
                    node.spark = Vec::new();
                }
                if self == Self::Frame {
                    snapshot.map = MapView::default();
                    snapshot.mesh = MeshView::default();
                }
            }
            Self::Live { minutes, .. } => {
                let from_us = snapshot.at_us - i64::from(minutes) * 60_000_000;
                snapshot.red.retain(|point| point.at_us >= from_us);
            }
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::live::RedPoint;

    fn snapshot() -> LiveSnapshot {
        let point = |at_us| RedPoint { at_us, per_second: 1.0, ..RedPoint::default() };
        let empty = crate::live::model::LiveModel::default();
        LiveSnapshot {
            seq: 1,
            at_us: 600_000_000,
            run_id: "a".into(),
            started_us: 0,
            map: empty.map,
            orders: empty.orders,
            tally: empty.tally,
            red: vec![point(0), point(310_000_000), point(600_000_000)],
            load: empty.load,
            changes: empty.changes,
            faults: empty.faults,
            breakers: empty.breakers,
            mesh: MeshView { revision: 17, ..MeshView::default() },
            build: String::new(),
        }
    }

    #[test]
    fn the_live_page_gets_the_points_of_its_time_range_and_other_pages_get_none() {
        let live = |minutes| SnapshotPart::Live { minutes, of: "payments".into() };
        assert_eq!(live(5).of(snapshot()).red.len(), 2);
        assert_eq!(live(60).of(snapshot()).red.len(), 3);
        assert_eq!((live(5).service(), SnapshotPart::Frame.service()), ("payments", "gateway"));
        assert!(SnapshotPart::Frame.of(snapshot()).red.is_empty());
    }

    #[test]
    fn the_pages_of_the_mesh_get_its_endpoints_and_no_orders() {
        assert_eq!(SnapshotPart::Mesh.of(snapshot()).mesh.revision, 17);
        assert_eq!(SnapshotPart::Frame.of(snapshot()).mesh.revision, 0);
        assert!(SnapshotPart::Mesh.of(snapshot()).red.is_empty());
    }
}
