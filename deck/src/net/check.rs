//! What on this host stands in the way of containers' packets: for `check`.

use std::fs;
use std::process::Command;

/// What an `accept` of deck's cannot overrule: base chains of others at the forward hook that drop
/// or reject. Each a line for the user: where it is, and how to mend it.
pub fn foreign_drops() -> Vec<String> {
    let mut found = Command::new("nft")
        .args(["-s", "list", "ruleset"])
        .output()
        .map(|output| nft_drops(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or_default();
    for family in ["ip", "ip6"] {
        // The file is there when the old tables are in use; reading it loads no module.
        let used = fs::read_to_string(format!("/proc/net/{family}_tables_names"));
        if !used.is_ok_and(|names| names.lines().any(|name| name == "filter")) {
            continue;
        }
        let program = if family == "ip" { "iptables-legacy" } else { "ip6tables-legacy" };
        let rules = Command::new(program).args(["-S", "FORWARD"]).output();
        if rules.is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "-P FORWARD DROP")
        }) {
            found.push(format!(
                "{program}: policy DROP of FORWARD drops containers' packets; \
                 allow the bridges: {program} -I FORWARD -i BRIDGE -j ACCEPT, and -o BRIDGE"
            ));
        }
    }
    found
}

/// The same in the text of `nft list ruleset`; pure.
fn nft_drops(ruleset: &str) -> Vec<String> {
    let (mut table, mut chain, mut forward) = (String::new(), String::new(), false);
    let mut found: Vec<String> = Vec::new();
    for line in ruleset.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("table ") {
            name.trim_end_matches(" {").clone_into(&mut table);
        } else if let Some(name) = line.strip_prefix("chain ") {
            name.trim_end_matches(" {").clone_into(&mut chain);
            forward = false;
        } else if line.starts_with("type filter hook forward") {
            forward = true;
            if table != "inet deck" && line.contains("policy drop") {
                found.push(advice(&table, &chain, "its policy is drop"));
            }
        } else if forward && table != "inet deck" && is_catch_all(line) {
            found.push(advice(&table, &chain, &format!("it ends with \"{line}\"")));
        }
    }
    found
}

/// firewalld and others keep the policy and reject in the last rule.
fn is_catch_all(line: &str) -> bool {
    line == "drop"
        || line == "reject"
        || line.starts_with("reject with")
        || line.starts_with("counter") && (line.ends_with(" drop") || line.contains(" reject"))
}

fn advice(table: &str, chain: &str, why: &str) -> String {
    let how = match table {
        "inet firewalld" => "firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE, then \
                             firewall-cmd --reload"
            .to_owned(),
        _ => format!(
            "nft insert rule {table} {chain} iifname BRIDGE accept, and oifname BRIDGE accept"
        ),
    };
    format!("nft: {table} {chain} drops containers' packets ({why}); allow the bridges: {how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_others_forward_chains_count() {
        let text = "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; \
                    policy drop;\n\t}\n\n\tchain FORWARD {\n\t\ttype filter hook forward priority \
                    filter; policy drop;\n\t}\n}\ntable inet deck {\n\tchain forward {\n\t\ttype \
                    filter hook forward priority filter; policy accept;\n\t\tdrop\n\t}\n}\n\
                    table inet firewalld {\n\tchain filter_FORWARD {\n\t\ttype filter hook forward \
                    priority filter + 10; policy accept;\n\t\tct state established accept\n\t\t\
                    reject with icmpx admin-prohibited\n\t}\n\tchain other {\n\t\tdrop\n\t}\n}\n";
        let found = nft_drops(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("nft: ip filter FORWARD drops") && found[0].contains("policy")
        );
        assert!(found[1].contains("inet firewalld filter_FORWARD") && found[1].contains("trusted"));
    }
}
