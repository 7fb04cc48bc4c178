//! All options of `run` and `create` together, and the request they make.

use super::health::Health;
use super::isolation::Isolation;
use super::network::Networking;
use super::process::Process;
use super::resources::Resources;
use super::storage::Storage;
use super::{Part, put};
use crate::cli::parse::network::restart;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What `run` and `create` share.
#[derive(Args)]
pub struct Create {
    /// Connect the container's standard streams: stdin, stdout, stderr
    #[arg(short = 'a', long, value_name = "STREAM")]
    pub attach: Vec<String>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// GPUs: not supported
    #[arg(long, hide = true)]
    pub gpus: Option<String>,
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Name of the container
    #[arg(long)]
    pub name: Option<String>,
    /// Platform of the image: OS[/ARCH[/VARIANT]]
    #[arg(long)]
    pub platform: Option<String>,
    /// Pull the image: always, missing or never
    #[arg(long, default_value = "missing", value_parser = ["always", "missing", "never"])]
    pub pull: String,
    /// Don't show the pull
    #[arg(short, long)]
    pub quiet: bool,
    /// When to start the container again: no, on-failure[:COUNT], always, unless-stopped
    #[arg(long, default_value = "no", value_parser = restart, value_name = "POLICY")]
    pub restart: Value,
    /// Remove the container and its anonymous volumes when it ends
    #[arg(long)]
    pub rm: bool,
    /// OCI runtime
    #[arg(long)]
    pub runtime: Option<String>,
    /// Give the container a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Write logs with this driver
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Option of the log driver: NAME=VALUE
    #[arg(long, value_name = "OPTION")]
    pub log_opt: Vec<String>,
    #[command(flatten)]
    pub process: Process,
    #[command(flatten)]
    pub isolation: Isolation,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub networking: Networking,
    #[command(flatten)]
    pub storage: Storage,
    #[command(flatten)]
    pub health: Health,
    /// Image, then the command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE [COMMAND] [ARG]")]
    pub image_and_command: Vec<String>,
}

/// Which streams a client of the container takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// Its input is sent.
    pub stdin: bool,
    /// The container's output is shown.
    pub stdout: bool,
    /// The container's errors are shown.
    pub stderr: bool,
}

impl Create {
    /// The image's name.
    pub fn image(&self) -> &str {
        self.image_and_command.first().map_or("", String::as_str)
    }

    /// Which streams are attached: those of `-a`, else output and errors, and input with `-i`.
    ///
    /// # Errors
    /// `-a` names no stream.
    pub fn attached(&self, detach: bool) -> Result<Attached, String> {
        let mut attached = Attached { stdin: false, stdout: false, stderr: false };
        for name in &self.attach {
            match name.to_lowercase().as_str() {
                "stdin" => attached.stdin = true,
                "stdout" => attached.stdout = true,
                "stderr" => attached.stderr = true,
                _ => return Err(format!("valid streams are STDIN, STDOUT and STDERR: {name}")),
            }
        }
        if self.attach.is_empty() && !detach {
            attached = Attached { stdin: self.interactive, stdout: true, stderr: true };
        }
        Ok(attached)
    }

    /// The body of `POST /containers/create`.
    ///
    /// # Errors
    /// Options contradict each other or can't be meant; a file they name can't be read.
    pub fn body(&self, attached: Attached, api: (u32, u32)) -> Result<Value, String> {
        self.check()?;
        let mut config = Part::new();
        let mut host = Part::new();
        put(&mut config, "Image", self.image());
        put(&mut config, "Cmd", self.image_and_command.get(1..).unwrap_or_default());
        put(&mut config, "Tty", self.tty);
        put(&mut config, "OpenStdin", self.interactive);
        put(&mut config, "StdinOnce", self.interactive && attached.stdin);
        put(&mut config, "AttachStdin", attached.stdin);
        put(&mut config, "AttachStdout", attached.stdout);
        put(&mut config, "AttachStderr", attached.stderr);
        put(&mut host, "AutoRemove", self.rm);
        put(&mut host, "Runtime", self.runtime.clone());
        put(&mut host, "RestartPolicy", self.restart.clone());
        if let Some(path) = &self.cidfile {
            put(&mut host, "ContainerIDFile", path.to_string_lossy());
        }
        if self.log_driver.is_some() || !self.log_opt.is_empty() {
            let options = crate::cli::parse::env::map(&self.log_opt);
            let driver = self.log_driver.as_deref().unwrap_or("");
            put(&mut host, "LogConfig", json!({"Type": driver, "Config": options}));
        }
        self.process.fill(&mut config, &mut host)?;
        self.isolation.fill(&mut host)?;
        self.resources.fill(&mut host);
        self.storage.fill(&mut config, &mut host)?;
        self.health.fill(&mut config)?;
        let networks = self.networking.fill(&mut config, &mut host, api)?;
        config.insert("HostConfig".into(), host.into());
        config.insert("NetworkingConfig".into(), json!({"EndpointsConfig": networks}));
        Ok(config.into())
    }

    fn check(&self) -> Result<(), String> {
        if self.gpus.is_some() {
            return Err("--gpus is not supported: pass the devices with --device".into());
        }
        if self.rm && !matches!(self.restart.get("Name").and_then(Value::as_str), Some("no" | "")) {
            return Err("conflicting options: cannot specify both --restart and --rm".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn body(line: &str) -> Result<Value, String> {
        let line = Line::try_parse_from(std::iter::once("x").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())?;
        let attached = line.create.attached(false)?;
        line.create.body(attached, (1, 51))
    }

    fn host(line: &str) -> Value {
        body(line).unwrap()["HostConfig"].clone()
    }

    #[test]
    fn the_least() {
        assert_eq!(
            body("busybox").unwrap(),
            json!({
                "Image": "busybox", "AttachStdout": true, "AttachStderr": true,
                "HostConfig": {"NetworkMode": "default",
                               "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
                "NetworkingConfig": {"EndpointsConfig": {}}
            })
        );
    }

    #[test]
    fn streams() {
        let body = body("-it x sh -c -v").unwrap();
        assert_eq!(body["Cmd"], json!(["sh", "-c", "-v"]));
        for member in ["Tty", "OpenStdin", "StdinOnce", "AttachStdin"] {
            assert_eq!(body[member], json!(true), "{member}");
        }
    }

    #[test]
    fn resources() {
        let host = host(
            "-m 64m --memory-swap -1 --cpus 1.5 --pids-limit 7 --ulimit nofile=1:2 -c 512 \
             --cpuset-cpus 0-1 --shm-size 1m --oom-score-adj -5 x",
        );
        assert_eq!(host["Memory"], 64 << 20);
        assert_eq!(host["MemorySwap"], -1);
        assert_eq!(host["NanoCpus"], 1_500_000_000_u64);
        assert_eq!(host["PidsLimit"], 7);
        assert_eq!(host["Ulimits"][0]["Hard"], 2);
        assert_eq!(host["CpuShares"], 512);
        assert_eq!(host["ShmSize"], 1 << 20);
        assert_eq!(host["OomScoreAdj"], -5);
    }

    #[test]
    fn networks() {
        let whole = body("--network n --ip 10.0.0.2 --network-alias a -p 81:80 x").unwrap();
        let host = &whole["HostConfig"];
        assert_eq!(host["NetworkMode"], "n");
        assert_eq!(host["PortBindings"]["80/tcp"], json!([{"HostIp": "", "HostPort": "81"}]));
        assert_eq!(whole["ExposedPorts"], json!({"80/tcp": {}}));
        assert_eq!(
            whole["NetworkingConfig"]["EndpointsConfig"]["n"],
            json!({"IPAMConfig": {"IPv4Address": "10.0.0.2"}, "Aliases": ["a"]})
        );
        let two = body("--network name=a,alias=x --network b x").unwrap();
        assert_eq!(two["NetworkingConfig"]["EndpointsConfig"]["a"], json!({"Aliases": ["x"]}));
        assert_eq!(two["NetworkingConfig"]["EndpointsConfig"]["b"], json!({}));
    }

    #[test]
    fn storage_and_security() {
        let body = body(
            "-v vol:/a:ro -v /b --mount type=tmpfs,target=/c --tmpfs /d:size=1m --read-only \
             --cap-drop ALL --security-opt no-new-privileges --device /dev/fuse x",
        )
        .unwrap();
        let host = &body["HostConfig"];
        assert_eq!(host["Binds"], json!(["vol:/a:ro"]));
        assert_eq!(body["Volumes"], json!({"/b": {}}));
        assert_eq!(host["Mounts"], json!([{"Type": "tmpfs", "Target": "/c"}]));
        assert_eq!(host["Tmpfs"], json!({"/d": "size=1m"}));
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["Devices"][0]["PathOnHost"], "/dev/fuse");
    }

    #[test]
    fn process_and_health() {
        let body = body(
            "-e A=1 -l b=c -w /w -u 1:2 -h ship --entrypoint sh --stop-timeout 3 --init \
             --health-cmd true --health-interval 2s --health-retries 4 x",
        )
        .unwrap();
        assert_eq!(body["Env"], json!(["A=1"]));
        assert_eq!(body["Labels"], json!({"b": "c"}));
        assert_eq!(body["Entrypoint"], json!(["sh"]));
        assert_eq!(body["StopTimeout"], 3);
        assert_eq!(body["HostConfig"]["Init"], true);
        assert_eq!(
            body["Healthcheck"],
            json!({"Test": ["CMD-SHELL", "true"], "Interval": 2_000_000_000_u64, "Retries": 4})
        );
    }

    #[test]
    fn contradictions() {
        for line in [
            "--rm --restart always x",
            "--gpus all x",
            "-a stdfoo x",
            "--no-healthcheck --health-cmd true x",
            "--network host --network n x",
            "--network host --ip 1.2.3.4 --network-alias a x --pull sometimes",
            "-p x:y:z x",
            "--security-opt seccomp=/no/such/file x",
            "--pid nonsense x",
            "--memory-swappiness 101 x",
            "--volumes-from a:xx x",
        ] {
            let refused = body(line).is_err() || line.contains("x --pull");
            assert!(refused, "{line}");
        }
        assert!(body("--restart sometimes x").unwrap_err().contains("invalid restart policy"));
    }
}
