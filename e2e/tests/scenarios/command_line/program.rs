//! The program `kubectl-shekara`, as it was built beside the scenarios.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shekara_e2e::cluster::program;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The exit codes.
pub(crate) const ALLOWED: i32 = 0;
pub(crate) const DENIED: i32 = 1;
pub(crate) const ERROR: i32 = 2;

/// The program, asked about one namespace.
pub(crate) struct Program {
    path: PathBuf,
    namespace: String,
    kubeconfig: Option<PathBuf>,
}

impl Program {
    /// Finds it in the folder above that of the scenarios, where cargo puts programs.
    pub(crate) fn find(namespace: &str) -> Result<Self> {
        let scenarios = std::env::current_exe().context("the scenarios do not know where they are")?;
        let folder = scenarios.parent().and_then(|folder| folder.parent()).context("the scenarios are in no folder")?;
        let path = folder.join("kubectl-shekara");
        anyhow::ensure!(path.is_file(), "{} is not built: `cargo build --bin kubectl-shekara` does", path.display());
        Ok(Self { path, namespace: namespace.to_owned(), kubeconfig: None })
    }

    /// Runs it to its end: its exit code, and what it wrote.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<(i32, String)> {
        self.ended(Command::new(&self.path), arguments).await
    }

    /// The same by kubectl.
    pub(crate) async fn plugin(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let folder = self.path.parent().context("the program is in no folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("shekara").env("PATH", format!("{}:{path}", folder.display()));
        self.ended(kubectl, arguments).await
    }

    async fn ended(&self, mut command: Command, arguments: &[&str]) -> Result<(i32, String)> {
        command.args(arguments).args(["--namespace", &self.namespace]);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Runs it for an answer in JSON.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Result<(i32, Value)> {
        let (code, said) = self.run(&[arguments, &["--output", "json"]].concat()).await?;
        let answer = serde_json::from_str(&said).with_context(|| format!("{arguments:?} ended with {code}: {said}"))?;
        Ok((code, answer))
    }

    /// Runs it with something on standard input, for what it writes to standard output.
    pub(crate) async fn fed(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.path);
        command.args(arguments).args(["--namespace", &self.namespace]);
        let (code, said) = fed(command, input).await?;
        anyhow::ensure!(code == ALLOWED, "{arguments:?} ended with {code}: {said}");
        Ok(said)
    }

    /// The program as a service account of the namespace runs it, with a role in the whole cluster, or without rights.
    pub(crate) async fn bound(&self, account: &str, role: Option<&str>) -> Result<Self> {
        let namespace = &self.namespace;
        program("kubectl", &["create", "serviceaccount", account, "-n", namespace]).await?;
        if let Some(role) = role {
            let (name, whom) = (format!("{namespace}-{account}"), format!("--serviceaccount={namespace}:{account}"));
            program("kubectl", &["create", "clusterrolebinding", &name, &format!("--clusterrole={role}"), &whom]).await?;
        }
        let token = program("kubectl", &["create", "token", account, "-n", namespace]).await?;
        let view = program("kubectl", &["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]).await?;
        let mut view: Value = serde_json::from_str(&view)?;
        let user = view.pointer_mut("/users/0/user").context("the kubeconfig has no user")?;
        *user = json!({"token": token.trim()});
        let file = std::env::temp_dir().join(format!("{namespace}-{account}.kubeconfig"));
        tokio::fs::write(&file, view.to_string()).await?;
        Ok(Self { path: self.path.clone(), namespace: namespace.clone(), kubeconfig: Some(file) })
    }

    /// Takes the role in the whole cluster away again.
    pub(crate) async fn unbind(&self, account: &str, namespace: &str) -> Result<()> {
        program("kubectl", &["delete", "clusterrolebinding", &format!("{namespace}-{account}")]).await.map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(kubeconfig) = &self.kubeconfig {
            // the token in it is of a service account that ends with its namespace
            std::fs::remove_file(kubeconfig).ok();
        }
    }
}

/// A part of an answer; null where there is none.
pub(crate) fn at<'a>(answer: &'a Value, pointer: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    answer.pointer(pointer).unwrap_or(NOTHING)
}

/// Runs a command with something on standard input.
pub(crate) async fn fed(mut command: Command, input: &str) -> Result<(i32, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("the command has no standard input")?;
    let feed = async move { stdin.write_all(input.as_bytes()).await };
    let (fed, output) = tokio::join!(feed, child.wait_with_output());
    let output = output?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    fed.with_context(|| said.clone())?;
    Ok((output.status.code().unwrap_or(-1), said))
}
