//! Whether the engine can promise something, as its writer last saw it.

use std::mem::discriminant;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::store::StoreError;

/// Shared by the writer, which sets it, and the callbacks, which look before they begin.
#[derive(Default)]
pub(super) struct Health {
    trouble: ArcSwapOption<StoreError>,
}

impl Health {
    /// Fails with what is the matter.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.trouble.load() {
            None => Ok(()),
            Some(trouble) => Err(StoreError::clone(trouble)),
        }
    }

    /// Nothing is promised from here on. Tells whether this is news.
    #[expect(clippy::needless_pass_by_value, reason = "it is kept")]
    pub(super) fn set(&self, trouble: StoreError) -> bool {
        let before = self
            .trouble
            .rcu(|now| if is_final(now.as_deref()) { now.clone() } else { Some(Arc::new(trouble.clone())) });
        before.is_none_or(|before| discriminant(&*before) != discriminant(&trouble))
    }

    /// What can pass has passed.
    pub(super) fn recovered(&self) {
        if self.trouble.load().is_some() {
            self.trouble.rcu(|now| if is_final(now.as_deref()) { now.clone() } else { None });
        }
    }
}

fn is_final(trouble: Option<&StoreError>) -> bool {
    matches!(trouble, Some(StoreError::Failed { .. } | StoreError::Closed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_cannot_pass_stays_whatever_comes_after() {
        let health = Health::default();
        assert!(health.set(StoreError::DiskFull));
        assert!(!health.set(StoreError::DiskFull), "no news");
        assert!(health.set(StoreError::Failed { cause: Arc::from("broken") }));
        health.set(StoreError::Stalled { within: Duration::from_secs(1) });
        health.recovered();
        assert!(matches!(health.check(), Err(StoreError::Failed { .. })));
    }

    #[test]
    fn what_can_pass_passes() {
        let health = Health::default();
        health.set(StoreError::DiskFull);
        health.recovered();
        assert!(health.check().is_ok());
    }
}
