//! Who runs a program in the pod: user and capabilities as a container runtime gives them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::process::Command;

use crate::namespace::Namespace;

/// The user of [`Actor::ProxyByUser`].
pub(crate) const USER: u32 = 1_900_000_000;

/// A container's user and capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// `shekara-init`: root with NET_ADMIN alone.
    Init,
    /// `shekara-proxy`: root with NET_RAW alone and no new privileges.
    Proxy,
    /// The same where nobody in the pod may set a mark: a user of its own without any capability.
    ProxyByUser,
    /// `shekara-verify`: an unprivileged user.
    Verify,
    /// An application of an unprivileged user.
    App,
    /// An application under PodSecurity `restricted`: no capability, no new privileges.
    RestrictedApp,
    /// An application that runs as root, or became root by a setuid file: everything but NET_ADMIN, NET_RAW and SYS_ADMIN, as
    /// stock images of nginx or PostgreSQL are run.
    RootApp,
    /// What admission refuses: an application with NET_RAW.
    RawApp,
    /// Nobody in a pod: root with every capability.
    Anybody,
}

impl Actor {
    fn setpriv(self) -> &'static [&'static str] {
        const WITHOUT: &str = "-net_admin,-net_raw,-sys_admin";
        match self {
            Self::Init => &["--bounding-set", "-all,+net_admin", "--inh-caps", "-all"],
            Self::Proxy => &["--bounding-set", "-all,+net_raw", "--inh-caps", "-all", "--no-new-privs"],
            Self::ProxyByUser => &[
                "--reuid=1900000000",
                "--regid=1900000000",
                "--clear-groups",
                "--bounding-set",
                "-all",
                "--inh-caps",
                "-all",
                "--no-new-privs",
            ],
            Self::Verify => &["--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"],
            Self::App => &["--reuid=1000", "--regid=1000", "--clear-groups", "--bounding-set", WITHOUT, "--inh-caps", "-all"],
            Self::RestrictedApp => &[
                "--reuid=1000",
                "--regid=1000",
                "--clear-groups",
                "--bounding-set",
                "-all",
                "--inh-caps",
                "-all",
                "--no-new-privs",
            ],
            Self::RootApp => &["--bounding-set", WITHOUT, "--inh-caps", "-all"],
            Self::RawApp => &["--bounding-set", "-net_admin,-sys_admin", "--inh-caps", "-all"],
            Self::Anybody => &[],
        }
    }

    /// The command that runs a program in the namespace. It ends with the test that waits for it.
    pub(crate) fn command(self, pod: &Namespace, program: &str) -> Command {
        self.command_behind(pod, &[], program)
    }

    /// The same among processes of its own alone, as containers are.
    pub(crate) fn contained(self, pod: &Namespace, program: &str) -> Command {
        self.command_behind(pod, &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"], program)
    }

    fn command_behind(self, pod: &Namespace, before: &[&str], program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &pod.name]).args(before);
        command.args(["setpriv", "--pdeathsig", "KILL"]).args(self.setpriv()).arg(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(profile()).kill_on_drop(true);
        command
    }
}

/// Where a program that is instrumented for coverage is to write which lines it reached: a file of its own, for in namespaces of
/// processes numbers return.
pub(crate) fn profile() -> Option<(&'static str, String)> {
    const FILE: &str = "LLVM_PROFILE_FILE";
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let file = std::env::var(FILE).ok()?;
    Some((FILE, file.replace("%p", &format!("{}-%p", COUNT.fetch_add(1, Ordering::Relaxed)))))
}
