//! The socket mark: the one way out of the pod's packet filter.

use std::io;

use socket2::{Domain, SockRef, Socket, Type};

/// The mark of the sidecar's own sockets, as `filter/ruleset.nft` spells it.
pub const MARK: u32 = 0x5ba1;

/// The mark of the sidecar's connections to the application, in the name of a client: they never leave the pod.
pub const INWARD: u32 = 0x5ba3;

/// The mark of a socket of the sidecar's that is broken off: nothing but its reset passes the filter.
const BROKEN_OFF: u32 = 0x5ba2;

/// This process may not mark its sockets.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The capability is missing, or the kernel is too old for it.
    #[error(
        "the sidecar may not mark its sockets: its container needs the capability NET_RAW, on Linux before 5.17 NET_ADMIN; without it nothing can leave the pod"
    )]
    Refused,
    /// Another error of the kernel.
    #[error("a socket cannot be marked: {0}")]
    Socket(#[from] io::Error),
}

/// Marks a socket, so that its packets pass the filter unredirected.
///
/// # Errors
/// The kernel's, `PermissionDenied` without the capability.
pub fn mark(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_mark(MARK)
}

/// Marks a socket that connects to the application in the name of a client, so that its packets stay in the pod.
///
/// # Errors
/// The kernel's, `PermissionDenied` without the capability.
pub fn mark_inward(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_mark(INWARD)
}

/// Marks a socket, so that nothing but its reset passes the filter any more: what the kernel has not sent by now never leaves.
///
/// # Errors
/// The kernel's, `PermissionDenied` without the capability.
pub fn break_off<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    socket.into().set_mark(BROKEN_OFF)
}

/// Whether this process may mark sockets.
///
/// # Errors
/// When it may not, in one sentence.
pub fn probe() -> Result<(), MarkError> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).or_else(|_| Socket::new(Domain::IPV6, Type::DGRAM, None))?;
    match mark(&SockRef::from(&socket)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(MarkError::Refused),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruleset_names_the_same_marks_and_no_others() {
        let ruleset = include_str!("filter/ruleset.nft");
        let rules = ruleset.lines().filter(|line| !line.trim_start().starts_with('#'));
        let marks: Vec<&str> = rules.filter_map(|line| line.split("meta mark ").nth(1)).collect();
        let expected = [
            "0x5ba1 accept",
            "0x5ba2 tcp flags & rst == rst accept",
            "0x5ba3 ct original zone set 15006",
            "set 0x5ba3",
            "0x5ba3 meta l4proto tcp accept",
            "0x5ba3 accept",
            "0x5ba3 oifname != \"lo\" counter drop",
        ];
        assert_eq!(marks, expected);
        let marks = [MARK, BROKEN_OFF, INWARD].map(|mark| format!("{mark:#x}"));
        assert_eq!(marks, ["0x5ba1", "0x5ba2", "0x5ba3"]);
    }
}
