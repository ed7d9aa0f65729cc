//! Properties of what has to be awaited.

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

/// Runs `test` with so many values of `strategy`, and with simpler ones once it panics. Needs a runtime with several
/// threads.
pub fn for_all<S: Strategy>(cases: u32, strategy: &S, test: impl AsyncFn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        block_in_place(|| Handle::current().block_on(test(value)));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
