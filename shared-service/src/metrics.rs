//! Metrics of the same shape in both services.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shared_http::metrics::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    outcome: &'static str,
}

/// Registers the counter `name` with the label `outcome`. The result makes the counter of one outcome, which is shown
/// from then on, 0 at first.
pub fn outcome_counters(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> impl Fn(&'static str) -> Counter + use<> {
    let outcomes = Family::<Labels, Counter>::default();
    registry.register(name, help, outcomes.clone());
    move |outcome| outcomes.get_or_create_owned(&Labels { outcome })
}
