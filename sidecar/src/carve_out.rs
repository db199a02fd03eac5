//! The one way out of the pod's packet filter: by what it knows the sidecar.

use std::io;
use std::num::NonZeroU32;

use rustix::process::geteuid;
use socket2::SockRef;

use crate::config::ConfigError;
use crate::mark::{self, MARK, MarkError};

/// The variable with the user, told to packet filter and proxy alike; absent where the sidecar is known by its mark.
pub const VARIABLE: &str = "SHEKARA_USER";

/// The priority (`SO_PRIORITY`, socket(7)) of sockets by which the sidecar tries the ways out as anybody: as `user.nft` spells it. It
/// needs no capability, and opens nothing.
const AS_ANYBODY: u32 = 5;

/// What takes the place of the lines for marks in the ruleset.
const USER: &str = include_str!("filter/user.nft");

/// By what the packet filter knows the sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarveOut {
    /// By the mark of its sockets, which needs the capability NET_RAW: an application may be root and change its user.
    #[default]
    Mark,
    /// By its user, where no container may have a capability, be root or become another user (PodSecurity `restricted`).
    User(NonZeroU32),
}

/// The proxy is not what the packet filter lets out.
#[derive(Debug, thiserror::Error)]
pub enum CarveOutError {
    /// It is known by its mark, and may not set one.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// It is known by another user.
    #[error(
        "the packet filter knows the sidecar as the user {expected}, and its container runs as {actual}: nothing can leave the pod"
    )]
    User {
        /// The user whom the packet filter lets out.
        expected: NonZeroU32,
        /// That of this process.
        actual: u32,
    },
}

/// The user by whom it knows the sidecar, by a function that gives the value of a variable; none where it knows it by its mark.
///
/// # Errors
/// When the variable is set and is no number of a user other than root.
pub fn user(variable: impl Fn(&str) -> Option<String>) -> Result<Option<NonZeroU32>, ConfigError> {
    let value = variable(VARIABLE).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let read = |value: String| {
        let problem = "it is the number of a user, and not of root".to_owned();
        value.parse().map_err(|_| ConfigError::Invalid { variable: VARIABLE, value, problem })
    };
    value.map(read).transpose()
}

/// Has the packet filter take a socket of the sidecar for one of anybody.
///
/// # Errors
/// The kernel's.
pub fn as_anybody<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().set_priority(AS_ANYBODY)
}

impl From<Option<NonZeroU32>> for CarveOut {
    fn from(user: Option<NonZeroU32>) -> Self {
        user.map_or(Self::Mark, Self::User)
    }
}

impl CarveOut {
    /// Whether this process is what the packet filter lets out. The proxy asks once as it starts, since later each dial would fail
    /// without a reason that a person can see.
    ///
    /// # Errors
    /// When it is not, in one sentence.
    pub fn probe(self) -> Result<(), CarveOutError> {
        match self {
            Self::Mark => Ok(mark::probe()?),
            Self::User(expected) => match geteuid().as_raw() {
                actual if actual == expected.get() => Ok(()),
                actual => Err(CarveOutError::User { expected, actual }),
            },
        }
    }

    /// Has the packets of a socket of this process pass the filter unredirected.
    ///
    /// # Errors
    /// The kernel's, `PermissionDenied` without the capability.
    pub fn let_out(self, socket: &SockRef<'_>) -> io::Result<()> {
        match self {
            Self::Mark => mark::mark(socket),
            Self::User(_) => Ok(()),
        }
    }

    /// What is added to the ruleset for it.
    pub(crate) fn rules(self) -> Option<String> {
        match self {
            Self::Mark => None,
            Self::User(user) => Some(USER.replace("USER", &user.to_string())),
        }
    }

    /// The line by which the table shows it when it is read back.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Mark => format!("meta mark {MARK:#010x} accept"),
            Self::User(user) => format!("meta skuid {user} accept"),
        }
    }

    /// What is true of the packets of everybody else's sockets, in the language of nft.
    pub(crate) fn others(self) -> String {
        match self {
            Self::Mark => format!("meta mark != {MARK:#x}"),
            Self::User(user) => format!("meta skuid != {user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, Ok(None))]
    #[case(Some(" "), Ok(None))]
    #[case(Some("1900000000"), Ok(Some(1_900_000_000)))]
    #[case(Some("0"), Err(()))]
    #[case(Some("root"), Err(()))]
    fn a_user_other_than_root_or_none(#[case] value: Option<&str>, #[case] expected: Result<Option<u32>, ()>) {
        let read = user(|name| value.filter(|_| name == VARIABLE).map(str::to_owned));
        assert_eq!(read.map(|user| user.map(NonZeroU32::get)).map_err(|_| ()), expected);
    }

    #[test]
    fn another_user_is_told_that_nothing_can_leave() {
        let said = CarveOut::from(NonZeroU32::new(geteuid().as_raw() + 1)).probe().unwrap_err().to_string();
        assert!(said.contains("nothing can leave the pod"), "{said}");
    }
}
