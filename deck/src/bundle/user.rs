//! Who a container's process runs as: names looked up in the image's own passwd and group.

use crate::error::{Error, Result};
use crate::image::apply::Root;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Resolved ids of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// The user's home in passwd.
    pub home: Option<String>,
}

/// Largest passwd or group read.
const MAX: u64 = 16 << 20;

/// Resolves `user[:group]` and further groups in the root file system at `root`.
///
/// # Errors
/// 400 for a name that is not there or an id out of range; 500 when passwd or group is no bounded
/// regular file inside the root.
pub fn resolve(root: &Path, user: &str, groups: &[String]) -> Result<Identity> {
    let root = Root::open(root)?;
    identity(&read(&root, "etc/passwd")?, &read(&root, "etc/group")?, user, groups)
}

/// A file of the image: absent is empty.
fn read(root: &Root, name: &str) -> Result<String> {
    let failed =
        |why: &dyn std::fmt::Display| Error::internal(format!("/{name} of the image: {why}"));
    let file = match root.open_file(Path::new(name)) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
        Err(Errno::EINVAL) => return Err(failed(&"not a regular file")),
        Err(errno) => return Err(failed(&errno)),
    };
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX {
        return Err(failed(&"larger than 16 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A line of passwd.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// A line of group: name, id, members.
fn entries(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// A number, strictly: 2^32-1 is no id, signs and blanks are no digits.
fn number(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(Error::invalid(format!("id {text} is out of range"))),
    }
}

/// The ids, as Docker finds them: a name before a number; a user's groups of the group file count
/// when no group is given.
fn identity(passwd: &str, group: &str, user: &str, groups: &[String]) -> Result<Identity> {
    let (name, given) = user.split_once(':').unwrap_or((user, ""));
    let name = if name.is_empty() { "0" } else { name };
    let id = number(name)?;
    let found = users(passwd)
        .find(|entry| entry.name == name)
        .or_else(|| users(passwd).find(|entry| Some(entry.uid) == id));
    let mut identity = match (&found, id) {
        (Some(entry), _) => Identity {
            uid: entry.uid,
            gid: entry.gid,
            groups: Vec::new(),
            home: Some(entry.home.to_owned()).filter(|home| !home.is_empty()),
        },
        (None, Some(uid)) => Identity { uid, ..Identity::default() },
        (None, None) => {
            let message = format!("unable to find user {name}: no matching entries in passwd file");
            return Err(Error::invalid(message));
        }
    };
    let mut more = BTreeSet::new();
    if given.is_empty() {
        if let Some(entry) = &found {
            let member = |members: &str| members.split(',').any(|member| member == entry.name);
            more.extend(
                entries(group).filter(|(_, _, members)| member(members)).map(|(_, gid, _)| gid),
            );
        }
    } else {
        identity.gid = group_id(group, given)?;
    }
    for name in groups {
        more.insert(group_id(group, name)?);
    }
    if [identity.uid, identity.gid].contains(&u32::MAX) || more.contains(&u32::MAX) {
        return Err(Error::invalid(format!("user {user:?}: an id is out of range")));
    }
    identity.groups = more.into_iter().collect();
    Ok(identity)
}

fn group_id(group: &str, name: &str) -> Result<u32> {
    if let Some((_, gid, _)) = entries(group).find(|(entry, _, _)| *entry == name) {
        return Ok(gid);
    }
    number(name)?.ok_or_else(|| {
        Error::invalid(format!("unable to find group {name}: no matching entries in group file"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:34::/var/www:/bin/false\n\
                          7:x:8:9::/seven:\nbig:x:4294967295:0::/:\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nadm:x:4:www,root\naudio:x:29:www\n";

    fn check(user: &str, groups: &[&str]) -> Result<(u32, u32, Vec<u32>)> {
        let groups: Vec<String> = groups.iter().map(|name| (*name).to_owned()).collect();
        let identity = identity(PASSWD, GROUP, user, &groups)?;
        Ok((identity.uid, identity.gid, identity.groups))
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        assert_eq!(check("", &[]).unwrap(), (0, 0, vec![4]));
        assert_eq!(check("www", &[]).unwrap(), (33, 34, vec![4, 29]));
        assert_eq!(check("www:adm", &["audio", "1000"]).unwrap(), (33, 4, vec![29, 1000]));
        assert_eq!(check("33", &[]).unwrap(), (33, 34, vec![4, 29]));
        assert_eq!(check("1234", &[]).unwrap(), (1234, 0, vec![]));
        assert_eq!(check("1234:5", &[]).unwrap(), (1234, 5, vec![]));
        // A name of digits is a name first.
        assert_eq!(check("7", &[]).unwrap(), (8, 9, vec![]));
        for bad in ["nobody", "-1", "4294967295", "4294967296", "www:none", "big", "0:-1", " 0"] {
            assert_eq!(check(bad, &[]).unwrap_err().status, 400, "{bad}");
        }
        assert!(check("0", &["none"]).is_err());
    }

    #[test]
    fn what_is_no_file_of_the_image_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(resolve(dir.path(), "5", &[]).unwrap().uid, 5);
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = dir.path().join("etc/passwd");
        nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(resolve(dir.path(), "0", &[]).unwrap_err().status, 500);
        std::fs::remove_file(&passwd).unwrap();
        // Out of the root it leads nowhere; in the root it does.
        std::os::unix::fs::symlink("/../../../../etc/hostname-not-here", &passwd).unwrap();
        assert_eq!(resolve(dir.path(), "root", &[]).unwrap_err().status, 400);
        std::fs::write(dir.path().join("real"), PASSWD).unwrap();
        std::fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink("/real", &passwd).unwrap();
        assert_eq!(resolve(dir.path(), "www", &[]).unwrap().uid, 33);
    }

    proptest! {
        #[test]
        fn no_file_panics(passwd in ".{0,60}", group in ".{0,60}", user in ".{0,12}") {
            let _ = identity(&passwd, &group, &user, &[]);
        }
    }
}
