//! What the command line of `exec` changes in the container's `process`.
//!
//! Pure. The result goes through the same checks as any other `process`.

use crate::spec::Process;

/// The options of `exec` about the process.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The command; replaces `args`.
    pub args: Vec<String>,
    /// `--cwd`.
    pub cwd: Option<String>,
    /// `--env`: appended, so that they win.
    pub env: Vec<String>,
    /// `--tty`: a terminal is only made when asked for, whatever the container's process has.
    pub terminal: bool,
    /// `--user`: uid, and gid unless the container's is to be kept.
    pub user: Option<(u32, Option<u32>)>,
    /// `--additional-gids`: appended.
    pub additional_gids: Vec<u32>,
    /// `--process-label`.
    pub selinux_label: Option<String>,
    /// `--apparmor`.
    pub apparmor_profile: Option<String>,
    /// `--no-new-privs`, if given.
    pub no_new_privileges: Option<bool>,
    /// `--cap`: added.
    pub capabilities: Vec<String>,
}

impl Overrides {
    /// The process to run: the container's with these changes.
    pub fn apply(self, mut process: Process) -> Process {
        process.args = self.args;
        process.terminal = self.terminal;
        process.env.extend(self.env);
        if let Some(cwd) = self.cwd {
            process.cwd = cwd;
        }
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend(self.additional_gids);
        if let Some(label) = self.selinux_label {
            process.selinux_label = label;
        }
        if let Some(profile) = self.apparmor_profile {
            process.apparmor_profile = profile;
        }
        if let Some(on) = self.no_new_privileges {
            process.no_new_privileges = on;
        }
        if !self.capabilities.is_empty() {
            let sets = process.capabilities.get_or_insert_default();
            sets.bounding.extend_from_slice(&self.capabilities);
            sets.effective.extend_from_slice(&self.capabilities);
            sets.permitted.extend_from_slice(&self.capabilities);
            // Never inheritable (CVE-2022-29162); ambient would be refused without inheritable.
            if !sets.inheritable.is_empty() {
                sets.ambient.extend(self.capabilities);
            }
        }
        process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::config::Capabilities;

    fn container() -> Process {
        let mut process = Process {
            args: vec!["init".into()],
            cwd: "/srv".into(),
            env: vec!["A=1".into()],
            terminal: true,
            no_new_privileges: true,
            apparmor_profile: "box".into(),
            ..Process::default()
        };
        process.user.gid = 7;
        process.user.additional_gids = vec![8];
        process
    }

    #[test]
    fn what_is_not_given_stays() {
        let process =
            Overrides { args: vec!["sh".into()], ..Overrides::default() }.apply(container());
        assert_eq!((process.args, process.cwd.as_str()), (vec!["sh".into()], "/srv"));
        assert!(!process.terminal && process.no_new_privileges);
        assert_eq!((process.user.gid, process.user.additional_gids), (7, vec![8]));
        assert_eq!((process.env, process.apparmor_profile), (vec!["A=1".into()], "box".into()));
        assert!(process.capabilities.is_none());
    }

    #[test]
    fn what_is_given_wins_or_adds() {
        let process = Overrides {
            cwd: Some("/".into()),
            env: vec!["A=2".into()],
            terminal: true,
            user: Some((5, None)),
            additional_gids: vec![9],
            selinux_label: Some("label".into()),
            apparmor_profile: Some("other".into()),
            no_new_privileges: Some(false),
            ..Overrides::default()
        }
        .apply(container());
        assert_eq!((process.cwd.as_str(), process.env), ("/", vec!["A=1".into(), "A=2".into()]));
        assert!(process.terminal && !process.no_new_privileges);
        assert_eq!((process.user.uid, process.user.gid), (5, 7));
        assert_eq!(process.user.additional_gids, [8, 9]);
        assert_eq!(
            (process.selinux_label, process.apparmor_profile),
            ("label".into(), "other".into())
        );
        let user = Overrides { user: Some((5, Some(6))), ..Overrides::default() };
        assert_eq!(user.apply(container()).user.gid, 6);
    }

    #[test]
    fn capabilities_are_never_made_inheritable() {
        let added = |inheritable: &[&str]| {
            let mut process = container();
            let inheritable = inheritable.iter().map(|name| (*name).to_owned()).collect();
            process.capabilities = Some(Capabilities { inheritable, ..Capabilities::default() });
            let overrides =
                Overrides { capabilities: vec!["CAP_KILL".into()], ..Overrides::default() };
            overrides.apply(process).capabilities.unwrap()
        };
        let sets = added(&[]);
        assert_eq!((&sets.bounding, &sets.effective), (&sets.permitted, &sets.permitted));
        assert_eq!(sets.permitted, ["CAP_KILL"]);
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
        let sets = added(&["CAP_CHOWN"]);
        assert_eq!(
            (sets.inheritable, sets.ambient),
            (vec!["CAP_CHOWN".into()], vec!["CAP_KILL".into()])
        );
    }
}
