//! Every state of objects, as the API server tells of it, while something else is done.

use std::fmt::Debug;
use std::pin::pin;

use anyhow::{Error, Result, anyhow};
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Looks at the objects with these labels (all where there are none) as they are, and at each of them again whenever it changes.
/// Comes to an end only when a look fails, and gives why. A watch that breaks off is begun again where it was.
pub async fn at_every_change<K>(api: Api<K>, labels: &str, mut look: impl FnMut(&K) -> Result<()>) -> Error
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let states = watcher(api, watcher::Config::default().labels(labels)).default_backoff().applied_objects();
    let mut states = pin!(states);
    while let Some(state) = states.next().await {
        // what cannot be read while the API server is away is read when it is back
        if let Ok(object) = state
            && let Err(error) = look(&object)
        {
            return error;
        }
    }
    anyhow!("the watch has ended")
}
