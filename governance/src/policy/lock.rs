//! A locked policy can keep more, never less.

use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};

use crate::period::Period;

/// What a locked policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It would end earlier.
    #[error(
        "policy {policy} is locked at {locked}: {asked} may be shorter\nhint: a locked policy can be lengthened only"
    )]
    Shorter {
        /// Which.
        policy: String,
        /// Its period.
        locked: String,
        /// What was asked for.
        asked: String,
    },
    /// It would cover less, keep less, or count days elsewhere.
    #[error(
        "policy {policy} is locked: its {what} cannot be changed that way\nhint: set another policy beside it; the longest retention wins"
    )]
    Changed {
        /// Which.
        policy: String,
        /// What of it.
        what: &'static str,
    },
}

/// Whether a locked policy may be replaced by another version of it.
///
/// # Errors
/// Something would be kept for a shorter time.
pub fn may_replace(locked: &PolicySet, by: &PolicySet) -> Result<(), LockError> {
    let changed = |what| LockError::Changed {
        policy: locked.name.clone(),
        what,
    };
    if locked.action != by.action
        && (locked.action, by.action) != (PolicyAction::RetainThenDelete, PolicyAction::Retain)
    {
        return Err(changed("action"));
    }
    if locked.time_zone.as_deref().unwrap_or("UTC") != by.time_zone.as_deref().unwrap_or("UTC") {
        return Err(changed("time zone"));
    }
    if locked.explicit != by.explicit {
        return Err(changed("weight"));
    }
    if !covers(&by.scope, &locked.scope) {
        return Err(changed("scope"));
    }
    let period = |set: &PolicySet| set.period.parse::<Period>().ok();
    match (period(locked), period(by)) {
        (Some(old), Some(new)) if new.at_least(old) => Ok(()),
        _ => Err(LockError::Shorter {
            policy: locked.name.clone(),
            locked: locked.period.clone(),
            asked: by.period.clone(),
        }),
    }
}

/// Whether `wide` covers all that `narrow` does, as far as can be told from their words.
fn covers(wide: &PolicyScope, narrow: &PolicyScope) -> bool {
    let all = |wide: &[String], narrow: &[String]| {
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.contains(one)))
    };
    let ids = |scope: &PolicyScope| -> Vec<String> {
        scope.rooms.iter().map(|room| room.id.clone()).collect()
    };
    let query =
        wide.query.is_none() || (wide.query == narrow.query && wide.time_zone == narrow.time_zone);
    all(&ids(wide), &ids(narrow))
        && all(&wide.categories, &narrow.categories)
        && all(&wide.types, &narrow.types)
        && query
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(period: &str) -> PolicySet {
        PolicySet {
            name: "finra".to_owned(),
            scope: PolicyScope {
                categories: vec!["trading".to_owned()],
                ..PolicyScope::default()
            },
            period: period.to_owned(),
            time_zone: None,
            action: PolicyAction::RetainThenDelete,
            explicit: false,
            reason: None,
        }
    }

    #[test]
    fn a_locked_policy_is_lengthened_and_never_shortened() {
        for (period, allowed) in [
            ("7y", true),
            ("84m", true),
            ("10y", true),
            ("2600d", true),
            ("6y", false),
            ("83m", false),
            ("2556d", false),
            ("nonsense", false),
        ] {
            assert_eq!(
                may_replace(&policy("7y"), &policy(period)).is_ok(),
                allowed,
                "{period}"
            );
        }
        let forever = PolicySet {
            period: "forever".to_owned(),
            action: PolicyAction::Retain,
            ..policy("7y")
        };
        assert_eq!(may_replace(&policy("7y"), &forever), Ok(()));
    }

    #[test]
    fn a_locked_policy_is_widened_and_never_narrowed() {
        let with = |change: &dyn Fn(&mut PolicySet)| {
            let mut changed = policy("7y");
            change(&mut changed);
            may_replace(&policy("7y"), &changed)
        };
        assert_eq!(with(&|p| p.scope.categories.clear()), Ok(()));
        assert_eq!(
            with(&|p| p.scope.categories.push("sales".to_owned())),
            Ok(())
        );
        assert!(with(&|p| p.scope.categories = vec!["sales".to_owned()]).is_err());
        assert!(with(&|p| p.scope.types = vec!["chat.message.posted".to_owned()]).is_err());
        assert!(with(&|p| p.scope.query = Some("x".to_owned())).is_err());
        assert!(with(&|p| p.action = PolicyAction::Delete).is_err());
        assert!(with(&|p| p.time_zone = Some("Asia/Tokyo".to_owned())).is_err());
        assert!(with(&|p| p.explicit = true).is_err());
    }
}
