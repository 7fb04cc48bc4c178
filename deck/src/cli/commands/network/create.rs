//! `network create`.

use super::made;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::options::{Part, put};
use crate::cli::parse::env;
use crate::cli::session::Session;
use clap::{ArgAction, Args};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Options of `network create`.
#[derive(Args)]
pub struct Create {
    /// Containers may be connected by hand (swarm)
    #[arg(long)]
    attachable: bool,
    /// Further address of the network's driver: NAME=IP
    #[arg(long, value_name = "ADDRESS")]
    aux_address: Vec<String>,
    /// Driver
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Gateway of a subnet
    #[arg(long, value_name = "IP")]
    gateway: Vec<IpAddr>,
    /// No way out
    #[arg(long)]
    internal: bool,
    /// Part of a subnet containers get addresses from
    #[arg(long, value_name = "CIDR")]
    ip_range: Vec<IpNet>,
    /// Driver that gives addresses
    #[arg(long, value_name = "DRIVER", default_value = "default")]
    ipam_driver: String,
    /// Option of that driver: NAME=VALUE
    #[arg(long, value_name = "OPTION")]
    ipam_opt: Vec<String>,
    /// Give IPv4 addresses
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    ipv4: Option<bool>,
    /// Give IPv6 addresses
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    ipv6: Option<bool>,
    /// Label: NAME=VALUE
    #[arg(long)]
    label: Vec<String>,
    /// Option of the driver: NAME=VALUE
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// Subnet
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<IpNet>,
    /// Name
    name: String,
}

/// Runs `network create`.
pub async fn create(session: &Session, args: Create) -> Outcome {
    let mut ipam = Part::new();
    put(&mut ipam, "Driver", args.ipam_driver.clone());
    put(&mut ipam, "Config", pools(&args).map_err(Failure::new)?);
    put(&mut ipam, "Options", json!(env::map(&args.ipam_opt)));
    let mut body = Part::new();
    put(&mut body, "Name", args.name);
    put(&mut body, "Driver", args.driver);
    put(&mut body, "Attachable", args.attachable);
    put(&mut body, "Internal", args.internal);
    put(&mut body, "IPAM", ipam);
    put(&mut body, "Labels", json!(env::map(&args.label)));
    put(&mut body, "Options", json!(env::map(&args.opt)));
    // Engines before API 1.44 need it said.
    body.insert("CheckDuplicate".into(), true.into());
    for (name, value) in [("EnableIPv4", args.ipv4), ("EnableIPv6", args.ipv6)] {
        if let Some(value) = value {
            body.insert(name.into(), value.into());
        }
    }
    made(&session.client.json(Call::post("/networks/create").json(&body.into())).await?)
}

/// One pool for each subnet, with the range, gateway and addresses that lie in it.
fn pools(args: &Create) -> Result<Vec<Value>, String> {
    let mut pools: Vec<(IpNet, Part)> = Vec::new();
    for subnet in &args.subnet {
        if pools.iter().any(|(known, _)| known.contains(subnet) || subnet.contains(known)) {
            return Err("multiple overlapping subnet configuration is not supported".into());
        }
        let mut pool = Part::new();
        put(&mut pool, "Subnet", subnet.to_string());
        pools.push((*subnet, pool));
    }
    let mut place = |what: &str, key: &str, ip: IpAddr, value: Value| {
        let found = pools.iter_mut().find(|(subnet, _)| subnet.contains(&ip));
        let (_, pool) = found.ok_or_else(|| format!("no matching subnet for {what} {ip}"))?;
        match pool.insert(key.into(), value) {
            None => Ok(()),
            Some(_) => Err(format!("cannot configure multiple {what}s on the same subnet")),
        }
    };
    for range in &args.ip_range {
        place("range", "IPRange", range.addr(), range.to_string().into())?;
    }
    for gateway in &args.gateway {
        place("gateway", "Gateway", *gateway, gateway.to_string().into())?;
    }
    let mut auxiliary: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for text in &args.aux_address {
        let address = text.split_once('=').and_then(|(name, ip)| Some((name, ip.parse().ok()?)));
        let (name, ip) = address.ok_or_else(|| format!("invalid aux-address: {text}"))?;
        auxiliary.insert(ip, name);
    }
    for (ip, name) in auxiliary {
        let found = pools.iter_mut().find(|(subnet, _)| subnet.contains(&ip));
        let (_, pool) = found.ok_or_else(|| format!("no matching subnet for aux-address {ip}"))?;
        let map = pool.entry("AuxiliaryAddresses").or_insert_with(|| json!({}));
        map[name] = ip.to_string().into();
    }
    Ok(pools.into_iter().map(|(_, pool)| pool.into()).collect())
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

    fn made(line: &str) -> Result<Vec<Value>, String> {
        let line = Line::try_parse_from(std::iter::once("x").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())?;
        pools(&line.create)
    }

    #[test]
    fn each_goes_to_its_subnet() {
        assert_eq!(
            made(
                "--subnet 10.1.0.0/24 --subnet fd00::/64 --gateway fd00::1 --gateway 10.1.0.1 \
                 --ip-range 10.1.0.128/25 --aux-address a=10.1.0.9 n"
            )
            .unwrap(),
            [
                json!({"Subnet": "10.1.0.0/24", "IPRange": "10.1.0.128/25", "Gateway": "10.1.0.1",
                       "AuxiliaryAddresses": {"a": "10.1.0.9"}}),
                json!({"Subnet": "fd00::/64", "Gateway": "fd00::1"})
            ]
        );
        assert!(made("n").unwrap().is_empty());
    }

    #[test]
    fn contradictions() {
        for line in [
            "--gateway 10.0.0.1 n",
            "--subnet 10.1.0.0/24 --subnet 10.1.0.0/25 n",
            "--subnet 10.1.0.0/24 --gateway 10.1.0.1 --gateway 10.1.0.2 n",
            "--subnet x n",
            "--subnet 10.1.0.0/24 --aux-address 10.1.0.2 n",
        ] {
            assert!(made(line).is_err(), "{line}");
        }
    }
}
