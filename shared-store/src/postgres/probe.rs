//! Whether the database takes writes.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// For how long a result is reused.
const VALID_FOR: Duration = Duration::from_secs(1);

/// The last result of a test write, and when it was made. Concurrent callers share one test write.
pub struct WriteProbe<E>(Mutex<Option<(Instant, Result<(), E>)>>);

impl<E> Default for WriteProbe<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E: Clone> WriteProbe<E> {
    /// The last result if it is recent, else the result of `probe`.
    ///
    /// # Errors
    ///
    /// Those of `probe`.
    pub async fn get_or(&self, probe: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let mut last = self.0.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < VALID_FOR
        {
            return result.clone();
        }
        let result = probe.await;
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
