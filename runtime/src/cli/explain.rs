//! `hull explain`: what `create` would do, without doing it.

use super::args::{ExplainArgs, Format};
use super::exit_code::ExitCode;
use super::global::Global;
use super::{create, print};
use crate::cgroup::layout::Layout;
use crate::error::{Error, Kind, Result};
use crate::launch::{host_with, probe};
use crate::plan::explain::Explanation;
use crate::plan::{Options, Plan};
use crate::spec::check::problems_to_error;
use crate::spec::load::Bundle;
use crate::systemd::scope;
use std::path::Path;

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &ExplainArgs) -> Result<ExitCode> {
    let bundle = Bundle::open(args.bundle.as_deref().unwrap_or(Path::new(".")))?;
    let (host, doubt) = match probe(&bundle.spec) {
        Ok(host) => (host, None),
        // The rest of the plan does not depend on it.
        Err(error) if error.kind() == Kind::Unsupported => (
            host_with(Layout::usual()),
            Some(format!("{error}; the cgroups shown are those of a host with cgroup v2")),
        ),
        Err(error) => return Err(error),
    };
    let rootless = create::rootless(global);
    let facts = global.systemd_cgroup.then(|| scope::facts(rootless)).transpose()?;
    let options = Options {
        // The name of the bundle stands for the id, which only `create` is told.
        id: bundle.path.file_name().and_then(|name| name.to_str()).unwrap_or("container"),
        bundle: &bundle.path,
        no_pivot: false,
        keyring: true,
        rootless,
        systemd: facts.as_ref(),
    };
    let plan =
        Plan::new(&bundle.spec, &options, &host).map_err(|found| problems_to_error(&found))?;
    let mut explanation = Explanation::of(&plan, &bundle.spec);
    explanation.warnings.splice(0..0, doubt);
    match args.format {
        Format::Table => print(&explanation.to_string())?,
        Format::Json => {
            let json = serde_json::to_string_pretty(&explanation)
                .map_err(|error| Error::config(format!("explain: {error}")))?;
            print(&format!("{json}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
