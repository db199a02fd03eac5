//! Network namespaces: a name, a way to make sockets in them, and an end.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the names of all namespaces of these tests begin with; the number of the process follows.
const PREFIX: &str = "shekara-test-";

/// A network namespace, removed when dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// A new one, whose name is like that of no other.
    pub(crate) fn new(role: &str) -> Self {
        static SWEPT: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "these tests make network namespaces and packet filters: run them as root");
        SWEPT.call_once(sweep);
        let name = format!("{}{}-{role}", prefix(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        Self { name }
    }

    /// Runs a function in the namespace, in a thread of its own. Sockets that it makes stay there.
    pub(crate) fn inside<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                function()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Whether an interface here has a link-local address of IPv6: the kernel gives it one some time after the cable has been
    /// laid, up to seconds later where many are laid at once. (`if_inet6` of proc(5), whose fourth field is the scope.)
    pub(crate) fn has_link_address(&self) -> bool {
        let addresses = self.inside(|| fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        addresses.lines().any(|line| line.split_whitespace().nth(3) == Some("20"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure to clean up is said, and fails no test that has its outcome.
        if let Err(error) = try_ip(&["netns", "delete", &self.name]) {
            eprintln!("the namespace {} could not be removed: {error}", self.name);
        }
        let _ = fs::remove_dir_all(format!("/etc/netns/{}", self.name));
    }
}

/// What names of this process begin with, by which the next one knows what was left behind.
pub(crate) fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// Removes what an earlier run left behind that was killed.
fn sweep() {
    let left = |folder: &Path| -> Vec<String> {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| process(name).is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists())).collect()
    };
    for name in left(Path::new("/run/netns")) {
        drop(Namespace { name });
    }
    let temporary = std::env::temp_dir();
    for name in left(&temporary) {
        let _ = fs::remove_dir_all(temporary.join(name));
    }
}

/// The process that made what has this name.
fn process(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Runs `ip`, which must succeed.
pub(crate) fn ip(arguments: &[&str]) {
    try_ip(arguments).unwrap_or_else(|error| panic!("ip {}: {error}", arguments.join(" ")));
}

fn try_ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())) }
}
