//! A pod and a world beside it: two network namespaces with one cable between them, and no way to anywhere else.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use jiff::Timestamp;
use shekara_policy::PolicyDocument;
use shekara_policy::exchange::Checkpoint;
use shekara_policy::record::FlowRecord;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::actor::{Actor, USER};
use crate::authority::authority;
use crate::client::{self, Said};
use crate::namespace::{self, Namespace, ip};
use crate::policy_api::{self, PolicyApi};
use crate::resolver::{self, Questions};
use crate::sidecar::Sidecar;
use crate::signing;
use crate::sniffer::{POD_HARDWARE, Packet, Sniffer};
use crate::wait::{self, within};
use crate::world::{self, POLICY_API_NAME, RESOLVER};

/// The pod's addresses.
pub(crate) const POD: [&str; 2] = ["10.244.1.2", "fd00:10:244:1::2"];
/// The world's end of the cable.
pub(crate) const GATEWAY: [&str; 2] = ["10.244.1.1", "fd00:10:244:1::1"];

/// The pod's token, at first.
pub(crate) const TOKEN: &str = "token-one";

/// A pod beside the world. Everything ends and is removed with it, in the order of the fields.
pub(crate) struct Place {
    pub(crate) sidecar: Option<Sidecar>,
    pub(crate) api: Option<PolicyApi>,
    pub(crate) questions: Questions,
    pub(crate) sniffer: Sniffer,
    _tasks: JoinSet<()>,
    folder: TempDir,
    pub(crate) pod: Namespace,
    pub(crate) world: Namespace,
    /// What the sidecar is told of its holdings, as admission stamps it.
    pub(crate) stamps: String,
    /// Whether the packet filter knows the sidecar by its user.
    by_user: bool,
    /// Until when the pod observes, as admission stamps it.
    pub(crate) observe_until: Option<Timestamp>,
    /// The addresses and ports that are open for datagrams, as admission stamps them.
    pub(crate) endpoints: Vec<SocketAddr>,
    /// What the sidecar asks the application in the kubelet's place, as admission stamps it.
    pub(crate) probes: String,
}

impl Place {
    /// A pod without a packet filter: whatever its applications do reaches the world.
    pub(crate) fn open() -> Self {
        let (world, pod) = (Namespace::new("world"), Namespace::new("pod"));
        join(&pod, &world);
        let folder = folder();
        let mut tasks = JoinSet::new();
        let sniffer = Sniffer::new(&world);
        world::serve(&world, &mut tasks);
        let questions = resolver::serve(&world, &mut tasks);
        let place = Self {
            sidecar: None,
            api: None,
            questions,
            sniffer,
            _tasks: tasks,
            folder,
            pod,
            world,
            stamps: "faces=1:0".to_owned(),
            by_user: false,
            observe_until: None,
            endpoints: vec![],
            probes: String::new(),
        };
        place.etc("resolv.conf", &format!("nameserver {RESOLVER}\noptions attempts:1\n"));
        place.hosts("");
        place
    }

    /// The same where the packet filter will know the sidecar by its user.
    pub(crate) fn by_user() -> Self {
        let mut place = Self::open();
        place.by_user = true;
        place.sniffer.by_user = true;
        place
    }

    /// What the application's own hosts file says, besides localhost.
    pub(crate) fn hosts(&self, lines: &str) {
        self.etc("hosts", &format!("127.0.0.1 localhost\n{lines}\n"));
    }

    /// `ip netns exec` puts this file over the one of the machine.
    fn etc(&self, file: &str, text: &str) {
        let folder = PathBuf::from("/etc/netns").join(&self.pod.name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    /// Sets the packet filter, starts the policy API and the sidecar, and waits until it is ready.
    pub(crate) async fn enforce(&mut self, documents: &[PolicyDocument]) {
        self.init().await;
        self.api = Some(PolicyApi::start(&self.world, documents));
        self.run();
        self.ready().await;
        // From now on, whatever arrives has passed.
        self.sniffer.forget(&self.pod).await;
    }

    /// Sets the packet filter.
    pub(crate) async fn init(&self) {
        let init = self.sidecar_command(Actor::Init, "init").await;
        assert!(init.ok, "init: {}", init.text());
    }

    /// Removes the packet filter, as nobody in a pod can.
    pub(crate) async fn remove_filter(&self) {
        let deleted = self.command(Actor::Init, "nft", &["delete", "table", "inet", "shekara"]).await;
        assert!(deleted.ok, "{}", deleted.text());
    }

    /// Starts the proxy.
    pub(crate) fn run(&mut self) {
        self.run_as(self.proxy());
    }

    /// In which container the proxy is.
    fn proxy(&self) -> Actor {
        if self.by_user { Actor::ProxyByUser } else { Actor::Proxy }
    }

    /// Starts the proxy in another container than its own.
    pub(crate) fn run_as(&mut self, actor: Actor) {
        let mut command = actor.command(&self.pod, &self.program());
        command.arg("run").envs(self.environment()).envs(self.told()).env("SHEKARA_PROBES", &self.probes);
        self.sidecar = Some(Sidecar::start(command));
    }

    /// Starts the proxy with no more descriptors than these.
    pub(crate) fn run_with_open_files(&mut self, most: usize) {
        let mut command = self.proxy().command(&self.pod, "prlimit");
        command.arg(format!("--nofile={most}:{most}")).arg(self.program()).arg("run").envs(self.environment()).envs(self.told());
        self.sidecar = Some(Sidecar::start(command));
    }

    /// The variables that more than one of the sidecar's containers has.
    fn told(&self) -> impl Iterator<Item = (&'static str, String)> {
        let observe = self.observe_until.map(|until| ("SHEKARA_OBSERVE_UNTIL", until.to_string()));
        let endpoints: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        let user = self.by_user.then(|| ("SHEKARA_USER", USER.to_string()));
        observe.into_iter().chain(user).chain([("SHEKARA_UDP", endpoints.join(","))])
    }

    fn environment(&self) -> [(&'static str, String); 11] {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        [
            ("SHEKARA_POLICY_API", format!("{POLICY_API_NAME}:{}", policy_api::PORT)),
            ("SHEKARA_POLICY_CA", authority().pem.clone()),
            ("SHEKARA_ROOT", signing::root().public().fingerprint().to_string()),
            ("SHEKARA_NAMESPACE_UID", signing::NAMESPACE_UID.to_owned()),
            ("SHEKARA_DOCUMENTS", self.stamps.clone()),
            ("SHEKARA_FILES", path("policy")),
            ("SHEKARA_RESOLVERS", format!("{RESOLVER}:53")),
            ("SHEKARA_TOKEN", path("token")),
            ("SHEKARA_GEO", path("geo")),
            ("SHEKARA_POD", "city/faces-1".to_owned()),
            ("SHEKARA_LOG", "info".to_owned()),
        ]
    }

    /// Waits until the startup probe succeeds.
    pub(crate) async fn ready(&self) {
        let ready = async {
            while !self.sidecar_command(self.proxy(), "ready").await.ok {
                assert!(self.sidecar().is_running(), "the sidecar has ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("the sidecar to be ready", ready).await;
    }

    /// Waits until the proxy answers, ready or not.
    pub(crate) async fn live(&self) {
        let live = async {
            while !self.curl(&["http://127.0.0.1:15020/live"]).await.ok {
                assert!(self.sidecar().is_running(), "the sidecar has ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("the sidecar to live", live).await;
    }

    /// Waits until the proxy has said this.
    pub(crate) async fn said(&self, words: &str) {
        let said = async {
            while !self.sidecar().said().contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(words, said).await;
    }

    /// Runs a command of the sidecar's program to its end.
    pub(crate) async fn sidecar_command(&self, actor: Actor, command: &str) -> Said {
        client::run(actor.command(&self.pod, &self.program()).arg(command).envs(self.told())).await
    }

    /// Runs a program in the pod to its end.
    pub(crate) async fn command(&self, actor: Actor, program: &str, arguments: &[&str]) -> Said {
        client::run(actor.command(&self.pod, program).args(arguments)).await
    }

    /// curl in an application's container.
    pub(crate) async fn curl(&self, arguments: &[&str]) -> Said {
        self.curl_as(Actor::App, arguments).await
    }

    /// curl as somebody.
    pub(crate) async fn curl_as(&self, actor: Actor, arguments: &[&str]) -> Said {
        let authority = self.path("authority.pem");
        let mut command = actor.command(&self.pod, "curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "10", "--noproxy", "*", "--cacert"]).arg(authority);
        client::run(command.args(arguments)).await
    }

    /// A TCP connection of the pod, as any program there can open it.
    pub(crate) async fn dial(&self, to: &str, port: u16) -> io::Result<TcpStream> {
        let to = SocketAddr::new(to.parse().unwrap(), port);
        let socket = self.pod.inside(|| Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap());
        socket.set_nonblocking(true).unwrap();
        within("a connection", TcpSocket::from_std_stream(socket.into()).connect(to)).await
    }

    /// The same where the sidecar may refuse at once: none if the connection is reset before its client has seen that it was there.
    pub(crate) async fn dial_unless_reset(&self, to: &str, port: u16) -> Option<TcpStream> {
        match self.dial(to, port).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            dialled => Some(dialled.unwrap()),
        }
    }

    /// A TCP connection of the world to a port of the pod, from one of its addresses.
    pub(crate) async fn visit(&self, from: &str, port: u16) -> io::Result<TcpStream> {
        let from: IpAddr = from.parse().unwrap();
        let to = SocketAddr::new(POD[usize::from(from.is_ipv6())].parse().unwrap(), port);
        let socket = self.world.inside(|| Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap());
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.set_nonblocking(true).unwrap();
        within("a connection", TcpSocket::from_std_stream(socket.into()).connect(to)).await
    }

    /// The same where it reaches the application: the client's end, and the application's with the client's address as it sees it.
    pub(crate) async fn let_in(&self, from: &str, server: &TcpListener, port: u16) -> (TcpStream, (TcpStream, SocketAddr)) {
        let reached = async { tokio::try_join!(self.visit(from, port), server.accept()) };
        within("the application to be reached", reached).await.unwrap_or_else(|error| panic!("{from} was not let in: {error}"))
    }

    /// A server of the pod at this port, in each family.
    pub(crate) fn servers(&self, port: u16) -> [TcpListener; 2] {
        POD.map(|address| {
            let listener = self.pod.inside(|| std::net::TcpListener::bind((address, port)).unwrap());
            world::listen(listener)
        })
    }

    /// A UDP socket of the pod.
    pub(crate) fn datagrams(&self, to: SocketAddr) -> UdpSocket {
        let any = if to.is_ipv4() { POD[0] } else { POD[1] };
        let socket = self.pod.inside(|| std::net::UdpSocket::bind((any, 0)).unwrap());
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket).unwrap()
    }

    /// Whether a packet like this has arrived in the world so far.
    pub(crate) async fn arrived(&self, like: impl Fn(&Packet) -> bool) -> bool {
        self.sniffer.has_seen(&self.pod, like).await
    }

    /// Whether anything has arrived so far that was meant for this address.
    pub(crate) async fn reached(&self, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        self.sniffer.has_seen_any_to(&self.pod, address).await
    }

    /// Waits for a record like this.
    pub(crate) async fn record(&self, like: impl Fn(&FlowRecord) -> bool) -> FlowRecord {
        self.sidecar().record(like).await
    }

    /// Waits for a checkpoint like this.
    pub(crate) async fn checkpoint(&self, like: impl Fn(&Checkpoint) -> bool) -> Checkpoint {
        self.api().checkpoint(like).await
    }

    /// The proxy, which must have been started.
    pub(crate) fn sidecar(&self) -> &Sidecar {
        self.sidecar.as_ref().unwrap()
    }

    /// The policy API, which must have been started.
    pub(crate) fn api(&self) -> &PolicyApi {
        self.api.as_ref().unwrap()
    }

    /// A file of this place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file of the holding `faces`, as the kubelet does after the ConfigMap has changed.
    pub(crate) fn file(&self, text: &[u8]) {
        fs::write(self.path("policy/faces.json"), text).unwrap();
    }

    fn program(&self) -> String {
        self.path("shekara-sidecar").to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.sidecar.as_ref().map(Sidecar::said).unwrap_or_default();
            eprintln!("the sidecar said:\n{said}arrived in the world:\n{}", self.sniffer.summary());
        }
    }
}

/// The files of the containers, readable for every user as those of an image.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix(&namespace::prefix()).tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_shekara-sidecar"));
    let program = folder.path().join("shekara-sidecar");
    // The folder of the build may be closed to other users, and on another file system.
    if fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).unwrap();
    }
    // under this name it is a plugin of the node
    fs::hard_link(&program, folder.path().join("shekara")).unwrap();
    fs::create_dir(folder.path().join("geo")).unwrap();
    fs::create_dir(folder.path().join("policy")).unwrap();
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    fs::write(folder.path().join("authority.pem"), &authority().pem).unwrap();
    folder
}

/// Lays the cable, gives both ends their addresses and routes, and waits until both speak to their neighbours.
fn join(pod: &Namespace, world: &Namespace) {
    for namespace in [pod, world] {
        // nobody else can have an address here: nobody is asked
        namespace.inside(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
    }
    ip(&["link", "add", "name", "eth0", "netns", &pod.name, "type", "veth", "peer", "name", "pod0", "netns", &world.name]);
    let batch = |namespace: &Namespace, lines: Vec<String>| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), lines.join("\n")).unwrap();
        ip(&["-n", &namespace.name, "-batch", file.path().to_str().unwrap()]);
    };
    let [pod_v4, pod_v6] = POD;
    let [gateway_v4, gateway_v6] = GATEWAY;
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("address add {gateway_v4}/24 dev pod0"),
        format!("address add {gateway_v6}/64 dev pod0"),
        "link set pod0 up".to_owned(),
    ];
    lines.extend(world::addresses().iter().map(|address| match address {
        IpAddr::V4(v4) => format!("address add {v4}/32 dev lo"),
        IpAddr::V6(v6) => format!("address add {v6}/128 dev lo"),
    }));
    batch(world, lines);
    batch(
        pod,
        vec![
            "link set lo up".to_owned(),
            format!("link set eth0 address {}", POD_HARDWARE.map(|byte| format!("{byte:02x}")).join(":")),
            format!("address add {pod_v4}/24 dev eth0"),
            format!("address add {pod_v6}/64 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("route add default via {gateway_v4}"),
            format!("route add ::/0 via {gateway_v6}"),
        ],
    );
    // As container runtimes leave it: any user may have a ping socket.
    pod.inside(|| fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap());
    for namespace in [pod, world] {
        wait::until("an address of the link, without which nobody is asked for his hardware address", || {
            namespace.has_link_address()
        });
    }
}
