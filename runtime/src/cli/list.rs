//! `hull list`.

use super::args::{Format, ListArgs};
use super::exit_code::ExitCode;
use super::global::Global;
use super::print;
use super::state::View;
use crate::container::Store;
use crate::container::summary::Summary;
use crate::error::{Error, Result};
use crate::log;
use nix::errno::Errno;
use std::collections::BTreeMap;

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &ListArgs) -> Result<ExitCode> {
    let mut views = Vec::new();
    let mut owners = BTreeMap::new();
    let store = match Store::open(&global.root) {
        // Nothing was ever made there; only a directory that was asked for has to exist.
        Err(error) if error.errno() == Some(Errno::ENOENT) && !global.root_given => None,
        other => Some(other?),
    };
    if let Some(store) = store {
        for id in store.ids()? {
            match view(&store, &id, &mut owners) {
                Ok(view) => views.push(view),
                // One damaged entry must not hide the others.
                Err(error) => log::error(format_args!("load container {id}: {error}")),
            }
        }
    }
    print(&render(&views, args)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is to be seen of container `id`: from its summary, or else from its state.
fn view(store: &Store, id: &str, owners: &mut BTreeMap<u32, String>) -> Result<View> {
    let mut name = |uid| owners.entry(uid).or_insert_with(|| owner(uid)).clone();
    let text = store.summary(id);
    if let Some(summary) = text.as_deref().and_then(Summary::parse)
        && let Some(view) = View::brief(id, &summary, name(summary.owner))?
    {
        return Ok(view);
    }
    let found = store.load(id)?;
    let owner = name(found.slot.owner()?);
    View::of(&found, owner)
}

/// The list as the arguments want it, with its last newline.
pub fn render(views: &[View], args: &ListArgs) -> Result<String> {
    if args.quiet {
        return Ok(views.iter().flat_map(|view| [view.id.as_str(), "\n"]).collect());
    }
    match args.format {
        Format::Table => Ok(table(views)),
        // What Go's encoder makes of an empty slice; callers compare with it.
        Format::Json if views.is_empty() => Ok("null\n".into()),
        Format::Json => serde_json::to_string(views)
            .map(|text| text + "\n")
            .map_err(|error| Error::config(error.to_string())),
    }
}

/// Columns at least 12 wide with 3 blanks between them, the last one ragged.
fn table(views: &[View]) -> String {
    let pids: Vec<String> = views.iter().map(|view| view.pid.to_string()).collect();
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]];
    rows.extend(views.iter().zip(&pids).map(|(view, pid)| {
        [&*view.id, pid, view.status, &view.bundle, &view.created, &view.owner]
    }));
    let mut widths = [12; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (cell.chars().count() + 3).max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let (last, cells) = row.split_last().map_or(("", &row[..0]), |(l, c)| (*l, c));
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        out.push_str(last);
        out.push('\n');
    }
    out
}

/// The owner of a slot: the user's name, or `#` and the number of a user without one.
pub fn owner(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => format!("#{uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::view;
    use super::*;

    fn args(format: Format, quiet: bool) -> ListArgs {
        ListArgs { format, quiet }
    }

    fn views() -> [View; 2] {
        let owned = View { owner: "root".into(), ..view() };
        let long = View {
            id: "a-rather-long-container-id".into(),
            pid: 0,
            status: "stopped",
            owner: "#77".into(),
            ..view()
        };
        [owned, long]
    }

    #[test]
    fn table_of_two() {
        assert_eq!(
            render(&views(), &args(Format::Table, false)).unwrap(),
            "\
ID                           PID         STATUS      BUNDLE      CREATED                   OWNER
web                          4242        running     /b          2026-11-23T16:01:02.12Z   root
a-rather-long-container-id   0           stopped     /b          2026-11-23T16:01:02.12Z   #77
"
        );
    }

    #[test]
    fn empty_lists() {
        assert_eq!(
            render(&[], &args(Format::Table, false)).unwrap(),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(render(&[], &args(Format::Json, false)).unwrap(), "null\n");
        assert_eq!(render(&[], &args(Format::Json, true)).unwrap(), "");
    }

    #[test]
    fn json_is_one_line() {
        let [first, _] = views();
        assert_eq!(
            render(&[first], &args(Format::Json, false)).unwrap(),
            "[{\"ociVersion\":\"1.3.0\",\"id\":\"web\",\"pid\":4242,\"status\":\"running\",\
             \"bundle\":\"/b\",\"rootfs\":\"/b/rootfs\",\"created\":\"2026-11-23T16:01:02.12Z\",\
             \"owner\":\"root\"}]\n"
        );
    }

    #[test]
    fn quiet_wins_over_the_format() {
        let text = render(&views(), &args(Format::Json, true)).unwrap();
        assert_eq!(text, "web\na-rather-long-container-id\n");
    }

    #[test]
    fn owners() {
        assert_eq!(owner(0), "root");
        assert_eq!(owner(4_000_000_123), "#4000000123");
    }
}
